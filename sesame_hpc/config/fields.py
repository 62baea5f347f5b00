"""What the sections of the schema have in common: strictness, and the types of their fields."""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

__all__ = [
    "Decay",
    "Fraction",
    "NotNegative",
    "PluginName",
    "PluginSettings",
    "Positive",
    "Quality",
    "Strict",
    "UserPath",
    "Width",
    "has_control_characters",
    "ordered",
    "plugins_installed",
    "refuse_misspelling",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Width = Annotated[int, Field(ge=8, multiple_of=4)]
Quality = Annotated[int, Field(ge=1, le=100)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]

_PLUGIN = re.compile(r"[^\W\d][\w.-]*(:[^\W\d][\w.]*)?")


def _plugin_name(name: str) -> str:
    if not _PLUGIN.fullmatch(name):
        raise ValueError("must be package.module:Name, or the name of an installed entry point")
    return name


def _plain_values(values: dict[str, Any]) -> dict[str, Any]:
    if not _is_plain(values):
        raise ValueError("must be texts, numbers, booleans, lists and mappings of these")
    return values


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


PluginName = Annotated[str, AfterValidator(_plugin_name)]
"""The name of a plugin (plugins.py), which is found where it is used, and not before."""

PluginSettings = Annotated[dict[str, Any], AfterValidator(_plain_values)]
"""The settings of a plugin, which it validates where it is used."""


def plugins_installed(kind: str, name: str | None = None) -> EntryPoints:
    """The entry points of plugins of a kind, or those of a name; nothing of them is imported."""
    group = f"sesame_hpc.{kind}"
    return entry_points(group=group) if name is None else entry_points(group=group, name=name)


def refuse_misspelling(name: str, known: Sequence[str], kind: str) -> None:
    """ValueError for what is nearly one of the `known` names, and no plugin of that kind."""
    close = difflib.get_close_matches(name, known, n=1)
    if ":" in name or name in known or not close:
        return
    if not plugins_installed(kind, name=name):
        raise ValueError(
            f"{name!r} is not known; did you mean {close[0]}? (built in are {', '.join(known)}; "
            "else the name of a plugin)"
        )


class Strict(BaseModel):
    """A section: unknown keys are errors. A docstring below a field is its description.

    Text has no control characters, except in the fields that `shell_lines` names: what a newline
    begins in an sbatch script is a command.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
    shell_lines: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name not in cls.shell_lines and has_control_characters(value):
            raise ValueError("must have no control characters, such as newlines and escapes")
        return value


def has_control_characters(value: Any) -> bool:
    """Whether a text or path, or one of those in a collection, has characters of category Cc."""
    if isinstance(value, str | Path):
        return any(unicodedata.category(letter) == "Cc" for letter in str(value))
    if isinstance(value, Mapping):
        return any(map(has_control_characters, (*value, *value.values())))
    return isinstance(value, list | tuple) and any(map(has_control_characters, value))


def ordered(pair: tuple[float, float]) -> tuple[float, float]:
    """The pair. ValueError unless it is a range [low, high]."""
    if pair[0] > pair[1]:
        raise ValueError("must be a range [low, high]")
    return pair
