"""Several ranks: a run goes on with another number of them, and each has its callbacks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import elastic_trainer
import pytest
from training_process import TINY, clean_environment

from sesame_hpc.config import dump_config, load_config

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

# The preliminary stage alone, of 2 epochs of 5 steps of 8 faces, with both kinds of Adam's groups.
SETTINGS = (
    "stages.run=[preliminary]",
    "stages.preliminary.epochs=2",
    "stages.preliminary.weight_decay=0.01",
    "stages.preliminary.ema=0.5",
)


# Ranks, ZeRO's stage, micro-batches per step, step to stop at: 1 -> 2 -> 4 -> 2 -> 1 ranks, with
# micro-batches of 2 faces throughout. Three ranks cannot share 8 faces.
PHASES = (
    (1, 1, 4, 1),
    (2, 1, 2, 3),
    (4, 1, 1, 5),
    (3, 1, 1, None),
    (2, 0, 2, 7),
    (1, 1, 4, None),
)


class Ranks:
    """Runs on several ranks, in forks of one process: what each rank said, by phase."""

    def __init__(self, folder: Path, faces: Path) -> None:
        self.folder, self.faces = folder, faces
        self.orders: list[dict[str, Any]] = []

    def order(
        self,
        run: str,
        ranks: int,
        zero: int,
        accumulation: int,
        stop: int | None = None,
        watched: tuple[int, ...] = (),
        fails: int | None = None,
    ) -> None:
        config = self.folder / f"{run}.yaml"
        (self.folder / "tiny.yaml").write_text(TINY)
        paths = (f"data.root={self.faces}", f"output={self.run(run)}")
        settings = load_config(self.folder / "tiny.yaml", [*paths, *SETTINGS])
        config.write_text(dump_config(settings))
        self.orders.append(
            {
                "run": run,
                "config": str(config),
                "settings": [f"runtime.zero_stage={zero}", f"runtime.accumulation={accumulation}"],
                "ranks": ranks,
                "stop_at": stop,
                "watched": watched,
                "fails": fails,
            }
        )

    def start(self) -> None:
        command = [sys.executable, elastic_trainer.__file__]
        environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
        subprocess.run(
            [*command, str(self.folder), json.dumps(self.orders)], env=environment, check=True
        )

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name

    def said(self, run: str) -> list[list[str]]:
        """What each rank said in each phase of the run."""
        return [
            [(self.folder / f"{number}-{rank}.txt").read_text() for rank in range(order["ranks"])]
            for number, order in enumerate(self.orders)
            if order["run"] == run
        ]

    def losses(self, run: str) -> list[tuple[int, float]]:
        records = map(json.loads, (self.run(run) / "metrics.jsonl").read_text().splitlines())
        return [(record["step"], record["loss"]) for record in records if "loss" in record]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Ranks:
    ranks = Ranks(tmp_path_factory.mktemp("ranks"), faces)
    ranks.order("alone", 1, 0, 4)
    for phase in PHASES:
        ranks.order("moving", *phase)
    ranks.order("watched", 2, 1, 2, watched=(0, 1), fails=1)
    ranks.order("watched", 2, 1, 2, watched=(0, 1))
    ranks.order("rank 0 alone", 2, 1, 2, watched=(0,))
    ranks.start()
    return ranks


def test_a_run_moves_between_numbers_of_ranks(ranks: Ranks) -> None:
    """Each restore is exact on every rank; with equal micro-batches, losses differ by rounding."""
    for number, (texts, phase) in enumerate(zip(ranks.said("moving"), PHASES, strict=True)):
        for text in texts:
            if phase[0] == 3:
                assert ": use 1, 2, 4 or 8 ranks, or a batch_size that is" in text
                continue
            assert text.endswith(f"exit code {0 if phase[3] is None else 75}\n"), text
            assert "OTHER" not in text, text
            assert (number == 0) != ("same bits" in text), text
    one, other = ranks.losses("alone"), ranks.losses("moving")
    assert [step for step, _ in other] == list(range(1, 11))
    assert [loss for _, loss in other] == pytest.approx([loss for _, loss in one], rel=2e-4)


def events(text: str) -> list[dict[str, Any]]:
    """Those that the callback printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"event"')]


def test_callbacks_run_on_every_rank_at_the_same_moments(ranks: Ranks) -> None:
    """Rank 1 failed at step 3; both resumed at the checkpoint of step 2."""
    both = [events(text) for text in ranks.said("watched")[1]]
    assert [{event["rank"] for event in each} for each in both] == [{0}, {1}]
    moments, others = ([(each["event"], each["step"]) for each in of] for of in both)
    assert moments == others
    assert moments[:4] == [
        ("StageStart", 2),
        ("StepEnd", 3),
        ("StepEnd", 4),
        ("CheckpointSaved", 4),
    ]
    assert moments[4:7] == [("StepEnd", 5), ("Validation", 5), ("CheckpointSaved", 5)]
    assert moments[-3:] == [("Validation", 10), ("CheckpointSaved", 10), ("StageEnd", 10)]
    assert all(event.get("whole", True) for each in both for event in each)


def test_figures_and_results_are_the_same_on_every_rank_and_losses_each_rank_s_own(
    ranks: Ranks,
) -> None:
    one, other = (events(text) for text in ranks.said("watched")[1])
    mean: dict[int, float] = {}
    for mine, theirs in zip(one, other, strict=True):
        if mine["event"] == "StepEnd":
            assert mine["loss"] != theirs["loss"]
            mean[mine["step"]] = (mine["loss"] + theirs["loss"]) / 2
        else:
            assert mine | {"rank": 1} == theirs
    recorded = {step: loss for step, loss in ranks.losses("watched") if step in mean}
    assert recorded == pytest.approx(mean, rel=1e-5)
    assert one[-1]["nme"] > 0


def test_a_callback_that_fails_on_one_rank_ends_all(ranks: Ranks) -> None:
    one, other = ranks.said("watched")[0]
    said = "the callback Watcher.on_step failed in stage preliminary at step 3: KeyError: 'no such"
    assert f"CallbackError: {said}" in other
    assert "RankFailed: rank 1 (node " in one
    assert f" failed: CallbackError: {said}" in one
    assert [event["step"] for event in events(other) if event["event"] == "StepEnd"] == [1, 2, 3]


def test_callbacks_on_one_rank_alone_do_not_hold_up_the_others(ranks: Ranks) -> None:
    """They change no bit either."""
    one, other = ranks.said("rank 0 alone")[0]
    assert events(one)[-1]["event"] == "StageEnd"
    assert not events(other)
    assert one.endswith("exit code 0\n")
    assert other.endswith("exit code 0\n")
    name = "checkpoints/preliminary/weights.safetensors"
    watched, alone = (ranks.run(run) / name for run in ("watched", "rank 0 alone"))
    assert watched.read_bytes() == alone.read_bytes()
