"""`evaluate_run` and `evaluate_file`: figures of a run's network, or of anybody's predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.config import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loader import EvalLoader
from sesame_hpc.data.readers import Format, Split, has_split, read_annotations
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.evaluation.predictions import read_predictions
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.schemes import Scheme, load_scheme
from sesame_hpc.stages.faces import run_scheme
from sesame_hpc.stages.folder import RunFolder
from sesame_hpc.training.checkpoint import load_weights
from sesame_hpc.training.distributed import connect

__all__ = ["Source", "crop_protocol", "evaluate_file", "evaluate_run"]

_COORDINATE_STAGES = ("preliminary", "finetune")


@dataclass(frozen=True)
class Source:
    """Faces to evaluate on. `format` None takes the run's, `split` None test if there is one."""

    root: Path
    format: Format | None = None
    split: Split | None = None

    def read(self, format: Format, scheme: Scheme | None) -> Annotations:
        chosen = self.format or format
        has_test = has_split(self.root, chosen, "test", scheme)
        split = self.split or ("test" if has_test else "train")
        return read_annotations(self.root, chosen, split, scheme)


def crop_protocol(box: BoxConfig) -> dict[str, str]:
    """How crops are made, for the record: figures under other protocols are not comparable."""
    whose = "landmarks'" if box.protocol == "landmarks" else "data set's"
    if box.protocol == "letterbox":
        return {"box": f"letterbox, {box.scale} x the data set's box"}
    return {"box": f"square window, {box.scale} x the longer side of the {whose} box"}


def evaluate_run(
    run: Path,
    source: Source,
    stage: str = "finetune",
    *,
    flip: bool = False,
    other: Path | None = None,
) -> dict[str, Any]:
    """Figures (`Figures.to_json`) of a stage's network on the faces of `source`. Collective.

    `run` is a run folder, or a `weights.safetensors` in one, which then names the stage. With
    `flip`, "flip_test" holds the figures of predictions averaged with the mirrored crop's; where
    the stage kept averaged weights, "ema" holds theirs. With `other`, a second run, "compared"
    holds the paired differences, other minus this.

    Raises FileNotFoundError for a folder that holds no run or no finished stage, ValueError for a
    stage without coordinates or faces of another scheme.
    """
    folder, stage = _locate(run, stage)
    config = folder.config()
    faces = source.read(config.data.format, run_scheme(config, folder))
    predicted, faces = _predict(folder, stage, faces)
    protocol = crop_protocol(config.data.box)
    result = figures(predicted, faces, protocol).to_json()
    if flip:
        with_flip, _ = _predict(folder, stage, faces, flip=True)
        result["flip_test"] = figures(with_flip, faces, protocol).to_json()
    if folder.weights(stage, averaged=True).exists():
        averaged, _ = _predict(folder, stage, faces, averaged=True)
        result["ema"] = figures(averaged, faces, protocol).to_json()
    if other is not None:
        theirs, _ = _predict(*_locate(other, stage), faces)
        result["compared"] = {"with": str(other), **compare(predicted, theirs, faces)}
    return result


def evaluate_file(predictions: Path, source: Source, scheme: str | None = None) -> dict[str, Any]:
    """The same figures for predictions in a file (see `read_predictions`)."""
    faces = source.read("wflw", load_scheme(scheme) if scheme else None)
    return figures(read_predictions(predictions, faces), faces, {"box": "not known"}).to_json()


def _locate(path: Path, stage: str) -> tuple[RunFolder, str]:
    if path.is_file():
        path, stage = path.parents[2], path.parent.name
    if stage not in _COORDINATE_STAGES:
        valid = " or ".join(_COORDINATE_STAGES)
        raise ValueError(f"stage {stage!r} predicts no landmarks; {valid}")
    return RunFolder(path), stage


def _predict(
    folder: RunFolder, stage: str, faces: Annotations, *, flip: bool = False, averaged: bool = False
) -> tuple[np.ndarray, Annotations]:
    config = folder.config()
    weights = load_weights(folder.weights(stage, averaged))
    world = connect(config.runtime)
    network = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
    network.load_state_dict(weights)
    loader = EvalLoader(
        faces,
        config.data,
        config.model.image_size,
        batch_size=getattr(config.stages, stage).batch_size,
        device=world.device,
        rank=world.rank,
        world_size=world.size,
    )
    with world.answering():
        return predict(network.to(world.device), loader, faces, world.gather, flip=flip)
