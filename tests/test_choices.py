"""Lists of names: each in `sesame_hpc.choices` alone, and taken from there by all who need it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from sesame_hpc import choices
from sesame_hpc.choices import one_of

PACKAGE = Path(choices.__file__).parent
HOME = PACKAGE / "choices.py"
LISTS = {
    frozenset(get_args(value) or value): name
    for name, value in vars(choices).items()
    if name in choices.__all__ and (len(get_args(value)) > 1 or name.endswith("_FORMATS"))
}


def written_lists(path: Path) -> Iterator[frozenset[str]]:
    """Every tuple, list and set of strings in a file, those in Literal[...] too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            constants = [each.value for each in node.elts if isinstance(each, ast.Constant)]
            values = [each for each in constants if isinstance(each, str)]
            if len(values) == len(node.elts):
                yield frozenset(values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Split", 'Split = Literal["train", "test"]'),
        ("Split", 'SPLITS = ["test", "train"]'),
        ("WRITTEN_FORMATS", '_WRITTEN = ("coco", "csv", "pts", "wflw")'),
    ],
)
def test_a_copy_would_be_seen(name, text, tmp_path):
    copy = tmp_path / "copy.py"
    copy.write_text(text)
    assert LISTS[next(written_lists(copy))] == name


def test_no_list_is_written_twice():
    copies = [
        f"{path.relative_to(PACKAGE)}: {LISTS[found]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != HOME
        for found in written_lists(path)
        if found in LISTS
    ]
    assert not copies


def test_names_in_a_message():
    assert one_of(("last", "ema")) == "last or ema"
    assert one_of(("wflw", "pts", "coco")) == "wflw, pts or coco"
    assert one_of(("yunet",)) == "yunet"
