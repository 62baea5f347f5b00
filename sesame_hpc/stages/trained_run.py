"""`Run`: a run folder as Python programs use it. Imports no torch until it is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sesame_hpc.choices import Device, Weights
from sesame_hpc.config import Config
from sesame_hpc.data.crop_scales import ONE_SCALE
from sesame_hpc.report import REPORT_NAME
from sesame_hpc.run.folder import RunFolder

if TYPE_CHECKING:
    from sesame_hpc.inference import Landmarker

__all__ = ["Run"]


class Run:
    """What a run has achieved, and its network. `train` returns one.

    ```python
    run = Run("runs/demo")
    run.result("finetune")["heldout"]["nme"]  # percent
    landmarks = run.landmarker()(image, boxes)
    ```

    Raises:
        FileNotFoundError: `path` does not hold a run.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder(Path(path))
        self._folder.config()

    @classmethod
    def in_folder(cls, folder: RunFolder) -> "Run":
        """A run that is known to be there, whose files this node may not see yet."""
        run = cls.__new__(cls)
        run._folder = folder
        return run

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def config(self) -> Config:
        """The configuration that the run was started with."""
        return self._folder.config()

    @property
    def finished(self) -> tuple[str, ...]:
        """The stages that are finished, in their order."""
        return tuple(filter(self._folder.is_finished, self._folder.stages))

    @property
    def report(self) -> Path | None:
        """The report, an HTML page; None where there is none yet."""
        path = self.path / REPORT_NAME
        return path if path.is_file() else None

    def result(self, stage: str) -> dict[str, Any]:
        """What a finished stage achieved, as in its `result.json`; errors are in percent.

        Raises:
            ValueError: the run has no such stage, or has not finished it.
        """
        if stage not in self._folder.stages:
            known = ", ".join(self._folder.stages)
            raise ValueError(f"{self.path} has no stage {stage!r}; its stages are {known}")
        result = self._folder.result(stage)
        if result is None:
            raise ValueError(f"{self.path} has not finished stage {stage}")
        return result

    def records(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, of one stage or of all.

        A record has stage, epoch (from 1), step and time (in seconds since 1970), and either loss,
        lr and throughput, or the figures of a validation, such as heldout_nme.
        """
        from sesame_hpc.training.records import MetricsLog

        records = MetricsLog.read(self._folder.metrics_file)
        return [each for each in records if stage in (None, each["stage"])]

    def landmarker(
        self,
        device: Device = "auto",
        *,
        stage: str | None = None,
        weights: Weights = "last",
        flip: bool = False,
        scales: Sequence[float] = ONE_SCALE,
        batch_size: int = 32,
    ) -> "Landmarker":
        """The network of the run's last coordinate stage, or of `stage`: see `Landmarker.load`."""
        from sesame_hpc.inference import Landmarker

        return Landmarker.load(
            self.path,
            device,
            stage=stage,
            weights=weights,
            flip=flip,
            scales=scales,
            batch_size=batch_size,
        )
