"""Every benchmark can be imported and started, and the documents show the committed tables."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common.notes import NOTES, read_notes
from benchmarks.common.paths import RESULTS
from benchmarks.kernels import report as kernels_report
from benchmarks.loader import report as loader_report
from benchmarks.training import report as training_report

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
)
SCRIPTS = [
    name for name in MODULES if "__main__" in (ROOT / f"{name.replace('.', '/')}.py").read_text()
]
REPORTS = (kernels_report, loader_report, training_report)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert all(hasattr(module, public) for public in module.__all__)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_the_command_and_what_it_does(name: str, capsys) -> None:
    module = importlib.import_module(name)
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: python -m {name} ")
    assert module.__doc__.strip() in shown


def test_a_script_runs_from_the_root() -> None:
    command = [sys.executable, "-m", "benchmarks.training.scaling", "--step-ms", "10"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "10.0 ms per step of 64" in ended.stdout


@pytest.mark.parametrize("module", REPORTS, ids=lambda module: module.REPORT.name)
def test_a_document_shows_the_committed_tables(module) -> None:
    """If not, run the module: `python -m benchmarks.FOLDER.report`."""
    assert module.report() == module.REPORT.read_text()


def test_notes_stand_above_the_tables_that_they_are_about() -> None:
    reports = "\n".join(module.report() for module in REPORTS)
    for table, note in read_notes().items():
        assert (RESULTS / f"{table}.csv").is_file(), f"{NOTES} has a note on {table}, which is gone"
        assert " ".join(note.split()) in " ".join(reports.split()), table


def test_the_readme_names_every_script_and_document() -> None:
    readme = (ROOT / "benchmarks/README.md").read_text()
    scripts = [name.removeprefix("benchmarks.") for name in SCRIPTS]
    assert scripts
    assert not [name for name in scripts if f"`{name}" not in readme]
    assert not [module.REPORT.name for module in REPORTS if module.REPORT.name not in readme]


def test_commands_in_the_documents_exist() -> None:
    documents = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")]
    documents += [*ROOT.glob("kernels/*.md"), *ROOT.glob("docs/**/*.md")]
    assert not [path for path in documents if "python benchmarks/" in path.read_text()]
    named = {
        word.strip("`;,.|()")
        for path in documents
        for word in path.read_text().split()
        if word.startswith("benchmarks.") and "FOLDER" not in word
    }
    assert {"benchmarks.kernels.run", "benchmarks.training.report"} <= named
    assert named <= set(MODULES)
