"""From a study's file to its runs: a config for every arm and seed, and which stages they share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sesame_hpc.config import Config, differences, find_config
from sesame_hpc.config.layers import KeyPath, Layer, merge, read_layers, subsection
from sesame_hpc.config.load import validate
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.shared import stage_settings
from sesame_hpc.study.schema import Study, find_study, read_study

__all__ = ["StudyPlan", "StudyRun", "plan_study"]

_RUNS = "runs"
_NOT_OF_ARMS = {
    "output": "each run gets its own folder in the study's output",
    "seed": "give the study's seeds",
    "base": "the study's base is that of every arm",
}
_OF_FACES = ("data.root", "data.format", "data.scheme", "data.heldout", "data.heldout_group")


@dataclass(frozen=True)
class StudyRun:
    """One arm under one seed. `config.output` is its folder."""

    arm: str
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Relative to the study's output."""
        return f"{_RUNS}/{self.arm}/seed-{self.seed}"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.config.output)

    @property
    def last_stage(self) -> str:
        """The stage whose network the run is judged by."""
        return self.config.stages.coordinate[-1]

    @property
    def keeps_average(self) -> bool:
        """Whether its last stage keeps averaged weights beside the last ones."""
        return getattr(self.config.stages, self.last_stage).ema is not None


@dataclass(frozen=True)
class StudyPlan:
    """A study and its runs, seed by seed, so that arms can be compared as early as possible."""

    name: str
    study: Study
    runs: tuple[StudyRun, ...]

    def of_arm(self, arm: str) -> list[StudyRun]:
        return [run for run in self.runs if run.arm == arm]

    @cached_property
    def sources(self) -> dict[str, dict[str, StudyRun]]:
        """{run's name: {stage: the run that trains it}} of stages that an earlier run trains too.

        Two runs share a stage where every setting that it depends on is equal.
        """
        trained: dict[str, StudyRun] = {}
        found: dict[str, dict[str, StudyRun]] = {}
        for run in self.runs:
            found[run.name] = {}
            for stage in run.config.stages.run:
                settings = json.dumps([stage, stage_settings(run.config, stage)], sort_keys=True)
                source = trained.setdefault(settings, run)
                if source is not run:
                    found[run.name][stage] = source
        return found


def plan_study(name: str | Path, overrides: Sequence[str] = ()) -> StudyPlan:
    """The study in a file, or of a shipped name, as its runs.

    Raises ValueError for a study or a config of an arm that is wrong, with every problem's place,
    for arms with equal settings, and for comparisons of arms with other faces; FileNotFoundError
    for a file that is not there.
    """
    path = find_study(name)
    study, layer, settings = read_study(path, overrides)
    if RunFolder(study.output).config_file.exists():
        raise ValueError(f"output: {study.output} is a run folder; give another output=FOLDER")
    common = [*read_layers(_base(study.base, path)), _settings(layer, ("overrides",)), *settings]
    for each in settings:
        _refuse_foreign(each, ())
    configs = {
        arm: _configs(study, arm, [*common, _settings(layer, ("arms", arm))], path)
        for arm in study.arms
    }
    _check_different(path, configs)
    _check_faces(path, study, configs)
    runs = [
        StudyRun(arm, seed, by_seed[seed])
        for seed in study.seeds
        for arm, by_seed in configs.items()
    ]
    return StudyPlan(path.stem, study, tuple(runs))


def _base(name: str, study: Path) -> Path:
    beside = study.parent / Path(name).expanduser()
    return beside if beside.is_file() else find_config(name)


def _settings(layer: Layer, at: KeyPath) -> Layer:
    settings = subsection(layer, at)
    _refuse_foreign(settings, at)
    return settings


def _refuse_foreign(layer: Layer, at: KeyPath) -> None:
    for key, reason in _NOT_OF_ARMS.items():
        if key in layer.values:
            place = layer.origins.get((key,), "")
            raise ValueError(f"{place}: {'.'.join((*at, key))} cannot be given: {reason}")


def _configs(study: Study, arm: str, layers: list[Layer], path: Path) -> dict[int, Config]:
    """{seed: config} of an arm."""
    configs = {}
    for seed in study.seeds:
        folder = study.output / _RUNS / arm / f"seed-{seed}"
        own = Layer({"output": str(folder), "seed": seed})
        configs[seed] = validate(Config, merge([*layers, own]), f"{path}: arm {arm}")
    return configs


def _check_different(path: Path, configs: dict[str, dict[int, Config]]) -> None:
    """Arms with the same settings would be the same network twice."""
    seen: dict[str, str] = {}
    for arm, by_seed in configs.items():
        config = next(iter(by_seed.values()))
        last = config.stages.run[-1]
        settings = json.dumps([last, stage_settings(config, last)], sort_keys=True)
        if settings in seen:
            raise ValueError(f"{path}: the arms {seen[settings]} and {arm} have the same settings")
        seen[settings] = arm


def _check_faces(path: Path, study: Study, configs: dict[str, dict[int, Config]]) -> None:
    """A paired difference needs the same faces on both sides."""
    seed = study.seeds[0]
    for pair in study.comparisons:
        changed = differences(configs[pair.control][seed], configs[pair.arm][seed])
        for line in changed:
            if line.startswith(tuple(f"{key}:" for key in _OF_FACES)):
                raise ValueError(
                    f"{path}: {pair.arm} and its control {pair.control} are not evaluated on the "
                    f"same faces ({line}), so that there is no paired difference"
                )
