"""`init_from`: trained weights of a run, an export or a file, with the names of their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from sesame_hpc.checksums import read_verified
from sesame_hpc.choices import COORDINATE_STAGES, STAGES
from sesame_hpc.config import Config, ModelConfig
from sesame_hpc.inference.exported import CONFIG_FILE, WEIGHTS_FILE, find_exported
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.models.transfer import transfer_backbone, transfer_maps
from sesame_hpc.models.weights import load_weights
from sesame_hpc.plural import counted
from sesame_hpc.run.faces import run_scheme
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import Scheme

__all__ = ["TrainedWeights", "map_names", "read_trained", "take_trained"]

_SUFFIX = ".safetensors"
_OF_THE_CROPS = {"image_size", "map_size", "weights"}
"""Settings of the model that no tensor depends on."""


@dataclass(frozen=True)
class TrainedWeights:
    """A state dict, the file it is from, and what is known of its network.

    `names` are those of its heads' maps, and `model` its settings; None where the file lies alone.
    """

    file: Path
    weights: dict[str, Tensor]
    names: tuple[str, ...] | None
    model: ModelConfig | None


def map_names(config: Config, scheme: Scheme, stage: str) -> tuple[str, ...]:
    """The names of the maps of each head in the network of `stage`: landmarks, pixels or both."""
    landmarks = scheme.points
    if stage != "pretrain":
        return landmarks
    upscale = config.head.reconstruction_upscale
    pixels = tuple(f"pixel {index} of {upscale} x {upscale}" for index in range(3 * upscale**2))
    return (*landmarks, *pixels) if config.stages.pretrain.landmark_weight else pixels


def read_trained(path: Path, stage: str) -> TrainedWeights:
    """What `init_from` of `stage` names. Nothing in the files is executed or imported.

    Of a run it is the last finished stage with landmarks or, for pretrain, its pretrain.

    Raises FileNotFoundError where there is nothing, ValueError for what is damaged, unfinished or
    no weights of this program. Both name the file.
    """
    path = find_exported(path)
    if (path / "config.yaml").is_file():
        folder = RunFolder(path)
        return _of_stage(folder, _best_stage(folder, stage))
    if path.is_dir() and (path / CONFIG_FILE).is_file():
        manifest = Manifest.from_json(read_verified(path / CONFIG_FILE), path / CONFIG_FILE)
        file = path / WEIGHTS_FILE
        return TrainedWeights(file, load_weights(file), manifest.scheme.points, manifest.model)
    if path.is_dir():
        raise ValueError(
            f"{path} is neither a run folder (config.yaml) nor an export with {WEIGHTS_FILE}"
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix != _SUFFIX:
        raise ValueError(
            f"{path} is not a safetensors file; valid are those, run folders, and folders of "
            "sesame export that hold one"
        )
    folder = RunFolder(path.parent.parent.parent)
    if folder.config_file.is_file() and path.parent.name in STAGES:
        return _of_stage(folder, path.parent.name, path)
    return TrainedWeights(path, load_weights(path), None, None)


def _best_stage(folder: RunFolder, stage: str) -> str:
    order = [*reversed(COORDINATE_STAGES), "pretrain"]
    for name in sorted(order, key=lambda name: name != stage) if stage == "pretrain" else order:
        if folder.is_finished(name):
            return name
    raise ValueError(f"{folder.path} has not finished any stage")


def _of_stage(folder: RunFolder, stage: str, file: Path | None = None) -> TrainedWeights:
    config = folder.config()
    names = map_names(config, run_scheme(config, folder), stage)
    file = file or folder.weights(stage)
    return TrainedWeights(file, load_weights(file), names, config.model)


def take_trained(
    trained: TrainedWeights, network: nn.Module, model: ModelConfig, names: Sequence[str]
) -> str:
    """Copy trained weights into `network`, whose maps have `names`; returns the account.

    Everything but the heads must fit. Maps are taken by their names.

    Raises ValueError naming what does not fit: settings where they are known, or tensors.
    """
    try:
        report = transfer_backbone(trained.weights, network)
        heads = transfer_maps(trained.weights, network, trained.names or (), names)
    except ValueError as error:
        other = _other_settings(trained.model, model)
        raise ValueError(f"{trained.file}: {other or error}") from None
    if trained.names is None:
        return f"{report}; all heads are fresh, since the file alone does not name its points"
    return f"{report}; of the {counted(len(names), 'map')} of a head, {heads} taken by name"


def _other_settings(theirs: ModelConfig | None, own: ModelConfig) -> str:
    """The settings that make the networks differ, as text; "" where none are known to."""
    if theirs is None:
        return ""
    changed = [
        f"model.{key} is {getattr(theirs, key)} there and {getattr(own, key)} here"
        for key in ModelConfig.model_fields
        if key not in _OF_THE_CROPS and getattr(theirs, key) != getattr(own, key)
    ]
    return f"its network is another one: {'; '.join(changed)}" if changed else ""
