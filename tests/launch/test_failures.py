"""What a rank writes down when it ends by an exception."""

import json

import pytest

from sesame_hpc.launch.failures import cause_of, recorded
from sesame_hpc.launch.ledger import JobRecord

RECORD = JobRecord("pretrain", "5_1", 1, 2, "logs/5_1_%t_log.out")


@pytest.fixture(autouse=True)
def _job(monkeypatch):
    variables = {"JOB_ID": "7", "ARRAY_JOB_ID": "5", "ARRAY_TASK_ID": "1", "RESTART_COUNT": "2"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("SESAME_NODE", "n7")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("two\n  lines"), "rank 1 on n7: two lines"),
        (KeyError("x"), "rank 1 on n7: KeyError: 'x'"),
        (RuntimeError(), "rank 1 on n7: RuntimeError"),
    ],
)
def test_an_exception_is_written_down_and_goes_on(tmp_path, error, expected):
    with pytest.raises(type(error)), recorded(tmp_path, "pretrain"):
        raise error
    assert cause_of(tmp_path, RECORD) == expected
    written = json.loads((tmp_path / "failures/pretrain-1.json").read_text())
    assert (written["job"], written["restarts"]) == ("5_1", 2)


def test_the_end_of_a_saved_job_is_no_failure(tmp_path):
    with pytest.raises(SystemExit), recorded(tmp_path, "pretrain"):
        raise SystemExit(75)
    assert cause_of(tmp_path, RECORD) is None


@pytest.mark.parametrize(
    "text", ["[" * 9000, "{", "3", '{"job": "5_1"}', '{"job": "5_1", "restarts": []}']
)
def test_what_is_no_record_of_a_failure_is_passed_over(tmp_path, text):
    (tmp_path / "failures").mkdir()
    (tmp_path / "failures" / "pretrain-0.json").write_text(text)
    assert cause_of(tmp_path, RECORD) is None
