"""Weights & Biases: one run for all stages, which later processes continue."""

import secrets
from collections.abc import Mapping

import wandb

from sesame_hpc.config import WandbConfig
from sesame_hpc.tracking.tracker import Image, Status, TrackedRun

__all__ = ["WandbTracker"]


class WandbTracker:
    """Each stage has its own steps, `STAGE/step`, as the axis of its charts."""

    def __init__(self, settings: WandbConfig) -> None:
        self._settings = settings
        self._stages: set[str] = set()

    def start(self, run: TrackedRun) -> str:
        run_id = run.run_id or secrets.token_hex(4)
        self._run = wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            mode=self._settings.mode,
            dir=str(run.folder),
            name=run.name,
            id=run_id,
            resume="allow",
            config=dict(run.params),
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        return run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        (stage,) = {key.partition("/")[0] for key in metrics}
        self._run.log({**metrics, **self._step(stage, step)})

    def log_image(self, key: str, image: Image, step: int) -> None:
        stage = key.partition("/")[0]
        self._run.log({key: wandb.Image(image), **self._step(stage, step)})

    def rewind(self, stage: str, step: int) -> None:
        """W&B keeps what was undone; what is trained again is logged beside it."""

    def finish(self, status: Status) -> None:
        self._run.finish(exit_code=int(status == "failed"))

    def _step(self, stage: str, step: int) -> dict[str, int]:
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/step", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        return {f"{stage}/step": step}
