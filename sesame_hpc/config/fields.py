"""What the sections of the schema have in common: strictness, and the types of their fields."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "Decay",
    "Fraction",
    "NotNegative",
    "Positive",
    "Quality",
    "Strict",
    "UserPath",
    "Width",
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
    """A section: unknown keys are errors. A docstring below a field is its description."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def ordered(pair: tuple[float, float]) -> tuple[float, float]:
    """The pair. ValueError unless it is a range [low, high]."""
    if pair[0] > pair[1]:
        raise ValueError("must be a range [low, high]")
    return pair
