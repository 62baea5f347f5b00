"""The documentation builds strictly, loads nothing from anywhere, and says what the code says."""

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from doc_blocks import ROOT, documents
from pydantic import BaseModel

from sesame_hpc.config import Config

sys.path.insert(0, str(ROOT / "docs" / "generate"))

from command_reference import command_reference
from data_flow import _ARROWS, _ROWS, OUT, data_flow
from repository_pages import site_uri, with_site_links
from settings_reference import profile_reference, settings_reference

IMAGES = ROOT / "docs" / "images"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class _Resources(HTMLParser):
    """Addresses that a page loads by itself, which links in its text are not."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        value = dict(attrs).get(LOADED.get(tag, ""))
        if value:
            self.addresses.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. `--strict` fails for a broken link or anchor, or a wrong docstring."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    build(ROOT / "mkdocs.yml", folder, expected=0)
    return folder


def build(config: Path, folder: Path, expected: int) -> str:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    built = subprocess.run(
        [*command, "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == expected, built.stderr
    return built.stderr


def test_every_document_is_a_page(site: Path):
    uris = [site_uri(document) for document in documents()]
    pages = {str(path.relative_to(site).with_suffix(".md")) for path in site.rglob("*.html")}
    missing = {uri for uri in uris if uri} - pages
    assert {"index.md", "own-faces/formats.md", "reference/settings.md"} <= pages
    assert not missing


def test_pages_load_nothing_from_elsewhere(site: Path):
    foreign = set()
    for page in site.rglob("*.html"):
        reader = _Resources()
        reader.feed(page.read_text(encoding="utf-8"))
        foreign |= {each for each in reader.addresses if re.match(r"(https?:)?//", each)}
    assert not foreign


def test_a_broken_link_fails_the_build(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md)\n")
    settings = re.search(r"^validation:\n(?:  .*\n)+", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert settings
    (tmp_path / "mkdocs.yml").write_text(f"site_name: broken\n{settings[0]}")
    assert "gone.md" in build(tmp_path / "mkdocs.yml", tmp_path / "site", expected=1)


def test_links_between_documents_work_in_the_site():
    assert with_site_links("[a](docs/results.md)", "index.md") == "[a](results.md)"
    assert with_site_links("[a](../../CONTRIBUTING.md#test)", "training/speed.md") == (
        "[a](../project/contributing.md#test)"
    )
    kept = "[a](https://example.org/docs/results.md) and [b](index.md)"
    assert with_site_links(kept, "training/speed.md") == kept


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= keys(inner, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def test_the_settings_reference_has_every_key_with_its_values():
    text = settings_reference()
    rows = {
        match["key"]: match[0]
        for match in re.finditer(r'\| <span id="(?P<key>[\w.]+)"></span>.*', text)
    }
    assert set(rows) == keys(Config)
    assert "integer ≥ 8, a multiple of 4 | `256`" in rows["model.width"]
    assert "`1`, `2`, `4`, `8` | `4`" in rows["model.stacks"]
    assert "pair of: number ≥ 0, ≤ 1 | `[0.1, 0.4]`" in rows["data.augment.occlusion_size"]
    assert "| path | required |" in rows["data.root"]
    profile = profile_reference()
    assert "`signal_delay`" in profile
    assert "The keys and defaults of [`stages.preliminary`](#stages-preliminary)." in profile


def test_every_setting_says_what_it_means():
    silent = [
        line.split('"')[1]
        for text in (settings_reference(), profile_reference())
        for line in text.split("\n")
        if line.startswith("| <span") and line.endswith("|  |")
    ]
    assert not silent


def test_the_command_reference_has_every_command_and_option():
    text = command_reference()
    assert "## `sesame data pack`" in text
    assert "| <code>--stage</code> | <code>STAGE</code> | Run one stage only" in text
    assert "--install-completion</code>" not in text


def test_the_data_flow_names_what_is_there():
    defined = {
        node.name
        for path in (ROOT / "sesame_hpc").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    named = set(re.findall(r"\b[a-z]+_\w+|\b[A-Z][a-z]+[A-Z]\w+\.?\w*", " ".join(_ARROWS)))
    assert len(named) > 8
    for name in named:
        assert set(name.split(".")) <= defined, name
    boxes = " ".join(box.what for row in _ROWS for box in row)
    paths = re.findall(r"[\w/]+\.py", boxes)
    assert paths
    assert not [path for path in paths if not (ROOT / "sesame_hpc" / path).is_file()]


def test_the_data_flow_is_drawn_from_its_script():
    assert OUT.read_text() == data_flow(), "run python docs/generate/data_flow.py"


def test_the_first_page_is_short_and_its_images_are_small():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 180
    shown = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", text)
    assert len(shown) == 2
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) < 400_000
    assert all((ROOT / path).is_file() for path in shown)


def test_links_of_the_first_page_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md", "slurm/README.md", "kernels/README.md"):
        for link in re.findall(r"\]\(([^)#\s]+)", (ROOT / document).read_text()):
            there = link.startswith("http") or ((ROOT / document).parent / link).exists()
            assert there, f"{document}: {link}"
