"""Figures of a run's network (`evaluate_run`) or of a file of predictions (`evaluate_file`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sesame_hpc.choices import COORDINATE_STAGES, STAGES, Part, one_of
from sesame_hpc.config import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.crop_scales import ONE_SCALE, Scales, checked_scales, resized_box
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.distributed.world import connect
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.predict import predict
from sesame_hpc.evaluation.predictions import read_predictions
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.run.faces import run_scheme
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.source import Source
from sesame_hpc.training.checkpoint import load_weights

__all__ = ["evaluate_file", "evaluate_run", "protocol"]

Progress = Callable[[str, int, int], None]

_PARTS = {
    "train": "train, all of it, including the faces of training",
    "heldout": "held-out faces of train",
    "test": "test",
}


def _no_progress(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class _Network:
    """One network of a run: a stage's last weights, or with `averaged` their moving average."""

    folder: RunFolder
    stage: str
    averaged: bool = False

    @property
    def title(self) -> str:
        return f"{self.folder.path.name}/{self.stage}" + ", EMA weights" * self.averaged

    @property
    def has_average(self) -> bool:
        return not self.averaged and self.folder.weights(self.stage, averaged=True).exists()

    def require(self) -> None:
        """Raise FileNotFoundError for a missing run or an unfinished stage."""
        self.folder.config()
        path = self.folder.weights(self.stage, self.averaged)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: has this stage finished?")

    def predict(
        self,
        faces: Annotations,
        progress: Progress,
        *,
        flip: bool = False,
        scale: float = 1.0,
    ) -> tuple[np.ndarray, Annotations]:
        """[N, K, 2] in original pixels and the faces that could be read. Collective.

        From crops of `scale` times the size of those of training.
        """
        config = self.folder.config()
        data = config.data.model_copy(update={"box": resized_box(config.data.box, scale)})
        scheme = run_scheme(config, self.folder)
        if scheme.points != faces.scheme.points:
            raise ValueError(
                f"{self.folder.path} predicts the landmarks of {scheme.name}, but these faces "
                f"have those of {faces.scheme.name}"
            )
        weights = load_weights(self.folder.weights(self.stage, self.averaged))
        world = connect(config.runtime)
        network = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
        network.load_state_dict(weights)
        loader = EvalLoader(
            faces,
            data,
            config.model.image_size,
            batch_size=getattr(config.stages, self.stage).batch_size,
            device=world.device,
            rank=world.rank,
            world_size=world.size,
        )
        with world.detecting_failures():
            return predict(
                network.to(world.device),
                loader,
                faces,
                world.gather,
                flip=flip,
                progress=partial(progress, self.title + _suffix(flip, scale)),
            )


def _suffix(flip: bool, scale: float) -> str:
    return ", flip test" * flip + (f", scale {scale:g}" if scale != 1 else "")


def protocol(part: Part, box: BoxConfig | None) -> dict[str, str]:
    """The faces and their crops, for the record: figures of other protocols are not comparable.

    `box` None if unknown.
    """
    return {"part": _PARTS[part], "box": "not known" if box is None else _crops(box)}


def _crops(box: BoxConfig) -> str:
    if box.protocol == "letterbox":
        return f"letterbox, {box.scale} x the data set's box"
    whose = "landmarks'" if box.protocol == "landmarks" else "data set's"
    return f"square window, {box.scale} x the longer side of the {whose} box"


def evaluate_run(
    run: Path,
    source: Source,
    stage: str | None = None,
    *,
    flip: bool = False,
    scales: Scales = ONE_SCALE,
    other: Path | None = None,
    progress: Progress = _no_progress,
) -> dict[str, Any]:
    """Figures (`Figures.to_json`) of a stage's network on the faces of `source`. Collective.

    `stage` None is the last one of the run. `run` is a run folder, or a `weights.safetensors` or
    `weights-ema.safetensors` in one, which then determines the stage. With `flip`, "flip_test" has
    the figures of predictions averaged with those of the mirrored crop; with more `scales` than 1,
    "multi_scale" has those of the mean over crops of these sizes, relative to that of training. If
    the stage has averaged weights, "ema" has theirs. Of several, the keys are joined in this order:
    "ema_flip_test_multi_scale". With `other`, a second run, "compared" has the paired differences,
    other minus this. `progress` is called with what is being evaluated, and how many batches are
    done and there are.

    Raises FileNotFoundError for a folder without a run or without the finished stage, ValueError
    for a stage without coordinates, faces of another scheme, or scales that are none.
    """
    scales = checked_scales(scales)
    network = _locate(run, stage)
    second = _locate(other, stage) if other is not None else None
    if second is not None:
        second.require()
    config = network.folder.config()
    scheme = run_scheme(config, network.folder)
    faces, part = source.read(config.data.format, scheme, network.folder)
    predicted, faces = network.predict(faces, progress)

    def score(points: np.ndarray) -> dict[str, Any]:
        return figures(points, faces, protocol(part, config.data.box)).to_json()

    result = score(predicted)
    for each in (network, replace(network, averaged=True)) if network.has_average else (network,):
        for flipped in (False, True) if flip else (False,):
            looks = {1.0: predicted} if each is network and not flipped else {}
            for scale in sorted({1.0, *scales} - looks.keys()):  # in one order on all ranks
                looks[scale] = each.predict(faces, progress, flip=flipped, scale=scale)[0]
            for wanted in (ONE_SCALE, scales) if scales != ONE_SCALE else (ONE_SCALE,):
                if key := _key(each is not network, flipped, wanted):
                    result[key] = score(np.mean([looks[scale] for scale in wanted], axis=0))
    if scales != ONE_SCALE:
        result["protocol"]["scales"] = ", ".join(f"{scale:g}" for scale in scales)
    if second is not None:
        theirs, _ = second.predict(faces, progress)
        result["compared"] = {"with": str(other), **compare(predicted, theirs, faces)}
    return result


def _key(averaged: bool, flip: bool, scales: Scales) -> str:
    """Of the result: "" for the network as it is."""
    parts = {"ema": averaged, "flip_test": flip, "multi_scale": scales != ONE_SCALE}
    return "_".join(name for name, applies in parts.items() if applies)


def evaluate_file(predictions: Path, source: Source, scheme: str | None = None) -> dict[str, Any]:
    """The same figures for predictions in a file (see `read_predictions`)."""
    faces, part = source.read("wflw", load_scheme(scheme) if scheme else None)
    return figures(read_predictions(predictions, faces), faces, protocol(part, None)).to_json()


def _locate(path: Path, stage: str | None) -> _Network:
    """The network of a run folder and a stage, or of a file of weights."""
    averaged = False
    if path.is_file():
        path, stage, averaged = _of_file(path)
    stage = stage or RunFolder(path).last_stage
    if stage not in COORDINATE_STAGES:
        valid = one_of(COORDINATE_STAGES)
        raise ValueError(f"stage {stage!r} predicts no landmarks; takes {valid}")
    return _Network(RunFolder(path), stage, averaged)


def _of_file(path: Path) -> tuple[Path, str, bool]:
    """Run folder, stage, and whether it is the EMA."""
    file = path.resolve()
    for stage in STAGES:
        for averaged in (False, True):
            run = file.parents[min(2, len(file.parents) - 1)]
            if RunFolder(run).weights(stage, averaged) == file:
                return run, stage, averaged
    raise ValueError(
        f"{path} is not a network in a run folder, which is "
        "RUN/checkpoints/STAGE/weights.safetensors or weights-ema.safetensors"
    )
