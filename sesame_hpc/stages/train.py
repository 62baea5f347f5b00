"""`train`: the entry point of the command line, torchrun and cluster jobs.

Checks the run folder first, so that a finished run is reported without importing torch.
"""

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from sesame_hpc.checksums import damage
from sesame_hpc.config import Config
from sesame_hpc.console import SafeConsole
from sesame_hpc.extras import require
from sesame_hpc.report import REPORT_NAME, report_line
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import Faces, read_faces, run_scheme
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import stage_damage, unfinish_stage
from sesame_hpc.run.settings import check_config, open_run, tidy_run
from sesame_hpc.stages.enough_faces import check_enough_faces
from sesame_hpc.stages.summary import print_summary, write_summary
from sesame_hpc.stages.trained_run import Run
from sesame_hpc.tracking import check_trackers

if TYPE_CHECKING:
    from sesame_hpc.training.callbacks import Callback

__all__ = ["train"]


def train(config: Config, only: str | None = None, callbacks: "Sequence[Callback]" = ()) -> Run:
    """Train the stages of `config` that are not finished yet, or `only` one of them.

    The run trains to the same bits with `callbacks` (training/callbacks.py) as without. Returns the
    run, on every rank.

    Run again to resume. Each stage starts from what those before left in the run folder; rank 0
    writes the summary and the report at the end. A stage that another run has trained with the same
    settings is taken from there if `shared.json` names it (run/shared.py). A finished stage that
    left a file which is now damaged or missing resumes from its newest whole checkpoint,
    which makes the file again.

    Nothing is written before the config, the data set and the folder's writer are checked. Of
    several ranks, rank 0 alone checks what is finished.

    Raises:
        ValueError: the folder holds a run with another config or of another data set, another
            process trains there, or a stage is asked for that the run does not have, or whose
            predecessor is unfinished.
        CallbackError: a callback failed; the next start resumes at the newest checkpoint.
        MissingPackage: the extra `train` is not installed.
        Interrupted: the ranks agreed to stop, within a stage or before one.
    """
    folder = RunFolder(config.output)
    run = config.stages.run
    wanted = run if only is None else (only,)
    if wanted[0] not in run:
        raise ValueError(f"the run has no stage {only!r}; its stages are {', '.join(run)}")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        todo, damaged = _look(config, folder, wanted)
        if not todo:
            _say_complete(config, folder, only)
            return Run.in_folder(folder)
        folder.lease.refuse_if_busy()

    require("train", "training")
    check_trackers(config)
    from sesame_hpc.distributed.world import connect
    from sesame_hpc.training.callbacks import Callbacks

    watching = Callbacks(callbacks)
    world = connect(config.runtime)
    with world.detecting_failures():
        try:
            # The node of another rank may see the shared folder as it was a minute ago.
            todo, damaged = world.share(_look(config, folder, wanted) if world.is_main else None)
            if not todo:
                if world.is_main:
                    _say_complete(config, folder, only)
                return Run.in_folder(folder)

            from sesame_hpc.stages.finetune import finetune
            from sesame_hpc.stages.health import record_health
            from sesame_hpc.stages.preliminary import preliminary
            from sesame_hpc.stages.pretrain import pretrain
            from sesame_hpc.stages.take import take_stage

            stages = {"preliminary": preliminary, "pretrain": pretrain, "finetune": finetune}
            session = _begin(config, folder, world, todo, watching)
            with session.monitor as monitor:
                _announce(session, todo)
                for name in todo:
                    if world.is_main:
                        for file in damaged[name]:
                            monitor.message(f"{file}. Stage {name} makes it again.")
                        unfinish_stage(folder, name)
                    world.barrier()
                    session.raise_if_stopping(name)
                    if not take_stage(session, name):
                        record_health(session, name)
                        stages[name](session)
                    world.barrier()
            if world.is_main:
                _end(session)
        finally:
            folder.lease.release()
    return Run.in_folder(folder)


def _look(
    config: Config, folder: RunFolder, wanted: tuple[str, ...]
) -> tuple[list[str], dict[str, list[str]]]:
    """The stages to train, and by stage what is damaged. Raises ValueError as `train` does."""
    check_config(folder, config)
    run = config.stages.run
    damaged: dict[str, list[str]] = {stage: stage_damage(folder, stage) for stage in run}
    return _unfinished(folder, run, wanted, damaged), damaged


def _unfinished(
    folder: RunFolder,
    run: tuple[str, ...],
    wanted: tuple[str, ...],
    damaged: dict[str, list[str]],
) -> list[str]:
    """The stages of `run` to train: of those `wanted`, and of those before them what is damaged.

    Raises ValueError where an earlier one was never finished.
    """
    folder.check_earlier(wanted[0], [stage for stage in run if damaged[stage]])
    up_to = run[: run.index(wanted[-1]) + 1]
    return [
        stage
        for stage in up_to
        if damaged[stage] or (stage in wanted and not folder.is_finished(stage))
    ]


def _begin(config: Config, folder: RunFolder, world: Any, todo: list[str], callbacks: Any) -> Any:
    """The run's `Session`: its faces are read, and rank 0 has written the settings. Collective."""
    from sesame_hpc.distributed.stop_consensus import StopConsensus
    from sesame_hpc.stages.initial_weights import check_initial_weights
    from sesame_hpc.stages.plugins_in_use import changed_plugins, plugins_in_use
    from sesame_hpc.stages.session import Session
    from sesame_hpc.stages.staging import stage_data
    from sesame_hpc.training.environment import environment
    from sesame_hpc.training.monitor import Monitor
    from sesame_hpc.training.precision import resolve_precision

    if world.is_main:
        folder.lease.refuse_if_busy()
    plugins = plugins_in_use(config)
    check_initial_weights(config, folder, todo, world)
    stage_data(config, world)
    unlabelled = _unlabelled(config, folder, world)
    faces = read_faces(config, folder, unlabelled)
    _check_agreement(world.gather(faces.identity))
    _check_batches(config, todo, faces, world.size)
    resolved, changed = None, []
    if world.is_main:
        earlier = folder.config_or_none()
        resolved = resolve_precision(config, earlier, world.device)
        boxes = None if unlabelled is None else _boxes_to_keep(config, unlabelled)
        changed = changed_plugins(folder, plugins) if folder.has_progress() else []
        here = environment() | ({"plugins": plugins} if plugins else {})
        open_run(folder, resolved, here, faces.identity, faces.look_alikes, boxes)
    config = world.share(resolved)
    for sentence in changed:
        _say(SafeConsole(), sentence)
    monitor = Monitor(config, folder, world, SafeConsole())
    return Session(config, folder, world, faces, monitor, StopConsensus(world), callbacks)


def _announce(session: Any, todo: list[str]) -> None:
    """What the display says before the first stage."""
    faces, monitor = session.faces, session.monitor
    if faces.rest is not None:
        every = len(faces.train) + len(faces.rest)
        monitor.message(f"{len(faces.train)} of {every} training faces keep their labels")
    monitor.expect({name: session.stage_config(name).epochs for name in todo})


def _end(session: Any) -> None:
    """Summary, once all stages are finished, and report; rank 0 alone."""
    folder, console = session.folder, SafeConsole()
    if all(folder.is_finished(name) for name in session.config.stages.run):
        write_summary(folder, session.faces.scheme.name)
        print_summary(folder, console)
    _say(console, report_line(folder))


def _unlabelled(config: Config, folder: RunFolder, world: Any) -> Any:
    """Those of `data.unlabelled`, if the run pretrains. Rank 0 reads them. Collective."""
    from sesame_hpc.stages.unlabelled import read_unlabelled

    if config.data.unlabelled is None or "pretrain" not in config.stages.run:
        return None
    found = None
    if world.is_main:
        found = read_unlabelled(
            config.data, run_scheme(config, folder), folder, partial(_say, SafeConsole())
        )
    return world.share(found)


def _boxes_to_keep(config: Config, unlabelled: Any) -> bytes | None:
    """The file of the boxes that were detected: another machine may find others."""
    from sesame_hpc.stages.unlabelled import box_file

    return box_file(unlabelled) if config.data.unlabelled_boxes == "yunet" else None


def _check_batches(config: Config, todo: list[str], faces: Faces, ranks: int) -> None:
    """Each stage has at least one step per epoch, and each rank an equal part of it."""
    from sesame_hpc.training.schedule import check_ranks

    check_ranks({name: getattr(config.stages, name) for name in todo}, config.runtime, ranks)
    check_enough_faces(config, todo, faces)


def _check_agreement(identities: list[dict[str, Any]]) -> None:
    """Every rank reads the data set: a copy on one node may be another."""
    for rank, identity in enumerate(identities):
        if identity != identities[0]:
            raise ValueError(
                f"data.root: rank {rank} finds other faces or labels there than rank 0; "
                "all nodes need the same data set"
            )


def _say_complete(config: Config, folder: RunFolder, only: str | None) -> None:
    """Also makes again what a crash at the very end left out, summary and report, and tidies up.

    Raises ValueError where the config names another data set than that of the run.
    """
    _refuse_other_data(config, folder)
    console = SafeConsole()
    what = f"stage {only}" if only else "all stages"
    console.print(
        Text.assemble(
            ("This run is complete", "bold"), f": {what} of {folder.path} finished before."
        )
    )
    tidy_run(folder)
    if not all(folder.is_finished(stage) for stage in config.stages.run):
        return
    if damage(folder.path, [folder.summary_file.name]):
        write_summary(folder, run_scheme(config, folder).name)
    print_summary(folder, console)
    if damage(folder.path, [REPORT_NAME]):
        _say(console, report_line(folder))


def _refuse_other_data(config: Config, folder: RunFolder) -> None:
    """Reads the faces only if they lie elsewhere than those of the run: these may be gone."""
    own, given = run_config(folder).data.roots, config.data.roots
    if [root.resolve() for root in own] != [root.resolve() for root in given]:
        read_faces(config, folder)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
