"""`Scheme`: the names of the K landmarks of a face, and their structure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Scheme"]

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True)
class Scheme:
    """K landmarks, numbered 0 to K - 1. Left and right are those of the image, not of the person.

    `regions` partition the points; tables list them in this order. `mirror` is an involution:
    landmark i of a mirrored face is landmark `mirror[i]` of the original. `normaliser` are the two
    points whose distance normalises errors (the outer eye corners of a face). `edges` are
    pairs of points that are connected in drawings.

    Raises:
        ValueError: naming the field and what would be valid.
    """

    name: str
    points: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]
    mirror: tuple[int, ...]
    normaliser: tuple[int, int]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        _check_points(self.points)
        _check_partition(self.regions, self.num_landmarks)
        _check_involution(self.mirror, self.num_landmarks)
        _check_mirrored_regions(self.mirror, self.regions)
        _check_normaliser(self.normaliser, self.num_landmarks)
        _check_edges(self.edges, self.num_landmarks)

    @property
    def num_landmarks(self) -> int:
        """K."""
        return len(self.points)


def _check_points(points: tuple[str, ...]) -> None:
    if len(points) < 2:
        raise ValueError(f"points: {len(points)} named; a scheme has at least two")
    if duplicates := _duplicates(points):
        raise ValueError(f"points: {_listed(duplicates)} named twice; every name must be unique")


def _check_partition(regions: dict[str, tuple[int, ...]], count: int) -> None:
    for name, members in regions.items():
        if not members:
            raise ValueError(f"regions.{name}: is empty; a region has at least one point")
        _check_range(f"regions.{name}", members, count)
    if shared := _duplicates(point for members in regions.values() for point in members):
        owners = [name for name, members in regions.items() if shared[0] in members]
        raise ValueError(
            f"regions: {_points(shared)} more than once (in {', '.join(owners)}); "
            "every point belongs to exactly one region"
        )
    if missing := sorted(set(range(count)).difference(*regions.values())):
        raise ValueError(
            f"regions: {_points(missing)} in no region; every point belongs to exactly one region"
        )


def _check_involution(mirror: tuple[int, ...], count: int) -> None:
    if len(mirror) != count:
        raise ValueError(f"mirror: has {len(mirror)} entries; takes one per point, {count}")
    _check_range("mirror", mirror, count)
    for point, partner in enumerate(mirror):
        if mirror[partner] != point:
            raise ValueError(
                f"mirror: maps {point} to {partner} but {partner} to {mirror[partner]}; "
                f"mirroring twice must be the identity (entry {partner} would be {point})"
            )


def _check_mirrored_regions(mirror: tuple[int, ...], regions: dict[str, tuple[int, ...]]) -> None:
    region_of = {point: name for name, members in regions.items() for point in members}
    for name, members in regions.items():
        images = {mirror[point] for point in members}
        owner = region_of[mirror[members[0]]]
        if images != set(regions[owner]):
            touched = sorted({region_of[point] for point in images})
            raise ValueError(
                f"mirror: maps region {name} ({len(members)} points) to parts of "
                f"{', '.join(touched)}; a region must be mapped onto one whole region"
            )


def _check_normaliser(pair: tuple[int, int], count: int) -> None:
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"normaliser: is {list(pair)}; it takes two different points")
    _check_range("normaliser", pair, count)


def _check_edges(edges: tuple[tuple[int, int], ...], count: int) -> None:
    _check_range("edges", (point for edge in edges for point in edge), count)
    for edge in edges:
        if len(edge) != 2 or edge[0] == edge[1]:
            raise ValueError(f"edges: {list(edge)} does not join two different points")


def _check_range(key: str, points: Iterable[int], count: int) -> None:
    if outside := sorted({point for point in points if not 0 <= point < count}):
        raise ValueError(f"{key}: no {_points(outside)}; points are 0 to {count - 1}")


def _duplicates(values: Iterable[_Value]) -> list[_Value]:
    return [value for value, times in Counter(values).items() if times > 1]


def _points(points: list[int]) -> str:
    return f"point{'s' if len(points) > 1 else ''} {_listed(points)}"


def _listed(values: list[str] | list[int], limit: int = 8) -> str:
    shown = ", ".join(str(value) for value in values[:limit])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > limit else shown
