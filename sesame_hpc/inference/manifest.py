"""`Manifest`: all that a model needs beside its weights. Imports no torch."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sesame_hpc.choices import Weights
from sesame_hpc.config import BoxConfig, HeadConfig, ModelConfig
from sesame_hpc.inference.calibration import Calibration, CalibrationCheck
from sesame_hpc.inference.refinement import BoxOffsets
from sesame_hpc.schemes import Scheme

__all__ = ["Manifest"]


class Manifest(BaseModel):
    """The `config.json` beside exported weights, and the metadata `sesame` of an ONNX file.

    `box.scale` is the side of the crop's window over the longer side of the face's box, and
    `box_offsets` lead from the landmarks' tight box to that box (None: not known). `name` says
    which run and stage the weights are from: as the last step left them, or their moving average
    (ema). With `flip` the network averages over each crop and its mirrored image. The calibration
    is of these weights with this flip.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["sesame-hpc landmarks 1"] = "sesame-hpc landmarks 1"
    name: str
    weights: Weights = "last"
    flip: bool = False
    scheme: Scheme
    model: ModelConfig
    head: HeadConfig
    box: BoxConfig
    box_offsets: BoxOffsets | None = None
    calibration: Calibration | None = None
    check: CalibrationCheck | None = None

    @property
    def title(self) -> str:
        """Run, stage, and which of its networks, for people: "demo/finetune, EMA weights"."""
        averaged = ", EMA weights" if self.weights == "ema" else ""
        return f"{self.name}{averaged}{', flip test' if self.flip else ''}"

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: Path | str) -> "Manifest":
        """Raises ValueError naming `where` and each key that is wrong."""
        try:
            manifest = cls.model_validate_json(text)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
                for problem in error.errors()[:5]
            )
            raise ValueError(
                f"{where} is not a model description of sesame-hpc: {problems}"
            ) from None
        calibration, landmarks = manifest.calibration, manifest.scheme.num_landmarks
        if calibration is not None and len(calibration.usual) != landmarks:
            raise ValueError(
                f"{where}: calibration: is of {len(calibration.usual)} landmarks, "
                f"the scheme has {landmarks}"
            )
        return manifest
