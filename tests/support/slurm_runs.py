"""Tiny runs on the cluster: their settings, how far they are, and what they end with."""

import json
import math
import re
import time
from pathlib import Path
from typing import Any

from patience import Patience
from safetensors.torch import load_file

from sesame_hpc.choices import STAGES

__all__ = ["TrainingRun", "assert_same_end", "one_stage", "resumed_steps"]

_DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
_TINY = """
base: {demo}
output: {output}
data: {{root: {faces}, heldout: 8, threads: 1}}
model: {{width: 8, levels: 2, image_size: 32, map_size: 8}}
stages:
  preliminary: {{epochs: 40, batch_size: 8}}
  pretrain: {{epochs: 40, batch_size: 8}}
  finetune: {{epochs: 40, batch_size: 8}}
runtime: {{device: cpu, threads: 1}}
checkpoint: {{every_epochs: 4, every_steps: {every_steps}}}
log: {{every_steps: 1, eval_epochs: 0, images_epochs: 0, tensorboard: false}}
"""


class TrainingRun:
    """A run folder and, beside it, the demo's config made tiny; each stage takes 200 steps."""

    every_steps = 20

    def __init__(self, folder: Path, faces: Path) -> None:
        self.folder = folder
        self.config = folder.parent / f"{folder.name}.yaml"
        self.config.parent.mkdir(parents=True, exist_ok=True)
        paths = {"output": folder, "faces": faces, "demo": _DEMO}
        quoted = {name: json.dumps(str(path)) for name, path in paths.items()}
        self.config.write_text(_TINY.format(**quoted, every_steps=self.every_steps))

    def last_step(self, stage: str, before: float = math.inf) -> int:
        """The last step of a stage that was recorded before a time, in seconds since 1970; 0 if
        none was."""
        try:
            lines = (self.folder / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return 0
        records = [record for record in map(json.loads, lines) if "loss" in record]
        records = [record for record in records if record["time"] < before]
        return max((record["step"] for record in records if record["stage"] == stage), default=0)

    def wait_for_step(self, stage: str, step: int, seconds: float = 240) -> int:
        """Wait until a stage has recorded `step`, which it must not have ended; the step it is at.

        Fails where the stage has ended meanwhile: then it could not be disturbed any more.
        """
        patience, result = Patience(seconds), self.folder / "checkpoints" / stage / "result.json"
        while (now := self.last_step(stage)) < step:
            assert not result.exists(), f"{stage} ended before step {step}"
            assert not patience.is_over(), f"{stage} is at step {now} of {step}"
            time.sleep(0.02)
        assert not result.exists()
        return now

    def weights(self) -> dict[str, Any]:
        return {
            f"{stage}/{key}": value
            for stage in STAGES
            for key, value in load_file(
                self.folder / "checkpoints" / stage / "weights.safetensors"
            ).items()
        }

    def result(self, stage: str) -> dict[str, Any]:
        return json.loads((self.folder / "checkpoints" / stage / "result.json").read_text())

    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text())


def one_stage(run: TrainingRun, epochs: int = 1) -> TrainingRun:
    """The same run with `epochs` of preliminary, five steps each, and no other stage."""
    text = re.sub(r"stages:\n(?:  .*\n)+", "", run.config.read_text())
    stage = f"stages: {{run: [preliminary], preliminary: {{epochs: {epochs}, batch_size: 8}}}}\n"
    run.config.write_text(text + stage)
    return run


def resumed_steps(log: str, stage: str) -> list[int]:
    """Where a stage went on, at each of its starts that found a checkpoint."""
    return [int(step) for step in re.findall(rf"{stage}: 40 epochs .* from step (\d+)", log)]


def assert_same_end(run: TrainingRun, undisturbed: TrainingRun) -> None:
    """Both have finished, with the same bits and the same figures."""
    one, other = run.weights(), undisturbed.weights()
    assert one.keys() == other.keys()
    assert [key for key in one if not one[key].equal(other[key])] == []
    for part in ("stages", "test", "masking"):
        assert run.summary()[part] == undisturbed.summary()[part]
