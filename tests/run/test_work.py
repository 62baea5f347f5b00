"""What the stages of a run cost, from the lines that its starts leave."""

import json

import pytest

from sesame_hpc.run import work
from sesame_hpc.run.work import WORK, jobs_of, note_start, stage_costs


def record(step: int, time: float, stage: str = "pretrain") -> dict:
    return {"stage": stage, "epoch": 1, "step": step, "time": time, "loss": 0.1}


class Run:
    """Starts at given times, and what is recorded in between."""

    def __init__(self, folder, monkeypatch) -> None:
        self.folder, self.now = folder, 0.0
        self.records: list[dict] = []
        monkeypatch.setattr(work.time, "time", lambda: self.now)

    def start(self, time: float, step: int = 0, ranks: int = 2, gpus: int = 2) -> None:
        self.now = time
        note_start(self.folder, "pretrain", step, ranks, gpus, self.records)
        self.records = [each for each in self.records if each["step"] <= step]

    def train(self, *points: tuple[int, float]) -> None:
        self.records += [record(step, time) for step, time in points]

    @property
    def cost(self) -> work.StageCost:
        return stage_costs(self.folder, self.records)["pretrain"]


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_a_stage_that_is_left_alone_loses_nothing(run):
    run.start(100.0)
    assert run.cost == work.StageCost(1, 0.0, 0.0, None, 0, 0.0)
    run.train((10, 200.0), (20, 1900.0))
    assert run.cost == work.StageCost(1, 1800.0, 1.0, None, 0, 0.0)


def test_what_comes_after_the_checkpoint_is_lost_and_paid_for(run, monkeypatch):
    run.start(0.0)
    run.train((10, 100.0), (20, 200.0), (25, 250.0))
    monkeypatch.setenv("SESAME_QUEUE_SECONDS", "60")
    run.start(1000.0, step=20, gpus=4)
    run.train((30, 1100.0), (35, 1150.0))
    run.start(2000.0, step=20, gpus=4)  # the checkpoint at 30 was never written
    run.train((40, 2200.0))
    assert run.cost == work.StageCost(
        starts=3,
        seconds=250.0 + 150.0 + 200.0,
        gpu_hours=(250.0 * 2 + 150.0 * 4 + 200.0 * 4) / 3600,
        queue_seconds=120.0,
        lost_steps=5 + 15,
        lost_seconds=50.0 + 150.0,
    )


def test_a_start_that_saved_nothing_is_lost_as_a_whole(run):
    run.start(0.0)
    run.train((10, 100.0))
    run.start(500.0)
    assert (run.cost.lost_steps, run.cost.lost_seconds, run.cost.seconds) == (10, 100.0, 100.0)


def test_a_torn_line_is_left_out(run):
    run.start(0.0)
    run.train((10, 100.0))
    path = run.folder / WORK
    path.write_text(path.read_text() + '{"stage": "pretr')
    run.start(500.0, step=10)
    assert run.cost.starts == 2
    for nonsense in ("[1]", '{"stage": 3}', json.dumps({"stage": "pretrain", "time": "x"}), "\x00"):
        path.write_text(f"{path.read_text()}{nonsense}\n")
    assert run.cost.starts == 2


def test_a_run_of_an_earlier_version_has_no_costs(tmp_path):
    assert stage_costs(tmp_path, [record(1, 1.0)]) == {}


def test_the_energy_of_a_job_is_shared_by_its_stages(run, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    run.start(0.0)
    run.train((10, 300.0))
    run.now = 1000.0
    note_start(run.folder, "finetune", 0, 2, 2, [])
    other = [record(10, 1100.0, "finetune")]
    assert jobs_of(run.folder) == ["41"]
    costs = stage_costs(run.folder, run.records + other, {"41": 4000.0})
    assert {stage: cost.energy_joules for stage, cost in costs.items()} == {
        "pretrain": 3000.0,
        "finetune": 1000.0,
    }
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    run.start(2000.0, step=10)
    run.train((20, 2300.0))
    assert jobs_of(run.folder) == ["41", "42"]
    known = {"41": 4000.0, "42": 3_600_000.0}
    whole = stage_costs(run.folder, run.records + other, known)
    assert whole["pretrain"].energy_joules == 3_603_000.0
    partly = stage_costs(run.folder, run.records + other, {"41": 4000.0})
    assert partly["pretrain"].energy_kwh is None
    assert partly["finetune"].energy_joules == 1000.0
