"""The file of a study: which arms, which seeds, and what is compared with what."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sesame_hpc.choices import Weights
from sesame_hpc.config.layers import Layer, merge, parse_override, read_layer
from sesame_hpc.config.load import validate
from sesame_hpc.config.schema import Config, Strict, UserPath
from sesame_hpc.config.shipped import Shipped

__all__ = ["Comparison", "Study", "find_study", "read_study", "study_names"]

Seed = Annotated[int, Field(ge=0, lt=2**32)]

_SHIPPED = Shipped("study", in_package="presets/studies", in_checkout="configs/studies")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")
_LONGEST = 60


def _filled(arms: Any) -> Any:
    """`baseline:` alone is an arm without settings of its own."""
    if not isinstance(arms, dict):
        return arms
    return {name: {} if settings is None else settings for name, settings in arms.items()}


class Comparison(Strict):
    """`arm` minus `control`, face by face and seed by seed."""

    arm: str
    control: str


class Study(Strict):
    """Arms that differ in named settings, trained with several seeds, and their comparisons."""

    output: UserPath
    """The folder of the study. Runs are in `output`/runs/ARM/seed-N."""
    base: str
    """The name of a preset, or a config file relative to that of the study."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings of every arm, on top of the base; nested or with dotted keys."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """Each arm is trained once with each seed."""
    arms: Annotated[dict[str, dict[str, Any]], BeforeValidator(_filled), Field(min_length=1)]
    """{name: settings of that arm}, on top of `overrides`."""
    compare: tuple[Comparison, ...] | None = None
    """Pairs of an arm and its control. null: each arm with the first one."""
    part: Literal["heldout", "test"] = "heldout"
    """The faces that arms are judged on."""
    weights: Weights = "last"
    """last: the weights at the end of an arm's last stage. ema: their moving average, for arms
    whose last stage keeps one."""

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"seed {seed} is given twice")
        return seeds

    @field_validator("arms")
    @classmethod
    def _names(cls, arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in arms:
            if not _NAME.fullmatch(name) or len(name) > _LONGEST:
                raise ValueError(
                    f"{name!r} cannot name an arm: an arm's name is its folder's, at most "
                    f"{_LONGEST} letters, digits and . _ + = - with a letter or digit first"
                )
        return arms

    @model_validator(mode="after")
    def _pairs(self) -> "Study":
        seen = set()
        for pair in self.compare or ():
            for name in (pair.arm, pair.control):
                if name not in self.arms:
                    raise ValueError(
                        f"compare: there is no arm {name!r}; the arms are {', '.join(self.arms)}"
                    )
            if pair.arm == pair.control:
                raise ValueError(f"compare: {pair.arm} is compared with itself")
            if (pair.arm, pair.control) in seen:
                raise ValueError(f"compare: {pair.arm} with {pair.control} is given twice")
            seen.add((pair.arm, pair.control))
        return self

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What is compared, in the order of the tables."""
        if self.compare is not None:
            return self.compare
        first, *others = self.arms
        return tuple(Comparison(arm=name, control=first) for name in others)


def study_names() -> list[str]:
    """Names of the shipped studies, sorted."""
    return _SHIPPED.names()


def find_study(name: str | Path) -> Path:
    """The file of a study given by its path or by a shipped study's name.

    FileNotFoundError, with the names of those shipped, when there is neither.
    """
    return _SHIPPED.find(name)


def _is_own(layer: Layer) -> bool:
    """Whether an override is of the study, or neither of it nor a setting and nearer to it."""
    first = str(next(iter(layer.values)))
    if first in Study.model_fields or first in Config.model_fields:
        return first in Study.model_fields
    both = [*Study.model_fields, *Config.model_fields]
    near = difflib.get_close_matches(first, both, n=1, cutoff=0.4)
    return bool(near) and near[0] in Study.model_fields


def read_study(path: Path, overrides: Sequence[str] = ()) -> tuple[Study, Layer, list[Layer]]:
    """The study in a file; the file as a layer; and the overrides that are settings of every arm.

    An override `key=value` whose first key is one of the study's own (seeds, output, arms, ...)
    changes the study; any other is a setting of every arm, below what an arm says itself. Raises
    ValueError listing every problem with its place.
    """
    own: list[Layer] = []
    settings: list[Layer] = []
    for text in overrides:
        layer = parse_override(text)
        is_own = _is_own(layer)
        (own if is_own else settings).append(layer)
    layer = merge([read_layer(path), *own])
    return validate(Study, layer, str(path)), layer, settings
