"""What the sections of the schema have in common: strictness, and the types of their fields."""

import unicodedata
from collections.abc import Mapping
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
    "Positive",
    "Quality",
    "Strict",
    "UserPath",
    "Width",
    "has_control_characters",
    "ordered",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Width = Annotated[int, Field(ge=8, multiple_of=4)]
Quality = Annotated[int, Field(ge=1, le=100)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


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
