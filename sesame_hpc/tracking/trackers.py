"""A run's trackers together: made from the config, fed by rank 0."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sesame_hpc.config import Config
from sesame_hpc.extras import require_module
from sesame_hpc.files import read_json, write_json_atomic
from sesame_hpc.plugins import Plugin, load_plugin
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.tracking.background import MOST_SECONDS_AT_END, BackgroundTracker, Call
from sesame_hpc.tracking.names import metric_name
from sesame_hpc.tracking.tracker import Image, Param, Status, TrackedRun, Tracker

__all__ = ["Trackers", "check_trackers", "tracker_plugins"]

_BUILT_IN = {
    "tensorboard": ("sesame_hpc.tracking.tensorboard", "TensorBoardTracker", "tensorboard"),
    "mlflow": ("sesame_hpc.tracking.mlflow", "MLflowTracker", "mlflow"),
    "wandb": ("sesame_hpc.tracking.wandb", "WandbTracker", "wandb"),
}


def check_trackers(config: Config) -> None:
    """Raise before anything is trained where a tracker cannot be made.

    Raises:
        MissingPackage: its package is not installed.
        ValueError: it is not a known one or a plugin, or does not take its settings.
    """
    for name in _names(config):
        if name in _BUILT_IN:
            require_module(_BUILT_IN[name][2], f"the tracker {name}")
    for plugin in tracker_plugins(config):
        _settings(config, plugin)
    for name in config.track.settings:
        if name not in config.track.trackers:
            raise ValueError(
                f"track.settings.{name}: is of no tracker of this run; track.trackers are "
                f"{', '.join(config.track.trackers) or 'none'}"
            )


def tracker_plugins(config: Config) -> list[Plugin]:
    """The run's trackers that are plugins.

    Raises:
        ValueError: one cannot be loaded (`load_plugin`).
    """
    return [_plugin(name) for name in _names(config) if name not in _BUILT_IN]


class Trackers:
    """All trackers of a run; see `Tracker` for what they get, and `BackgroundTracker` for when.

    `warn` is told what goes wrong.
    """

    def __init__(self, config: Config, folder: RunFolder, warn: Callable[[str], None]) -> None:
        self._config, self._folder = config, folder
        self._ids = _read_ids(folder.trackers_file)
        self._lock = threading.Lock()
        params = dict(_flat(config.model_dump(mode="json")))
        name = config.track.name or folder.path.absolute().name
        self._trackers = [
            BackgroundTracker(
                each,
                _make(config, each),
                TrackedRun(name, folder.path, self._ids.get(each), params),
                partial(self._remember, each),
                warn,
            )
            for each in _names(config)
        ]

    def __bool__(self) -> bool:
        return bool(self._trackers)

    def log_metrics(self, stage: str, metrics: Mapping[str, Any], step: int) -> None:
        """The finite numbers among `metrics`; a loss under the name of what it is."""
        named = {
            f"{stage}/{metric_name(self._config, stage, key)}": float(value)
            for key, value in metrics.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        if named:
            self._put(lambda tracker: tracker.log_metrics(named, step))

    def log_image(self, stage: str, name: str, image: Image, step: int) -> None:
        self._put(lambda tracker: tracker.log_image(f"{stage}/{name}", image, step))

    def rewind(self, stage: str, step: int) -> None:
        self._put(lambda tracker: tracker.rewind(stage, step))

    def close(self, status: Status, seconds: float = MOST_SECONDS_AT_END) -> None:
        """Pass on what waits, and end; waits `seconds` for each tracker at most."""
        for each in self._trackers:
            each.close(status, seconds)

    def _put(self, call: Call) -> None:
        for each in self._trackers:
            each.put(call)

    def _remember(self, name: str, run_id: str) -> None:
        with self._lock:
            if self._ids.get(name) != run_id:
                self._ids[name] = run_id
                write_json_atomic(self._folder.trackers_file, self._ids)


def _names(config: Config) -> list[str]:
    own = ["tensorboard"] if config.log.tensorboard else []
    return [*own, *config.track.trackers]


def _make(config: Config, name: str) -> Tracker:
    if name not in _BUILT_IN:
        plugin = _plugin(name)
        return plugin.target(_settings(config, plugin))
    module, of, _ = _BUILT_IN[name]
    return getattr(import_module(module), of)(getattr(config.track, name, None))


def _plugin(name: str) -> Plugin:
    return load_plugin("track.trackers", name, kind="tracker")


def _settings(config: Config, plugin: Plugin) -> BaseModel:
    values = config.track.settings.get(plugin.name, {})
    return plugin.settings(values, f"track.settings.{plugin.name}")


def _read_ids(path: Path) -> dict[str, str]:
    try:
        return dict(read_json(path))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Param]]:
    """Settings by dotted key; a list is its text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{before}{key}", value
        else:
            yield f"{before}{key}", str(value)
