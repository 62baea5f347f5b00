"""The run folder: its files, which stages are finished, and which configs may resume it.

    config.yaml  environment.json  metrics.jsonl  masking.json  summary.json
    scheme.yaml (a copy of the user's own scheme)   report.html (see report/)
    look_alikes.json (images of the same photograph; with data.heldout_group=look_alike)
    checkpoints/<stage>/ (see training/checkpoint.py)   images/   predictions/   tensorboard/
    profile/ (with the setting `profile`)

Imports no torch, so that a finished run is reported at once.
"""

import fcntl
import json
from pathlib import Path
from typing import IO, Any

from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config, differences, dump_config, load_config
from sesame_hpc.files import write_json_atomic, write_text_atomic

__all__ = ["RunFolder"]


_MAY_CHANGE = (
    "runtime.",
    "profile",
    "log.",
    "checkpoint.",
    "data.threads",
    "data.root",
    "data.on_error",
    "data.max_skipped",
    "output",
)


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
        self.groups_file = path / "look_alikes.json"
        self.images = path / "images"
        self.profile = path / "profile"
        self.tensorboard = path / "tensorboard"
        self._lock: IO[str] | None = None

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

    def result(self, stage: str) -> dict[str, Any] | None:
        """The result of a finished stage; None while it is unfinished."""
        return _read_json(self.stage(stage) / "result.json")

    def finish_stage(self, stage: str, result: dict[str, Any]) -> None:
        """Mark a stage as finished; its weights must be saved."""
        write_json_atomic(self.stage(stage) / "result.json", result)

    @property
    def summary(self) -> dict[str, Any] | None:
        return _read_json(self.summary_file)

    @property
    def masking(self) -> dict[str, float] | None:
        return _read_json(self.masking_file)

    def is_complete(self) -> bool:
        return self.summary is not None and all(self.result(stage) for stage in STAGES)

    def config(self) -> Config:
        """The config this run was started with. Raises FileNotFoundError if there is no run."""
        if not self.config_file.exists():
            raise FileNotFoundError(f"{self.path} is not a run folder: it has no config.yaml")
        return load_config(self.config_file)

    def start_directory(self) -> Path | None:
        """The working directory of the last start, to which paths of the config are relative."""
        record = _read_json(self.environment_file) or {"starts": []}
        return Path(record["starts"][-1]["directory"]) if record["starts"] else None

    def check_earlier(self, stage: str) -> None:
        """Raise ValueError if a stage that `stage` depends on is unfinished."""
        earlier = STAGES[: STAGES.index(stage)] if stage in STAGES else STAGES
        for name in earlier:
            if self.result(name) is None:
                raise ValueError(f"stage {stage} needs {name}, which {self.path} has not finished")

    def check(self, config: Config) -> None:
        """Raise ValueError if `config` would train something else than this folder's run."""
        if not self.config_file.exists():
            return
        changed = self._scheme_changes(config) + [
            line for line in differences(self.config(), config) if not line.startswith(_MAY_CHANGE)
        ]
        if changed:
            raise ValueError(
                f"{self.path} has a run with another config: {'; '.join(changed)}. "
                "Resume it with its own config, or give another output=FOLDER."
            )

    def _scheme_changes(self, config: Config) -> list[str]:
        """A user's scheme whose file has changed since the run started."""
        if config.data.scheme is None or not self.scheme_file.exists():
            return []
        theirs = Path(config.data.scheme)
        same = not theirs.is_file() or theirs.read_text("utf-8") == self.scheme_file.read_text(
            "utf-8"
        )
        return [] if same else [f"data.scheme: {theirs} differs from {self.scheme_file}"]

    def open(self, config: Config, environment: dict[str, Any]) -> None:
        """Create or reopen the folder; rank 0 only, after `check`.

        Raises ValueError while another process trains in the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        for stage in STAGES:
            self.stage(stage).mkdir(parents=True, exist_ok=True)
        self.images.mkdir(exist_ok=True)
        earlier = _read_json(self.environment_file) or {"starts": []}
        write_json_atomic(self.environment_file, {"starts": [*earlier["starts"], environment]})
        self.write_settings(config)

    def write_settings(self, config: Config) -> None:
        """Write the config, and the user's own scheme, to the folder. Call it after `check`."""
        source = _scheme_source(config)
        if source.is_file():
            write_text_atomic(self.scheme_file, source.read_text("utf-8"))
        write_text_atomic(self.config_file, dump_config(config))


def _scheme_source(config: Config) -> Path:
    """The file of the run's scheme, if it is the user's or a pack's."""
    if config.data.scheme is None and config.data.format == "pack":
        return config.data.root / "scheme.yaml"
    return Path(config.data.scheme or "")


def _lock(folder: Path) -> IO[str]:
    """Lock the folder until this process ends; a file system without locks is accepted."""
    file = (folder / ".lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(
            f"another process is training in {folder}: wait for it, or give another output=FOLDER"
        ) from None
    except OSError:
        pass
    return file


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None
