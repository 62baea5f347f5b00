"""A job that SLURM did not requeue, and the one that continues it."""

import json
from pathlib import Path

from launched_runs import submitted

from sesame_hpc.launch.successors import first_of, last_of, read_successors


def note(run: Path, *lines: str, end: str = "\n") -> None:
    folder = run / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "successors.txt").write_text("\n".join(lines) + end)


def test_successors_are_followed_to_both_ends(tmp_path: Path) -> None:
    assert read_successors(tmp_path / "logs") == {}
    note(tmp_path, "11 21", "12_3 22_3", "21 31", "31 4", end="")
    known = read_successors(tmp_path / "logs")
    assert known == {"11": "21", "12_3": "22_3", "21": "31"}
    assert (last_of("11", known), last_of("13", known)) == ("31", "13")
    assert (first_of("31", known), first_of("22_3", known)) == ("11", "12_3")
    assert last_of("1", {"1": "2", "2": "1"}) in ("1", "2")


def test_the_ledger_has_the_job_that_continues(tmp_path: Path) -> None:
    ledger = submitted(tmp_path)
    before = (tmp_path / "jobs.json").read_text()
    note(tmp_path, "11 21", "21 31")
    records = {stage: record for stage, (_, record) in ledger.latest().items()}
    assert (records["preliminary"].job, records["preliminary"].logs) == ("31", "logs/31_%t_log.out")
    assert (records["pretrain"].job, records["pretrain"].dependency) == ("12", "afterok:31")
    assert records["finetune"].dependency == "afterok:12"
    assert (tmp_path / "jobs.json").read_text() == before


def test_a_task_of_a_sweep_is_continued_alone(tmp_path: Path) -> None:
    runs = [tmp_path / name / "run" for name in ("a", "b")]
    for task, run in enumerate(runs):
        ledger = submitted(run, task=task)
        note(run, "11_1 21_1")
        record = ledger.latest()["preliminary"][1]
        assert record.job == ("21_1" if task else "11_0")
        assert ledger.latest()["pretrain"][1].dependency == ("afterok:21" if task else "afterok:11")
    assert json.loads((runs[0] / "jobs.json").read_text())["submissions"]
