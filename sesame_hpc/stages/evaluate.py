"""`evaluate_run`: the NME of a finished stage's network on any faces of the run's scheme."""

from pathlib import Path
from typing import Any

from rich.console import Console

from sesame_hpc.config import Config
from sesame_hpc.data.loader import EvalLoader
from sesame_hpc.data.readers import Format, Split, has_split, read_annotations
from sesame_hpc.evaluation.predict import evaluate
from sesame_hpc.files import write_json_atomic
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.schemes import Scheme
from sesame_hpc.stages.faces import run_scheme
from sesame_hpc.stages.folder import RunFolder
from sesame_hpc.stages.summary import print_regions
from sesame_hpc.training.checkpoint import load_weights
from sesame_hpc.training.distributed import World, connect

__all__ = ["evaluate_run"]

_COORDINATE_STAGES = ("preliminary", "finetune")


def evaluate_run(
    run: Path,
    root: Path,
    format: Format | None,
    split: Split | None,
    stage: str,
    json_path: Path | None,
) -> dict[str, Any]:
    """Evaluate `stage`'s network of the run folder on `root`; print a table, return its figures.

    NME in percent, of the outer eye corners' distance, in original pixels against unclamped labels.
    `format` None takes the run's own, `split` None test where the set has one, else train. With
    `json_path` the figures are also written there.

    Raises FileNotFoundError for a folder that holds no run or no finished stage, ValueError for a
    stage without coordinates or faces of another scheme.
    """
    if stage not in _COORDINATE_STAGES:
        raise ValueError(
            f"stage {stage!r} predicts no landmarks; {' or '.join(_COORDINATE_STAGES)}"
        )
    folder = RunFolder(run)
    config = folder.config()
    weights = load_weights(folder.weights(stage))
    scheme = run_scheme(config, folder)
    format = format or config.data.format
    split = split or ("test" if has_split(root, format, "test", scheme) else "train")
    faces = read_annotations(root, format, split, scheme)
    world = connect(config.runtime)
    network = _network(config, scheme, world)
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
    figures = evaluate(network, loader, faces, world.gather).to_json()
    if world.is_main:
        _report(figures, f"{stage} of {run} on {root} ({split})", json_path)
    return figures


def _network(config: Config, scheme: Scheme, world: World) -> LandmarkNet:
    network = LandmarkNet(config.model, config.head, scheme.num_landmarks)
    return network.to(world.device)


def _report(figures: dict[str, Any], what: str, json_path: Path | None) -> None:
    print_regions(figures, f"NME (%) of {figures['faces']} faces: {what}", Console())
    if json_path is not None:
        write_json_atomic(json_path, figures)
