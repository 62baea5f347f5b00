"""The page of several runs: seeds are grouped, differences paired, settings told apart."""

import base64
import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from page_reading import Page, read_page

from sesame_hpc.choices import STAGES
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.report import write_comparison
from sesame_hpc.run.folder import RunFolder

REGIONS = "NME per region on the test faces"
RUNS = "Last finished stage of each run on the test faces"
PAIRS = "Difference of each pair of runs, with the paired interval over its faces"


def page_of(*runs: RunFolder, data: Path | None = None) -> Page:
    out = runs[0].path.parent / "comparison.html"
    assert write_comparison([run.path for run in runs], out, data) == out
    return read_page(out.read_text("utf-8"))


def number(text: str) -> float:
    return float(text.replace("−", "-").split()[0])


@pytest.fixture
def arms(make_run) -> list[RunFolder]:
    """Two seeds of one configuration, and two of another with twice the error."""
    wide = {"settings": ["model.width=32"], "noise": 2.0}
    return [
        make_run(*STAGES, name="a/seed-0"),
        make_run(*STAGES, name="a/seed-1", settings=["seed=1"]),
        make_run(*STAGES, name="b/seed-0", **wide),
        make_run(*STAGES, name="b/seed-1", **wide | {"settings": ["seed=1", "model.width=32"]}),
    ]


def test_two_runs_have_the_paired_interval_over_faces(make_run, data: Path) -> None:
    first = make_run(*STAGES, name="first")
    second = make_run(*STAGES, name="second", settings=["loss.heatmap=0.2"], noise=2.0)
    page = page_of(first, second)
    faces = read_annotations(data, "pts", "test")
    before, after = (
        np.load(run.predictions("finetune", "test"))["points"] for run in (first, second)
    )
    expected = compare(before, after, faces)
    (_, row) = page.tables[PAIRS]
    low, high = expected["nme"]["interval"]
    assert number(row[3]) == round(expected["nme"]["difference"], 3)
    assert row[4] == f"[{low:+.3f}, {high:+.3f}]".replace("-", "−")
    assert row[:2] == ["second − first", "one seed"]
    assert "One seed says nothing about the method" in page.text
    outline = next(row for row in page.tables[REGIONS] if row[0] == "outline")
    assert number(outline[3]) == round(expected["regions"]["outline"]["difference"], 3)
    assert page.tables["Settings that differ"][1:] == [["loss.heatmap", "0.0", "0.2"]]


def test_runs_that_differ_in_their_seed_alone_are_one_configuration(arms) -> None:
    page = page_of(*arms)
    assert [row[0] for row in page.tables["Mean over seeds"][1:]] == ["a (2 seeds)", "b (2 seeds)"]
    assert "b (2 seeds) has a higher NME than a (2 seeds)" in page.text
    assert [row[2] for row in page.tables[PAIRS][1:]] == ["0", "1"]
    nme = [run.result("finetune")["test"]["nme"] for run in arms]
    assert [number(row[4]) for row in page.tables[RUNS][1:]] == [round(each, 3) for each in nme]
    total = page.tables[REGIONS][-1]
    assert number(total[1]) == round((nme[0] + nme[1]) / 2, 3)
    assert number(total[3]) == round((nme[2] + nme[3] - nme[0] - nme[1]) / 2, 3)
    settings = {row[0]: row[1:] for row in page.tables["Settings that differ"][1:]}
    assert settings == {"model.width": ["256", "256", "32", "32"]}


def test_seeds_alone_have_a_mean_and_no_comparison(arms) -> None:
    page = page_of(*arms[:2])
    assert "These runs differ in their seed alone" in page.text
    assert PAIRS not in page.tables
    assert "None but the seed and the folder" in page.text


def test_its_tables_are_csv_files_too(arms) -> None:
    page = page_of(*arms)
    files = {found["download"]: found["href"] for _, found in page.tags if "download" in found}
    assert set(files) == {"runs.csv", "regions.csv"}
    text = base64.b64decode(files["runs.csv"].partition(",")[2]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["run"] for row in rows] == ["a/seed-0", "a/seed-1", "b/seed-0", "b/seed-1"]
    assert float(rows[3]["nme"]) == arms[3].result("finetune")["test"]["nme"]


def test_an_unfinished_run_is_named_and_the_rest_is_compared(make_run) -> None:
    runs = [make_run(*STAGES, name="done"), make_run(name="begun", settings=["loss.heatmap=0.2"])]
    page = page_of(*runs)
    assert "begun is not finished: preliminary has not started" in page.text
    assert page.tables[RUNS][2][4] == "–"
    assert "no pair of finished runs" in page.text


def test_without_the_faces_there_are_figures_and_no_pairs(arms, data: Path) -> None:
    moved = data.rename(data.parent / "elsewhere")
    page = page_of(*arms)
    assert "is not a directory" in page.text
    assert number(page.tables[RUNS][1][4]) > 0
    assert PAIRS not in page.tables
    assert PAIRS in page_of(*arms, data=moved).tables


def test_a_run_given_twice_or_with_other_landmarks_is_refused(arms, make_run) -> None:
    out = arms[0].path.parent / "c.html"
    with pytest.raises(ValueError, match="given twice"):
        write_comparison([arms[0].path, arms[0].path / "."], out)
    other = make_run(name="other", settings=["data.scheme=wflw98"])
    with pytest.raises(ValueError, match=r"landmarks of wflw98.*those of ibug68"):
        write_comparison([arms[0].path, other.path], out)
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        write_comparison([arms[0].path, out.parent], out)
    assert not out.exists()


def test_the_command_compares_without_torch(arms, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from sesame_hpc.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "report", *(str(run.path) for run in arms)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["report: comparison.html", "False"]
    assert (tmp_path / "comparison.html").read_text("utf-8").startswith("<!DOCTYPE html>")
