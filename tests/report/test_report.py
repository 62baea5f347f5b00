"""The page of a run: its figures are those of the JSON, and it is whole whatever is missing."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from page_reading import Page, read_page

from sesame_hpc.config import dump_config, load_config
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.report import report_line, write_report
from sesame_hpc.report.page import render
from sesame_hpc.report.report_data import EvaluatedPart, read_report_data
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage
from sesame_hpc.schemes import load_scheme
from sesame_hpc.training.records import MetricsLog

REGIONS = load_scheme("ibug68").regions
TEST_REGIONS = "NME per region on 5 test faces (Table 1 of the paper)"


def page_of(folder: RunFolder, **options: Any) -> Page:
    return read_page(write_report(folder, **options).read_text("utf-8"))


def numbers(cell: str) -> list[float]:
    """The numbers of a cell: "5.1 [4.0, 6.2]" -> [5.1, 4.0, 6.2]."""
    plain = cell.replace("−", "-").replace("[", " ").replace("]", " ").replace(",", " ")
    return [float(word) for word in plain.split()]


@pytest.mark.parametrize(("part", "faces"), [("test", "5 test"), ("heldout", "6 held-out")])
def test_region_table_is_the_json(run: RunFolder, part: str, faces: str) -> None:
    table = page_of(run).tables[f"NME per region on {faces} faces (Table 1 of the paper)"]
    rows = {row[0]: row for row in table[1:]}
    before, after = (run.result(stage)[part] for stage in ("preliminary", "finetune"))
    masking = json.loads(run.masking_file.read_text())
    assert len(rows) == len(REGIONS) + 1
    for region in REGIONS:
        row = rows[region.replace("_", " ")]
        for cell, figures in ((row[2], before), (row[3], after)):
            expected = [figures["regions"][region], *figures["intervals"]["regions"][region]]
            assert numbers(cell) == [round(value, 3) for value in expected]
        change = after["regions"][region] - before["regions"][region]
        assert numbers(row[4]) == [round(change, 3)]
        assert numbers(row[5]) == [round(100 * change / before["regions"][region], 1)]
        assert numbers(row[7]) == [round(100 * masking[region], 1)]
    total = rows["all points"]
    assert numbers(total[3]) == [round(v, 3) for v in (after["nme"], *after["intervals"]["nme"])]


def test_changes_carry_the_paired_intervals(run: RunFolder, data: Path) -> None:
    faces = read_annotations(data, "pts", "test")
    before, after = (
        np.load(run.predictions(stage, "test"))["points"] for stage in ("preliminary", "finetune")
    )
    expected = compare(before, after, faces)
    rows = {row[0]: row for row in page_of(run).tables[TEST_REGIONS][1:]}
    assert numbers(rows["outline"][6]) == [
        round(bound, 3) for bound in expected["regions"]["outline"]["interval"]
    ]
    assert numbers(rows["all points"][6]) == [round(v, 3) for v in expected["nme"]["interval"]]


def test_rates_and_landmarks_are_the_json(run: RunFolder) -> None:
    page = page_of(run)
    before, after = (run.result(stage)["test"] for stage in ("preliminary", "finetune"))
    (row,) = page.tables["Failure rates and AUC on 5 test faces"][2:]
    expected = [5.0]
    for key, digits in (("nme", 3), ("fr8", 2), ("fr10", 2), ("auc8", 3), ("auc10", 3)):
        for figures in (before, after):
            bounds = figures["intervals"][key] if key in ("nme", "fr10") else []
            expected += [round(value, digits) for value in (figures[key], *bounds)]
    assert numbers(" ".join(row[1:])) == expected
    rows = page.tables["NME per landmark, test"][1:]
    assert len(rows) == 68
    for point, row in enumerate(rows):
        found = numbers(" ".join(row[2:]))
        assert found == [round(figures["landmarks"][point], 3) for figures in (before, after)]


def test_summary_states_result_and_interval(run: RunFolder) -> None:
    text = page_of(run).text.replace("\u00a0", " ")
    after = run.result("finetune")["test"]
    assert f"the NME on 5 test faces is {after['nme']:.3f} %" in text
    assert "percentage points below preliminary" in text
    assert "excludes 0" in text
    assert "One seed says nothing about the method." in text


def test_a_run_of_preliminary_alone_has_no_columns_for_what_it_lacks(make_run) -> None:
    folder = make_run("preliminary")
    config = load_config(folder.config_file, ["stages.run=[preliminary]"])
    folder.config_file.write_text(dump_config(config))
    page = page_of(folder)
    assert "not finished" not in page.text
    assert "After preliminary the NME on 5 test faces" in page.text
    assert "One seed says nothing about the method." in page.text
    assert "This run has no pretrain stage: nothing is masked." in page.text
    heading, *rows = page.tables[TEST_REGIONS]
    assert heading == ["Region", "Landmarks", "Preliminary NME (%)"]
    after = folder.result("preliminary")["test"]
    assert numbers(rows[-1][2])[0] == round(after["nme"], 3)
    assert [row[0] for row in page.tables["Throughput"][1:]] == ["preliminary"]


def test_names_are_escaped(make_run) -> None:
    folder = make_run("preliminary", "pretrain", "finetune", name="<i>&'\"")
    html = write_report(folder).read_text("utf-8")
    page = read_page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"i>", "it", "script"}
    assert "<i>&'\"" not in html
    assert "<b>&\"quoted'.png" in page.text
    assert "<i>&'\"" in page.text
    assert "sesame train <it> & more" in page.text
    labels = [
        found["aria-label"] for tag, found in page.tags if tag == "svg" and "aria-label" in found
    ]
    assert any(label.startswith("<b>&\"quoted'.png: ") for label in labels)


def test_nothing_refers_outside(run: RunFolder) -> None:
    html = write_report(run).read_text("utf-8")
    page = read_page(html)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "base"}
    for marker in ("http:", "https:", "url(", "@import"):
        assert marker not in html, marker
    targets = {found["id"] for _, found in page.tags if "id" in found}
    links = [found["href"] for tag, found in page.tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    assert all(link.startswith(("#", "data:text/csv;")) for link in links)


def test_images_and_charts_say_what_they_show(run: RunFolder) -> None:
    page = page_of(run)
    assert all(found["alt"] for tag, found in page.tags if tag == "img")
    drawings = [found for tag, found in page.tags if tag == "svg"]
    assert all(found.get("aria-label") or found.get("aria-hidden") for found in drawings)
    assert sum(found.get("class") == "face" for found in drawings) == 5


def test_the_page_is_small_and_complete(run: RunFolder) -> None:
    path = write_report(run)
    assert path == run.path / "report.html"
    assert path.stat().st_size < 1_000_000
    text = read_page(path.read_text("utf-8")).text
    assert "not finished" not in text
    assert "not comparable with the results published for WFLW: its landmarks" in text
    assert "Held-out faces after epoch 3 of pretrain" in text
    assert "torch 2.13.0" in text


def test_an_unfinished_run_says_how_far_it_came(make_run) -> None:
    text = page_of(make_run("preliminary")).text
    assert "This run is not finished." in text
    assert "pretrain has not started; finetune has not started" in text
    assert "After preliminary the NME on 5 test faces" in text
    empty = page_of(make_run(name="empty")).text
    assert "No stage with landmarks has finished yet" in empty
    assert "No step has been recorded yet" in empty


def test_a_stage_under_way_shows_its_step(make_run) -> None:
    folder = make_run("preliminary", "pretrain")
    (folder.stage("pretrain") / "result.json").unlink()
    assert "pretrain is at step 60, in epoch 4 of 300" in page_of(folder).text


def test_a_stage_that_diverged_says_so(make_run) -> None:
    folder = make_run("preliminary")
    with MetricsLog(folder.metrics_file) as log:
        log.append("preliminary", 3, 41, note="went back from step 60 to step 40")
    assert "In training: preliminary: went back from step 60 to step 40." in page_of(folder).text


def test_data_that_moved_is_said_and_can_be_named(run: RunFolder, data: Path) -> None:
    moved = data.rename(data.parent / "elsewhere")
    page = page_of(run)
    assert f"data.root: {data} is not a directory" in page.text
    assert len(page.tables[TEST_REGIONS][0]) == 7
    assert "Not everything is shown" not in page_of(run, data=moved).text


def test_a_relative_root_is_that_of_the_runs_start(run: RunFolder, data: Path) -> None:
    config = run.config_file.read_text()
    run.config_file.write_text(config.replace(str(data), str(data).lstrip("/")))
    assert "Not everything is shown" not in page_of(run).text


def test_a_missing_image_is_named(run: RunFolder, data: Path) -> None:
    for image in (data / "test").glob("*.png"):
        image.write_bytes(b"no image")
    text = page_of(run).text
    assert "The images could not be read" in text
    assert "cannot be decoded as an image" in text


def test_the_newest_sheet_that_is_whole_is_shown(run: RunFolder) -> None:
    (sheet,) = run.images.glob("pretrain-epoch-*.png")
    whole = sheet.read_bytes()
    for epoch, content in ((2, whole), (3, whole), (4, b""), (5, whole[:20])):
        (run.images / f"pretrain-epoch-{epoch:04}.png").write_bytes(content)
    cv2.imwrite(str(run.images / "pretrain-epoch-0006.png"), np.zeros((1, 9, 3), np.uint8))
    text = page_of(run).text
    assert "after epoch 3 of pretrain" in text
    for epoch in (4, 5):
        assert f"pretrain-epoch-{epoch:04}.png cannot be decoded as an image" in text
    assert "pretrain-epoch-0006.png is not a sheet of" in text


def test_missing_predictions_leave_the_tables(run: RunFolder) -> None:
    shutil.rmtree(run.path / "predictions")
    page = page_of(run)
    assert "the predictions could not be read" in page.text
    assert len(page.tables[TEST_REGIONS]) == len(REGIONS) + 2


def test_results_of_nme_alone_are_enough(run: RunFolder) -> None:
    for stage in ("preliminary", "finetune"):
        result = run.result(stage)
        for part in ("heldout", "test"):
            result[part] = {key: result[part][key] for key in ("nme", "regions", "faces")}
        finish_stage(run, stage, result)
    page = page_of(run)
    assert "results have no figures per landmark" in page.text
    assert "–" in page.tables["Failure rates and AUC on 5 test faces"][2]


def test_a_run_on_wflw_stands_among_published_numbers(run: RunFolder) -> None:
    sizes = {
        "pose": 326,
        "expression": 314,
        "illumination": 698,
        "makeup": 206,
        "occlusion": 736,
        "blur": 773,
    }
    scheme = load_scheme("wflw98")
    figures: dict[str, Any] = {
        "nme": 4.101,
        "regions": dict.fromkeys(scheme.regions, 4.1),
        "faces": 2500,
        "subsets": {name: {"faces": count, "nme": 5.0} for name, count in sizes.items()},
        "protocol": {"box": "square window"},
    }
    tested = EvaluatedPart("test", {"preliminary": figures | {"nme": 4.5}, "finetune": figures})
    data = replace(read_report_data(run), scheme=scheme, parts=[tested], masking=None)
    page = read_page(render(data))
    caption = next(name for name in page.tables if "2,500 faces (Table 2" in name)
    rows = page.tables[caption][1:]
    assert "not comparable" not in page.text
    assert [float(row[1]) for row in rows] == sorted((float(r[1]) for r in rows), reverse=True)
    names = [row[0] for row in rows]
    assert names.index("SLPT") < names.index("This run, finetune") < names.index("STAR")
    assert rows[names.index("This run, finetune")][1:] == ["4.101", "square window", "last epoch"]

    other = figures | {"subsets": {**figures["subsets"], "pose": {"faces": 300, "nme": 5.0}}}
    data = replace(data, parts=[EvaluatedPart("test", {"finetune": other})])
    page = read_page(render(data))
    assert "the attributes of its 2,500 test faces are not those of WFLW" in page.text
    assert not any("This run" in row[0] for row in page.tables[caption])


def test_throughput_is_that_of_the_records(run: RunFolder) -> None:
    rows = {row[0]: row for row in page_of(run).tables["Throughput"][1:]}
    machine = ["2.0\u00a0%", "30.5\u00a0%", "1.50 GiB"]
    assert rows["preliminary"][3:] == ["60", "32", "80", *machine, "30.2", "NME 7.000 %"]
    assert rows["pretrain"][6:10] == ["–", "–", "1.50 GiB", "12.5"]


def test_a_report_that_fails_says_why_and_raises_nothing(run: RunFolder) -> None:
    run.config_file.write_text("nonsense\n")
    line = report_line(run)
    assert line.startswith("The report could not be made (ValueError")
    assert "config.yaml" in line
    assert not (run.path / "report.html").exists()


def test_the_command_makes_the_page_without_torch(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "pages" / "my page.html"
    program = (
        "import sys\n"
        "from sesame_hpc.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "report", str(run.path), "--out", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"report: {out}", "False"]
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_open_shows_the_page_in_the_browser(run: RunFolder, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{shown}"\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "sesame_hpc", "report", str(run.path), "--open"]
    subprocess.run(command, env=os.environ | {"BROWSER": f"{browser} %s"}, check=True)
    assert shown.read_text() == f"{(run.path / 'report.html').as_uri()}\n"


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        write_report(RunFolder(tmp_path))


def test_the_command_is_told_what_the_page_had_to_leave_out(run, tmp_path):
    told: list[str] = []
    write_report(run, tmp_path / "page.html", tell=told.append)
    assert told == []
    write_report(run, tmp_path / "page.html", tmp_path / "nowhere", told.append)
    assert len(told) == 1
    assert "nowhere is not a directory" in told[0]


def test_the_cost_of_a_stage_has_its_energy(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sacct = tmp_path / "bin" / "sacct"
    sacct.parent.mkdir()
    sacct.write_text("#!/bin/sh\necho '712|sesame-x-pretrain|2026-11-22T14:24:18|5400000'\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sacct.parent}:/usr/bin:/bin")
    start = {"stage": "pretrain", "time": 60.0, "step": 0, "ranks": 4, "gpus": 4, "job": "712"}
    start |= {"queue_seconds": None, "lost_steps": 0, "lost_seconds": 0.0, "previous_end": None}
    other = start | {"stage": "finetune", "job": "713"}
    (run.path / "work.jsonl").write_text(f"{json.dumps(start)}\n{json.dumps(other)}\n")
    heading, *rows = page_of(run).tables["Cost"]
    energy = {row[0]: row[heading.index("kWh")] for row in rows}
    assert energy == {"pretrain": "1.50", "finetune": "–"}
