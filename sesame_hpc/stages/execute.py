"""The three stages, one after the other, each from what the one before left in the run folder."""

from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console

from sesame_hpc.config import Config
from sesame_hpc.data.keyed import keyed_generator
from sesame_hpc.files import write_json_atomic
from sesame_hpc.masking import masking_distribution
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.models.transfer import transfer_backbone
from sesame_hpc.report import report_line
from sesame_hpc.stages.coordinates import CoordinateTask
from sesame_hpc.stages.faces import read_faces
from sesame_hpc.stages.folder import RunFolder
from sesame_hpc.stages.reconstruction import Masker, ReconstructionTask
from sesame_hpc.stages.score import score
from sesame_hpc.stages.session import Session
from sesame_hpc.stages.summary import print_distribution, print_summary, write_summary
from sesame_hpc.training.agreement import Agreement
from sesame_hpc.training.average import WeightAverage
from sesame_hpc.training.checkpoint import load_weights, save_weights
from sesame_hpc.training.distributed import World, connect
from sesame_hpc.training.environment import environment
from sesame_hpc.training.interruption import Interrupted
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.precision import settle_precision

__all__ = ["execute"]


def execute(config: Config, folder: RunFolder, stages: Sequence[str]) -> None:
    """Run the unfinished ones of `stages` on every rank; write summary and report at the end.

    Raises Interrupted where the ranks agree to stop, within a stage or before one.
    """
    world = connect(config.runtime)
    with world.answering():
        _execute(config, folder, stages, world)


def _execute(config: Config, folder: RunFolder, stages: Sequence[str], world: World) -> None:
    config = world.share(_settled(config, folder, world) if world.is_main else None)
    if world.is_main:
        folder.open(config, environment())
    world.barrier()
    faces = read_faces(config, folder)
    console = Console()
    with Monitor(config, folder.metrics_file, folder.tensorboard, world, console) as monitor:
        session = Session(config, folder, world, faces, monitor, Agreement(world))
        for name in stages:
            if folder.result(name) is None:
                _stop_if_asked(session, name)
                _RUNNERS[name](session, name)
                world.barrier()
    if world.is_main and all(folder.result(name) for name in _RUNNERS):
        write_summary(folder, faces.scheme.name)
        print_summary(folder, console)
    if world.is_main:
        console.print(report_line(folder), markup=False, highlight=False, soft_wrap=True)


def _settled(config: Config, folder: RunFolder, world: World) -> Config:
    earlier = folder.config() if folder.config_file.exists() else None
    return settle_precision(config, earlier, world.device)


def _stop_if_asked(session: Session, name: str) -> None:
    stop = session.agreement.now()
    if stop:
        raise Interrupted(name, None, stop)


def _seed_weights(session: Session, name: str) -> None:
    """Initial weights depend on (seed, stage) alone."""
    generator = keyed_generator(session.config.seed, name, 0, 0, "weights")
    torch.manual_seed(int(generator.integers(2**62)))


def _train_coordinates(session: Session, name: str) -> None:
    config, faces = session.config, session.faces
    _seed_weights(session, name)
    network = LandmarkNet(config.model, config.head, faces.scheme.num_landmarks)
    if name == "finetune":
        report = transfer_backbone(load_weights(session.folder.weights("pretrain")), network)
        session.monitor.message(f"finetune starts from pretrain: {report}")
    loader = session.train_loader(name, "full")
    engine = session.engine(name, network, loader)
    batch_size = session.stage_config(name).batch_size
    task = CoordinateTask(
        engine.module,
        config.head,
        faces.heldout,
        session.eval_loader(faces.heldout, batch_size),
        session.world,
    )
    decay = session.stage_config(name).ema
    average = WeightAverage(engine.module, decay) if decay else None
    result = session.fit(name, task, engine, loader, average)
    result |= score(session, name, engine.module, average)
    if name == "preliminary":
        _write_distribution(session, result["heldout"]["regions"])
    _finish(session, name, engine.module, result)


def _write_distribution(session: Session, regions: dict[str, float]) -> None:
    """Regional held-out NME -> masking.json, shown."""
    if session.world.is_main:
        probabilities = masking_distribution(regions, session.config.masking)
        write_json_atomic(session.folder.masking_file, probabilities)
        session.monitor.show(lambda console: print_distribution(probabilities, regions, console))


def _train_reconstruction(session: Session, name: str) -> None:
    config, faces = session.config, session.faces
    probabilities = session.folder.masking
    if probabilities is None:
        raise FileNotFoundError(f"{session.folder.masking_file} is missing: rerun preliminary")
    _seed_weights(session, name)
    network = ReconstructionNet(config.model, config.head)
    if config.stages.pretrain.start_from == "preliminary":
        report = transfer_backbone(load_weights(session.folder.weights("preliminary")), network)
        session.monitor.message(f"pretrain starts from preliminary: {report}")
    loader = session.train_loader(name, "mild")
    engine = session.engine(name, network, loader)
    task = ReconstructionTask(
        engine.module,
        Masker(probabilities, faces.scheme, config.masking, config.seed),
        session.eval_loader(faces.heldout, session.stage_config(name).batch_size),
        session.folder.pictures,
        session.world,
    )
    result = session.fit(name, task, engine, loader)
    _finish(session, name, engine.module, result | task.validate())


def _finish(session: Session, name: str, network: torch.nn.Module, result: dict[str, Any]) -> None:
    if session.world.is_main:
        save_weights(session.folder.weights(name), network.state_dict())
        session.folder.finish_stage(name, result)


_RUNNERS = {
    "preliminary": _train_coordinates,
    "pretrain": _train_reconstruction,
    "finetune": _train_coordinates,
}
