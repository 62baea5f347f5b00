"""metrics.jsonl over kills and resumes."""

import json
import math
import os
from pathlib import Path

import pytest

from sesame_hpc.training.records import MetricsLog


def steps(path, stage):
    return [record["step"] for record in MetricsLog.read(path) if record["stage"] == stage]


def test_records_are_on_disk_before_the_log_is_closed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append("pretrain", 2, 40, loss=0.5, nme=math.nan)
        (record,) = MetricsLog.read(path)
    assert record.pop("time") > 1.6e9
    assert record == {"stage": "pretrain", "epoch": 2, "step": 40, "loss": 0.5, "nme": None}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_names_the_file(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with open("/dev/full", "w") as full:
        os.dup2(full.fileno(), log._file.fileno())
    with pytest.raises(OSError, match=r"No space left on device.*metrics\.jsonl"):
        log.append("preliminary", 1, 1, loss=0.5)
    with pytest.raises(OSError, match=r"No space left on device.*metrics\.jsonl"):
        log.close()


def test_a_torn_last_line_is_skipped_then_removed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append("pretrain", 1, 1)
    with path.open("a") as file:
        file.write('{"stage": "pretr')
    assert steps(path, "pretrain") == [1]
    with MetricsLog(path) as log:
        log.append("pretrain", 1, 2)
    assert steps(path, "pretrain") == [1, 2]


def test_a_broken_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = '{{"stage": "pretrain", "epoch": 1, "step": {}, "time": 0.5}}\n'
    path.write_text(good.format(1) + "nonsense\n" + good.format(2) + '{"step"')
    assert [record["step"] for record in MetricsLog.read(path)] == [1, 2]
    assert MetricsLog.damaged_lines(path) == [2]


def test_truncate_drops_later_records_of_that_stage_only(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for stage in ("preliminary", "pretrain"):
            for step in (10, 20, 30):
                log.append(stage, 1, step)
        log.truncate("pretrain", 20)
        log.append("pretrain", 1, 21)
    assert steps(path, "preliminary") == [10, 20, 30]
    assert steps(path, "pretrain") == [10, 20, 21]
    assert all(json.loads(line) for line in path.read_text().splitlines())
