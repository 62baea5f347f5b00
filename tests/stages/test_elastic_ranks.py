"""A run goes on with another number of ranks, and with the other stage of ZeRO."""

import json
import subprocess
import sys
from pathlib import Path

import elastic_trainer
import pytest
from training_process import clean_environment

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

# The preliminary stage alone, of 3 epochs of 5 steps of 8 faces, with both kinds of Adam's groups.
SETTINGS = (
    "stages.run=[preliminary]",
    "stages.preliminary.weight_decay=0.01",
    "stages.preliminary.ema=0.5",
)


def moved(tmp_path: Path, config: Path, *phases: tuple[int, int, int, int | None]) -> list[str]:
    """What rank 0 said in each phase: (ranks, ZeRO's stage, accumulation, last step)."""
    orders = [
        {
            "config": str(config),
            "settings": [f"runtime.zero_stage={zero}", f"runtime.accumulation={accumulation}"],
            "ranks": ranks,
            "stop_at": stop,
        }
        for ranks, zero, accumulation, stop in phases
    ]
    said = tmp_path / f"said-{config.stem}"
    said.mkdir()
    command = [sys.executable, elastic_trainer.__file__, str(said), json.dumps(orders)]
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, timeout=300)
    for number, order in enumerate(orders):
        for rank in range(order["ranks"]):
            text = (said / f"{number}-{rank}.txt").read_text()
            assert "OTHER" not in text, text
            wanted = 0 if order["stop_at"] is None else 75
            assert text.endswith(f"exit code {wanted}\n"), text
            if number:
                assert "restored step-" in text
    return [(said / f"{number}-0.txt").read_text() for number in range(len(orders))]


def losses(run: Path) -> list[tuple[int, float]]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(record["step"], record["loss"]) for record in records if "loss" in record]


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("zero0", [(1, 0, 4, 4), (2, 0, 2, 7), (1, 0, 4, None)]),
        ("zero1", [(1, 1, 4, 4), (2, 1, 2, 7), (4, 1, 1, 11), (2, 1, 2, 13), (1, 1, 4, None)]),
        ("both", [(2, 1, 2, 4), (4, 0, 1, 6), (2, 1, 2, None)]),
    ],
)
def test_a_run_moves_between_numbers_of_ranks(write_config, tmp_path: Path, name, phases) -> None:
    """With equal micro-batches, losses differ by rounding; each restore is exact on every rank."""
    alone = write_config("alone", *SETTINGS)
    moved(tmp_path, alone, (1, 0, 4, None))
    config = write_config(name, *SETTINGS)
    moved(tmp_path, config, *phases)
    one, other = (losses(tmp_path / "runs" / run) for run in ("alone", name))
    assert [step for step, _ in other] == list(range(1, 16))
    assert [loss for _, loss in other] == pytest.approx([loss for _, loss in one], rel=2e-4)
    summary = json.loads((tmp_path / "runs" / name / "summary.json").read_text())
    assert summary["test"]["faces"] == 10


def test_a_number_of_ranks_that_cannot_share_a_batch_is_refused(write_config, tmp_path) -> None:
    config = write_config("refused", *SETTINGS)
    moved(tmp_path, config, (2, 1, 1, 3))
    said = tmp_path / "three"
    said.mkdir()
    order = {"config": str(config), "settings": [], "ranks": 3, "stop_at": None}
    command = [sys.executable, elastic_trainer.__file__, str(said), json.dumps([order])]
    subprocess.run(command, env=clean_environment(), check=True, timeout=300)
    for rank in range(3):
        text = (said / f"0-{rank}.txt").read_text()
        assert text.endswith("valid are ranks: 1, 2, 4, 8\nexit code 2\n"), text
