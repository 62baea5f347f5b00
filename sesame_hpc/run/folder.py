"""The run folder: its files, which stages are finished, and which configs may resume it.

    config.yaml  environment.json  metrics.jsonl  masking.json  summary.json
    scheme.yaml (a copy of the user's own scheme)   report.html (see report/)
    data.json (which data set it is, see data_identity.py)
    look_alikes.json (images of the same photograph; with data.heldout_group=look_alike)
    trackers.json (under which id each tracker knows the run, see tracking/)
    health.json (the speed of each of several ranks, see stages/health.py)
    unlabelled_boxes.csv (boxes that YuNet found; with data.unlabelled_boxes=yunet)
    checkpoints/<stage>/ (see training/checkpoint.py)   images/   predictions/   tensorboard/
    profile/ (with the setting `profile`)   SHA256SUMS (here, and in each folder of results)

Order of writing. Each file is whole on disk, and its name in its folder, before the next begins:
at a start, the checksums of the settings, then the settings, config.yaml last; at a stage's end
predictions, averaged weights, masking.json (preliminary), weights, then their checksums, and last
result.json, which declares the stage finished; at the run's end summary.json, then report.html.
Checkpoints have their own order. So whatever a file declares is there: after a power cut too.

Imports no torch, so that a finished run is reported at once.
"""

from collections.abc import Container
from pathlib import Path
from typing import Any

from sesame_hpc.checksums import read_verified
from sesame_hpc.choices import COORDINATE_STAGES, STAGES
from sesame_hpc.config import Config, load_config
from sesame_hpc.files import parse_json, read_json
from sesame_hpc.lease import Lease

__all__ = ["RunFolder", "read_verified_json"]


class RunFolder:
    """Paths and states of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.yaml"
        self.environment_file = path / "environment.json"
        self.metrics_file = path / "metrics.jsonl"
        self.masking_file = path / "masking.json"
        self.summary_file = path / "summary.json"
        self.scheme_file = path / "scheme.yaml"
        self.data_file = path / "data.json"
        self.groups_file = path / "look_alikes.json"
        self.boxes_file = path / "unlabelled_boxes.csv"
        self.images = path / "images"
        self.profile = path / "profile"
        self.tensorboard = path / "tensorboard"
        self.trackers_file = path / "trackers.json"
        self.lease = Lease(path, "training in")

    def stage(self, name: str) -> Path:
        return self.path / "checkpoints" / name

    def weights(self, stage: str, averaged: bool = False) -> Path:
        """The finished network; with `averaged` its EMA, if the stage has one."""
        return self.stage(stage) / f"weights{'-ema' if averaged else ''}.safetensors"

    def predictions(self, stage: str, part: str, averaged: bool = False) -> Path:
        """A finished stage's predictions on a part, heldout or test (evaluation/predictions.py).

        With `averaged` those of its EMA.
        """
        return self.path / "predictions" / f"{stage}-{part}{'-ema' if averaged else ''}.npz"

    def has_progress(self) -> bool:
        """Whether there is anything to resume from: a checkpoint, or a finished stage."""
        marks = ("latest.json", "result.json", "step-*/SHA256SUMS")
        return any(any(self.stage(name).glob(mark)) for name in STAGES for mark in marks)

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage achieved; None while it is unfinished.

        Raises ValueError naming the file where it is damaged.
        """
        return read_verified_json(self.stage(stage) / "result.json")

    def latest_tag(self, stage: str) -> str | None:
        """The newest checkpoint by latest.json or, where that is damaged, by its name."""
        try:
            return str(read_json(self.stage(stage) / "latest.json")["tag"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            names = sorted(path.name for path in self.stage(stage).glob("step-*"))
            return names[-1] if names else None

    def progress(self, stage: str) -> str | None:
        """ "finished", "step-00000420 of 9000", or without the second number; None: not begun."""
        if self.is_finished(stage):
            return "finished"
        tag = self.latest_tag(stage)
        try:
            return f"{tag} of {int(read_json(self.stage(stage) / 'latest.json')['steps'])}"
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return tag

    def last_saved(self) -> str:
        """The newest checkpoint or finished stage, as text."""
        for stage in reversed(STAGES):
            if self.is_finished(stage):
                return f"all of stage {stage}"
            steps = sorted(self.stage(stage).glob("step-*/SHA256SUMS"))
            if steps:
                return f"step {int(steps[-1].parent.name[5:])} of stage {stage}"
        return "nothing yet"

    def is_finished(self, stage: str) -> bool:
        return (self.stage(stage) / "result.json").exists()

    @property
    def summary(self) -> dict[str, Any] | None:
        """None where it is missing or damaged: it is made of the stages' results."""
        try:
            return read_verified_json(self.summary_file)
        except ValueError:
            return None

    @property
    def masking(self) -> dict[str, float] | None:
        """Raises ValueError naming the file where it is damaged."""
        return read_verified_json(self.masking_file)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that the run has; all of them if its config is missing or damaged."""
        config = self.config_or_none()
        return STAGES if config is None else config.stages.run

    @property
    def last_stage(self) -> str:
        """The last stage with landmarks, whose network is the result of the run."""
        return [stage for stage in self.stages if stage in COORDINATE_STAGES][-1]

    def is_complete(self) -> bool:
        """Whether all stages of the run are finished, and its summary is written."""
        return self.summary is not None and all(map(self.is_finished, self.stages))

    def config(self) -> Config:
        """The config this run was started with.

        Raises FileNotFoundError where there is no run, ValueError for a damaged file.
        """
        if not self.config_file.exists():
            raise FileNotFoundError(f"{self.path} is not a run folder: it has no config.yaml")
        read_verified(self.config_file)
        return load_config(self.config_file)

    def config_or_none(self) -> Config | None:
        """None where there is no run yet, or its config is damaged."""
        try:
            return self.config()
        except (FileNotFoundError, ValueError):
            return None

    def starts(self) -> list[dict[str, Any]]:
        """The environment of each process that worked on the run, the latest last.

        What a damaged environment.json held is lost: nothing that a run resumes from is in it.
        """
        try:
            return list(read_json(self.environment_file)["starts"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def start_directory(self) -> Path | None:
        """Where the run was last started, which relative paths of its config are relative to."""
        starts = self.starts()
        return Path(starts[-1]["directory"]) if starts else None

    def check_earlier(self, stage: str, repaired: Container[str] = ()) -> None:
        """Raise ValueError if a stage that `stage` depends on is unfinished.

        Those in `repaired` are going to be finished first.
        """
        later = STAGES[STAGES.index(stage) :] if stage in STAGES else ()
        for name in self.stages:
            if name not in later and name not in repaired and not self.is_finished(name):
                raise ValueError(f"stage {stage} needs {name}, which {self.path} has not finished")


def read_verified_json(path: Path) -> Any:
    """None where there is no file. Raises ValueError naming one that is damaged."""
    try:
        content = read_verified(path)
    except FileNotFoundError:
        return None
    return parse_json(path, content)
