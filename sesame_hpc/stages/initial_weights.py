"""What a stage starts from beside the run's other stages: `init_from` and `model.weights`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sesame_hpc.checksums import file_digest
from sesame_hpc.config import Config
from sesame_hpc.distributed.world import World
from sesame_hpc.files import read_json, write_json_atomic
from sesame_hpc.models.backbones import MapsOfFeatures
from sesame_hpc.models.timm_backbone import PRETRAINED, TimmBackbone
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.init_from import TrainedWeights, map_names, read_trained, take_trained
from sesame_hpc.stages.session import Session

__all__ = ["START_FILE", "check_initial_weights", "take_initial_weights"]

START_FILE = "start.json"
"""In the folder of a stage: the file it started from, its SHA-256, and the account."""


def check_initial_weights(
    config: Config, folder: RunFolder, stages: Sequence[str], world: World
) -> None:
    """Raise, as `take_initial_weights` would, where what `stages` are to start from cannot be read.

    Those that have a checkpoint need it no more, which rank 0 finds out. Collective.
    """
    resumed = [stage for stage in stages if any(folder.stage(stage).glob("step-*"))]
    resumed = world.share(resumed if world.is_main else None)
    fresh = [stage for stage in stages if stage not in resumed]
    for stage in fresh:
        init_from = getattr(config.stages, stage).init_from
        if init_from is not None:
            _read(init_from, stage)
    weights = config.model.weights
    if fresh and weights not in (None, PRETRAINED) and not Path(weights).expanduser().is_file():
        raise FileNotFoundError(
            f"model.weights: {weights} does not exist; give a safetensors file, or {PRETRAINED} "
            "to download timm's"
        )


def _read(init_from: Path, stage: str) -> TrainedWeights:
    try:
        return read_trained(init_from, stage)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{_key(stage)}: {error}") from None


def _key(stage: str) -> str:
    return f"stages.{stage}.init_from"


def take_initial_weights(session: Session, stage: str, network: nn.Module) -> None:
    """Copy the weights that `stages.<stage>.init_from` or `model.weights` gives into `network`.

    Nothing is read where the stage resumes: its checkpoint holds them. `network` is a fresh one;
    `init_from`, the whole network, comes before `model.weights`, the backbone alone. Collective.

    Raises ValueError or FileNotFoundError that names the setting, the file and what is wrong.
    """
    config, init_from = session.config, session.stage_config(stage).init_from
    weights = config.model.weights
    if (init_from is None and weights is None) or session.checkpoints(stage).has_whole():
        return
    if init_from is None:
        assert weights is not None
        body = _timm_body(network)
        account, file = body.load_timm_weights(weights), _existing(weights)
        _note(session, stage, "model.weights", file, weights, account)
        return
    names = map_names(config, session.faces.scheme, stage)
    trained = _read(init_from, stage)
    try:
        account = take_trained(trained, network, config.model, names)
    except ValueError as error:
        raise ValueError(f"{_key(stage)}: {error}") from None
    _note(session, stage, _key(stage), trained.file, str(init_from), account)


def _timm_body(network: nn.Module) -> TimmBackbone:
    backbone = network.backbone
    assert isinstance(backbone, MapsOfFeatures)
    assert isinstance(backbone.body, TimmBackbone)
    return backbone.body


def _existing(weights: str) -> Path | None:
    path = Path(weights).expanduser()
    return path if path.is_file() else None


def _note(
    session: Session, stage: str, key: str, file: Path | None, given: str, account: str
) -> None:
    """Say and record where the weights are from. A stage that starts again starts from the same."""
    path = session.folder.stage(stage) / START_FILE
    if session.world.is_main:
        digest = None if file is None else file_digest(file)
        before = _recorded(path)
        if before and before != digest:
            raise ValueError(
                f"{key}: {file} was changed since the stage began (SHA-256 {before} then)"
            )
        note = {"setting": key, "from": given, "file": file and str(file), "sha256": digest}
        write_json_atomic(path, note | {"account": account})
    session.monitor.message(f"{stage} starts from {given}: {account}")


def _recorded(path: Path) -> Any:
    try:
        return read_json(path).get("sha256")
    except (FileNotFoundError, ValueError, AttributeError):
        return None
