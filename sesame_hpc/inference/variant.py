"""`Variant`: which of a run's networks is meant. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sesame_hpc.choices import COORDINATE_STAGES, WEIGHTS, Weights, one_of
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.run.folder import RunFolder

__all__ = ["Variant"]


@dataclass(frozen=True)
class Variant:
    """A stage's weights as its last step left them or their moving average (ema), flip test or not.

    `stage` None is the last one of the run. Raises ValueError for a stage without coordinates or
    weights of another name.
    """

    stage: str | None = None
    weights: Weights = "last"
    flip: bool = False

    def __post_init__(self) -> None:
        if self.stage is not None and self.stage not in COORDINATE_STAGES:
            raise ValueError(
                f"stage {self.stage!r} predicts no landmarks; takes {one_of(COORDINATE_STAGES)}"
            )
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights are {self.weights!r}; takes {one_of(WEIGHTS)}")

    def stage_of(self, folder: RunFolder) -> str:
        return self.stage or folder.last_stage

    @property
    def suffix(self) -> str:
        """What tells the files of the variants apart: "", "-ema", "-flip", "-ema-flip"."""
        return ("-ema" if self.weights == "ema" else "") + ("-flip" if self.flip else "")

    def weights_file(self, folder: RunFolder) -> Path:
        """Raises ValueError where the finished stage kept no average."""
        stage = self.stage_of(folder)
        path = folder.weights(stage, averaged=self.weights == "ema")
        if not path.exists() and folder.weights(stage).exists():
            raise ValueError(
                f"{folder.path} has no EMA weights of {stage}, since its config does not set "
                f"stages.{stage}.ema; take weights last"
            )
        return path

    def check_export(self, manifest: Manifest, path: Path) -> None:
        """Raises ValueError where something is asked for that the exported model is not.

        The defaults stand for whatever it is.
        """
        asked = {
            f"stage {self.stage}": self.stage in (None, manifest.name.rsplit("/", 1)[-1]),
            f"weights {self.weights}": self.weights in ("last", manifest.weights),
            "flip": manifest.flip or not self.flip,
        }
        if missed := [name for name, is_met in asked.items() if not is_met]:
            raise ValueError(
                f"{path} is {manifest.title}, not {', '.join(missed)}: an exported model is what "
                "it was exported as; export the run with these options"
            )

    def calibration_file(self, folder: RunFolder) -> Path:
        return folder.stage(self.stage_of(folder)) / f"calibration{self.suffix}.json"

    def export_folder(self, folder: RunFolder) -> Path:
        """Where `sesame export` writes: a folder for each variant, since each has its own card."""
        stage = "" if self.stage_of(folder) == folder.last_stage else f"-{self.stage}"
        return folder.path / f"export{stage}{self.suffix}"

    def figures(self, folder: RunFolder) -> dict[str, dict[str, Any]]:
        """The run's own figures of these weights by part; none with the flip test."""
        result = {} if self.flip else folder.result(self.stage_of(folder)) or {}
        tables = {part: result[part] for part in ("heldout", "test") if result.get(part)}
        if self.weights == "last":
            return tables
        return {part: table["ema"] for part, table in tables.items() if "ema" in table}
