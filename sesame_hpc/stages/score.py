"""Figures of a finished landmark network and its EMA on the held-out and test faces."""

from typing import Any

from torch import nn

from sesame_hpc.choices import Part
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.predict import predict_with_spread
from sesame_hpc.evaluation.predictions import write_predictions
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.models.weights import save_weights
from sesame_hpc.stages.evaluate import protocol
from sesame_hpc.stages.session import Session
from sesame_hpc.training.ema import ModelEMA

__all__ = ["score"]

_PARTS: tuple[Part, ...] = ("heldout", "test")


def score(
    session: Session, stage: str, network: nn.Module, average: ModelEMA | None
) -> dict[str, Any]:
    """{"heldout": figures, "test": figures, or None without such a part}. Collective.

    Figures are `Figures.to_json`; with an `average` they have those of the averaged weights under
    "ema". Predictions and averaged weights are written to the run folder.
    """
    assert isinstance(network, LandmarkNet)
    session.world.share_buffers(network)
    result: dict[str, Any] = {part: _score(session, stage, network, part) for part in _PARTS}
    if average is None:
        return result
    weights = average.weights()
    if session.world.is_main:
        save_weights(session.folder.weights(stage, averaged=True), weights)
    config = session.config
    averaged = LandmarkNet(config.model, config.head, session.faces.scheme.num_landmarks)
    averaged.load_state_dict(weights)
    averaged.to(session.world.device)
    for part in _PARTS:
        if result[part] is not None:
            result[part]["ema"] = _score(session, stage, averaged, part, averaged=True)
    return result


def _score(
    session: Session, stage: str, network: LandmarkNet, part: Part, averaged: bool = False
) -> dict[str, Any] | None:
    faces: Annotations | None = getattr(session.faces, part)
    if faces is None:
        return None
    loader = session.eval_loader(faces, session.stage_config(stage).batch_size)
    predicted, spread, faces = predict_with_spread(network, loader, faces, session.world.gather)
    if session.world.is_main:
        path = session.folder.predictions(stage, part, averaged)
        write_predictions(path, predicted, faces, spread)
    return figures(predicted, faces, protocol(part, session.config.data.box)).to_json()
