"""Crops of several sizes, whose landmarks are averaged (multi-scale test). Imports no torch."""

import math
from collections.abc import Sequence

from sesame_hpc.config import BoxConfig

__all__ = ["ONE_SCALE", "Scales", "checked_scales", "parse_scales", "resized_box"]

Scales = tuple[float, ...]
"""Sizes of crops relative to those of training."""

ONE_SCALE: Scales = (1.0,)

_LEAST, _GREATEST = 0.5, 2.0


def checked_scales(scales: Sequence[float]) -> Scales:
    """As floats. Raises ValueError where there is none, or one that is not from 0.5 to 2."""
    try:
        found = () if isinstance(scales, str) else tuple(float(scale) for scale in scales)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(_LEAST <= scale <= _GREATEST for scale in found):
        raise ValueError(
            f"scales are {scales!r}; take one or more sizes from {_LEAST:g} to {_GREATEST:g}, "
            "relative to that of the crops of training, such as (0.92, 1, 1.08)"
        )
    return found


def parse_scales(text: str | None) -> Scales:
    """ "0.92,1,1.08" -> the scales; None: 1 alone. Raises ValueError for anything else."""
    if text is None:
        return ONE_SCALE
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if any(math.isnan(number) for number in numbers):
        raise ValueError(f"--scales is {text!r}; takes numbers with commas, such as 0.92,1,1.08")
    return checked_scales(numbers)


def resized_box(box: BoxConfig, scale: float) -> BoxConfig:
    """What makes crops that are `scale` times as large around the same place."""
    return box if scale == 1 else box.model_copy(update={"scale": box.scale * scale})
