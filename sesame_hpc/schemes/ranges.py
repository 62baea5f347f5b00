"""The short notations of scheme files: `0-32, 96` for points, `brow_{0-8}` for names."""

import re
from typing import Any

__all__ = ["parse_names", "parse_points"]

_RANGE = re.compile(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?")
_MOST_POINTS = 10_000
_NAME_RANGE = re.compile(r"(.*)\{(\d{1,9})-(\d{1,9})\}(.*)")


def parse_points(value: Any, key: str) -> tuple[int, ...]:
    """Points in the order written: 7, "0-32", "16-0, 20" or a list of these. Ranges may descend.

    Raises:
        ValueError: naming `key` and the notation.
    """
    if isinstance(value, list):
        return tuple(point for entry in value for point in parse_points(entry, key))
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, str):
        return tuple(point for part in value.split(",") for point in _parse_range(part, key))
    raise _not_points(value, key)


def parse_names(value: Any, key: str) -> tuple[str, ...]:
    """Names in order; `brow_{0-8}` stands for the nine names brow_0 to brow_8.

    Raises:
        ValueError: naming `key` and the notation.
    """
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"{key}: takes a list of names, such as [nose_tip, 'jaw_{{0-16}}']")
    return tuple(name for entry in value for name in _expand_name(entry, key))


def _parse_range(part: str, key: str) -> range:
    match = _RANGE.fullmatch(part.strip())
    if match is None:
        raise _not_points(part, key)
    first, last = int(match[1]), int(match[2] or match[1])
    _check_length(abs(last - first) + 1, part, key)
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)


def _check_length(points: int, entry: str, key: str) -> None:
    if points > _MOST_POINTS:
        raise ValueError(f"{key}: {entry!r} stands for {points}; the most is {_MOST_POINTS}")


def _expand_name(entry: str, key: str) -> list[str]:
    match = _NAME_RANGE.fullmatch(entry)
    if match is None:
        return [entry]
    head, first, last, tail = match.groups()
    _check_length(int(last) - int(first) + 1, entry, key)
    return [f"{head}{number}{tail}" for number in range(int(first), int(last) + 1)]


def _not_points(value: Any, key: str) -> ValueError:
    return ValueError(f"{key}: {value!r} is not a point or range of points such as 7 or '0-32, 96'")
