"""One run's figures are the same in JSON, CSV, terminal and page, and on any number of ranks."""

import csv
import json
import math
import re
import socket
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_process import clean_environment

from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.evaluate import evaluate_run
from sesame_hpc.stages.source import Source

RATES = {"nme": 3, "fr8": 2, "fr10": 2, "auc8": 3, "auc10": 3}


def page_rows(run: Path, faces: str) -> dict[str, list[str]]:
    """Words of the rows of the first table on these faces, by row."""
    html = (run / "report.html").read_text("utf-8")
    table = html.split(f'aria-label="NME per region on {faces} (Table')[1].split("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    plain = [[unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in row] for row in cells]
    return {row[0]: [cell.split()[0] if cell else "" for cell in row[1:]] for row in plain}


def terminal_rows(output: str, heading: str) -> dict[str, list[str]]:
    """Cells of the table under a heading, by row."""
    words = r"\s+".join(map(re.escape, heading.split()))  # a long path breaks the heading
    lines = re.split(words, output)[1].split("└")[0].splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    return {row[0]: row[1:] for row in cells}


def heldout(run: Path, stage: str) -> dict[str, Any]:
    return RunFolder(run).result(stage)["heldout"]


def test_the_run_tells_one_set_of_figures(finished) -> None:
    _, run, output = finished
    summary = json.loads((run / "summary.json").read_text())["stages"]
    page = page_rows(run, "8 held-out faces")
    shown = terminal_rows(output, "on 8 held-out faces")
    tables = {stage: heldout(run, stage) for stage in ("preliminary", "finetune")}
    for place, (stage, table) in enumerate(tables.items()):
        assert summary[stage]["nme"] == table["nme"]
        assert summary[stage]["regions"] == table["regions"]
        for region, nme in table["regions"].items():
            assert shown[region][place] == f"{nme:.3f}"
            assert page[region.replace("_", " ")][1 + place] == f"{nme:.3f}"
        assert shown["all points"][place] == page["all points"][1 + place] == f"{table['nme']:.3f}"


def test_averaged_weights_are_a_row_of_their_own(finished) -> None:
    _, run, output = finished
    table = heldout(run, "finetune")
    averaged = table["ema"]
    assert averaged["nme"] != table["nme"]
    assert "ema" not in heldout(run, "preliminary")
    summary = json.loads((run / "summary.json").read_text())
    for part in (summary["stages"], summary["test"]["stages"]):
        assert set(part["finetune"]["ema"]) == {"nme", "regions"}
    assert summary["stages"]["finetune"]["ema"]["nme"] == averaged["nme"]
    shown = terminal_rows(output, "on 8 held-out faces")["all points, EMA"]
    assert shown == ["", f"{averaged['nme']:.3f}", "", "", ""]
    assert page_rows(run, "8 held-out faces")["all points, EMA"][2] == f"{averaged['nme']:.3f}"
    only = page_rows(run, "8 held-out faces, EMA weights")
    assert only["outline"][2] == f"{averaged['regions']['outline']:.3f}"


def test_eval_repeats_the_figures_of_the_run(finished, faces: Path) -> None:
    _, run, _ = finished
    for part in ("heldout", "test"):
        table = RunFolder(run).result("finetune")[part]
        again = evaluate_run(run, Source(faces, part=part))
        assert again["protocol"] == table["protocol"]
        for mine, theirs in ((again, table), (again["ema"], table["ema"])):
            assert mine["nme"] == pytest.approx(theirs["nme"], abs=1e-4)
            assert mine["regions"] == pytest.approx(theirs["regions"], abs=1e-4)
            assert mine["landmarks"] == pytest.approx(theirs["landmarks"], abs=1e-4)
    averaged = run / "checkpoints/finetune/weights-ema.safetensors"
    assert evaluate_run(averaged, Source(faces)) == evaluate_run(run, Source(faces))["ema"]


def torchrun_eval(ranks: int, *arguments: str) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    command += [f"--master-port={port}", "-m", "sesame_hpc", "eval", *arguments]
    ended = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.distributed
@pytest.mark.slow
def test_any_number_of_ranks_gives_the_same_bits(finished, faces: Path, tmp_path: Path) -> None:
    _, run, _ = finished
    preliminary = run / "checkpoints/preliminary/weights.safetensors"
    arguments = [str(run), "--data", str(faces), "--flip", "--scales", "0.9,1,1.1"]
    arguments += ["--compare", str(preliminary)]
    files = []
    for ranks in (1, 2, 3):
        json_file, csv_file = tmp_path / f"{ranks}.json", tmp_path / f"{ranks}.csv"
        output = torchrun_eval(ranks, *arguments, "--json", str(json_file), "--csv", str(csv_file))
        files.append((json_file.read_bytes(), csv_file.read_bytes(), output))
    assert files[0] == files[1] == files[2]
    _agree(json.loads(files[0][0]), files[0][1].decode(), files[0][2])


def _agree(figures: dict[str, Any], table: str, output: str) -> None:
    """JSON, CSV and terminal of one evaluation."""
    rows = list(csv.DictReader(table.splitlines()))
    values = {(row["kind"], row["name"]): float(row["value"]) for row in rows}
    shown = terminal_rows(output, "failure rates %")
    extra = {"flip_test": "all, flip test", "ema": "all, EMA weights"}
    extra |= {"ema_flip_test": "all, EMA and flip", "multi_scale": "all, several scales"}
    extra["flip_test_multi_scale"] = "all, flip and scales"
    extra["ema_multi_scale"] = "all, EMA and scales"
    extra["ema_flip_test_multi_scale"] = "all, EMA, flip, scales"
    assert figures["protocol"]["scales"] == "0.9, 1, 1.1"
    kinds = {"overall": ("all", figures)}
    kinds |= {f"overall_{key}": (name, figures[key]) for key, name in extra.items()}
    kinds |= {f"{key}": (key, figures["subsets"][key]) for key in figures["subsets"]}
    assert len({each["nme"] for _, each in kinds.values()}) >= 8
    for kind, (name, each) in kinds.items():
        assert shown[name] == [str(each["faces"]), *(f"{each[k]:.{n}f}" for k, n in RATES.items())]
        for key in RATES:
            column = (f"{key}_of_subset", name) if kind == name else (kind, key)
            assert values[column] == each[key]
    change = figures["compared"]["nme"]["difference"]
    assert values["difference", "nme"] == change
    assert terminal_rows(output, "minus this")["all points"][0] == f"{change:+.3f}"


def test_figures_of_real_predictions_agree_with_those_by_hand(finished, faces: Path) -> None:
    """Labels from the lines of the list itself, figures by plain loops."""
    _, run, _ = finished
    listing = faces / "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt"
    fields = [line.split()[:196] for line in listing.read_text().splitlines()]
    predicted = np.load(run / "predictions/finetune-test.npz")["points"]
    errors = []
    for found, line in zip(predicted, fields, strict=True):
        truth = np.array(line, dtype=float).reshape(98, 2)
        eyes = math.dist(truth[60], truth[72])
        pairs = zip(found, truth, strict=True)
        errors.append(sum(math.dist(a, b) for a, b in pairs) / 98 / eyes)
    figures = RunFolder(run).result("finetune")["test"]
    assert figures["nme"] == pytest.approx(100 * math.fsum(errors) / len(errors), abs=1e-9)
    for limit in (0.08, 0.10):
        name = f"{100 * limit:.0f}"
        failed = 100 * sum(error > limit for error in errors) / len(errors)
        assert figures[f"fr{name}"] == pytest.approx(failed, abs=1e-9)
        steps = round(limit / 1e-4)
        share = [sum(error <= i * 1e-4 for error in errors) / len(errors) for i in range(steps + 1)]
        area = sum(share[i] + 4 * share[i + 1] + share[i + 2] for i in range(0, steps, 2))
        assert figures[f"auc{name}"] == pytest.approx(area * 1e-4 / 3 / limit, abs=1e-9)
