"""Continuous integration, hooks, issue forms and citation agree with the project."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: str | Path) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_workflow_runs_what_ci_runs():
    steps = read(".github/workflows/ci.yml")["jobs"]["ci"]["steps"]
    commands = [shlex.split(step["run"])[-1] for step in steps if "run" in step]
    assert commands == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_ci_and_hooks_hold_lint_and_types():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("\nmake lint ") < script.index("\nmake test ")
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    entries = {" ".join(hook["entry"].split()[:2]) for hook in hooks}
    lint = re.search(r"^lint:.*\n(?:\t.*\n)+", (ROOT / "Makefile").read_text(), re.M)
    assert lint
    commands = re.findall(r"\$\(BIN\)/(\w+(?: \w+)?)", lint[0])
    assert entries == {f".venv/bin/{command}" for command in commands}
    assert {hook["language"] for hook in hooks} == {"system"}


@pytest.mark.parametrize(
    "path", [path for path in FORMS if "name" in read(path)], ids=lambda p: p.stem
)
def test_issue_forms_have_fields(path: Path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    labels = [field["attributes"]["label"] for field in form["body"]]
    assert len(set(labels)) == len(labels)


def test_reports_of_problems_ask_for_the_doctor():
    asking = [path.stem for path in FORMS if "sesame doctor" in path.read_text()]
    assert asking == ["bug", "cluster"]
    for stem in asking:
        fields = {
            field["id"]: field for field in read(f".github/ISSUE_TEMPLATE/{stem}.yml")["body"]
        }
        assert fields["doctor"]["validations"]["required"] is True


def test_the_citation_names_software_and_paper():
    citation = read("CITATION.cff")
    assert citation["type"] == "software"
    assert {"cff-version", "title", "authors", "message"} <= set(citation)
    assert "version" not in citation, "sesame_hpc.__version__ is the only place"
    (paper,) = citation["references"]
    assert paper["doi"] in (ROOT / "README.md").read_text()
    assert len(paper["authors"]) == 5
