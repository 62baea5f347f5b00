"""A run goes on with another number of ranks, and with the other stage of ZeRO."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import elastic_trainer
import pytest
from training_process import clean_environment

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


def said_in(folder: Path, config: Path, phases: Sequence[tuple]) -> list[list[str]]:
    """What each rank said in each phase."""
    folder.mkdir()
    orders = [
        {
            "config": str(config),
            "settings": [f"runtime.zero_stage={zero}", f"runtime.accumulation={accumulation}"],
            "ranks": ranks,
            "stop_at": stop,
        }
        for ranks, zero, accumulation, stop in phases
    ]
    command = [sys.executable, elastic_trainer.__file__, str(folder), json.dumps(orders)]
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True)
    return [
        [(folder / f"{number}-{rank}.txt").read_text() for rank in range(order["ranks"])]
        for number, order in enumerate(orders)
    ]


def losses(run: Path) -> list[tuple[int, float]]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(record["step"], record["loss"]) for record in records if "loss" in record]


def test_a_run_moves_between_numbers_of_ranks(write_config, tmp_path: Path) -> None:
    """Each restore is exact on every rank; with equal micro-batches, losses differ by rounding."""
    said_in(tmp_path / "a", write_config("alone", *SETTINGS), [(1, 0, 4, None)])
    texts = said_in(tmp_path / "b", write_config("moving", *SETTINGS), PHASES)
    for number, (ranks, _, _, stop) in enumerate(PHASES):
        for text in texts[number]:
            if ranks == 3:
                assert ": use 1, 2, 4 or 8 ranks, or a batch_size that is" in text
                continue
            assert text.endswith(f"exit code {0 if stop is None else 75}\n"), text
            assert "OTHER" not in text, text
            assert (number == 0) != ("same bits" in text), text
    one, other = (losses(tmp_path / "runs" / run) for run in ("alone", "moving"))
    assert [step for step, _ in other] == list(range(1, 11))
    assert [loss for _, loss in other] == pytest.approx([loss for _, loss in one], rel=2e-4)
