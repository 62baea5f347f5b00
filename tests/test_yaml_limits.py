"""YAML of a stranger: small files that stand for much, and files that are deep or long."""

from pathlib import Path

import pytest

from sesame_hpc.config import load_config
from sesame_hpc.launch.profile import load_profile
from sesame_hpc.schemes import load_scheme

LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
ALIASES = "a0: &a0 [x]\n" + LAUGHS
MAPPINGS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(10))}}}\n" for n in range(1, 8)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 8)
)
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "aliases": (ALIASES, "expands to more than 20000 values"),
    "mappings": (MAPPINGS, "expands to more than 20000 values"),
    "merges": (MERGES, "expands to more than 20000 values"),
    "itself": ("a: &a [*a]", "contains itself"),
    "deep list": ("a: " + "[" * 100 + "]" * 100, "nested too deeply"),
    "deep mapping": ("a: " + "{b: " * 100 + "}" * 100, "nested too deeply"),
    "deeper": ("a: " + "[" * 700, "nested too deeply"),
    "long": ("a: " + "x" * 2**20, "is longer than 1048576 bytes"),
    "bytes": (b"a: \xff", "is not text in UTF-8"),
}


@pytest.mark.parametrize("read", [load_config, load_profile, load_scheme])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_is_named(tmp_path: Path, read, kind):
    text, problem = HOSTILE[kind]
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=problem) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_aliases_and_merges_of_a_sane_size_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "output: run\ndata: {root: faces}\nstages:\n  preliminary: &s {epochs: 3, lr: 0.1}\n"
        "  finetune: {<<: *s, epochs: 4}\n"
    )
    stages = load_config(path).stages
    assert (stages.finetune.epochs, stages.finetune.lr) == (4, 0.1)


def test_an_override_is_bounded_too(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("output: run\ndata: {root: faces}\n")
    with pytest.raises(ValueError, match="nested too deeply"):
        load_config(path, ["output=" + "[" * 100 + "]" * 100])


SCHEME = "{{name: a, points: {}, regions: {{}}, mirror: {}, normaliser: [0, 1], edges: {{}}}}"


@pytest.mark.parametrize("points", ["['p_{0-999999999}']", "['p_{0-9999}', 'q_{0-20000}']"])
def test_ranges_of_a_scheme_are_bounded(tmp_path, points):
    path = tmp_path / "a.yaml"
    path.write_text(SCHEME.format(points, "'0-1'"))
    with pytest.raises(ValueError, match=r"points: .* stands for \d+; the most is 10000"):
        load_scheme(path)
    path.write_text(SCHEME.format("[a, b]", "'0-999999999'"))
    with pytest.raises(ValueError, match=r"mirror: .* stands for 1000000000"):
        load_scheme(path)
