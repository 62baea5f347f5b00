"""What training would refuse when a job starts, found before the job waits in a queue."""

from collections.abc import Iterable, Sequence

from sesame_hpc.choices import STAGES
from sesame_hpc.config import DataConfig
from sesame_hpc.launch.plan import Run
from sesame_hpc.run.faces import Faces, read_faces
from sesame_hpc.stages.enough_faces import check_enough_faces
from sesame_hpc.stages.unlabelled import given_boxes

__all__ = ["check_starts"]


def check_starts(runs: Iterable[Run], jobs: Sequence[str]) -> None:
    """Raise as `train` does where it could not start with the data of one of `runs`.

    The annotations of each data set are read, once for all new runs that share it, and no image.
    Nothing is written. `jobs` are those to submit.

    Raises:
        FileNotFoundError: a data set, a file of boxes, or what a stage starts from is missing.
        ValueError: faults of a data set, too few faces, or another data set than that of the run.
    """
    known: list[tuple[DataConfig, Faces]] = []
    for run in runs:
        stages = [job for job in jobs if job in STAGES and not run.is_finished(job)]
        if not stages:
            continue
        _check_files(run, stages)
        if run.folder.has_progress():  # its data are compared with those that it began with
            faces = read_faces(run.config, run.folder)
        else:
            faces = _of_new_run(run, known)
        check_enough_faces(run.config, stages, faces)


def _check_files(run: Run, stages: Sequence[str]) -> None:
    data = run.config.data
    if data.unlabelled is not None and "pretrain" in stages:
        given_boxes(data, data.unlabelled)
    for stage in stages:
        init_from = getattr(run.config.stages, stage).init_from
        if init_from is not None and not init_from.exists() and not run.folder.has_progress():
            raise FileNotFoundError(f"stages.{stage}.init_from: {init_from} does not exist")


def _of_new_run(run: Run, known: list[tuple[DataConfig, Faces]]) -> Faces:
    """The faces divided by image, which needs no image to be read; kept in `known`."""
    for data, faces in known:
        if data == run.config.data:
            return faces
    by_image = run.config.data.model_copy(update={"heldout_group": "image"})
    faces = read_faces(run.config.model_copy(update={"data": by_image}), run.folder)
    known.append((run.config.data, faces))
    return faces
