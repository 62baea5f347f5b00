"""Sweeps: settings with several values each; every combination is a run."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from sesame_hpc.config.fields import has_control_characters
from sesame_hpc.files import read_json, write_json_atomic

__all__ = ["SWEEP", "Point", "read_sweep", "sweep_points", "write_sweep"]

SWEEP = "sweep.json"


@dataclass(frozen=True)
class Point:
    """One combination: its overrides, and its run folder's name in the sweep's folder."""

    name: str
    overrides: tuple[str, ...]


def sweep_points(arrays: Sequence[str]) -> list[Point]:
    """Every combination of arrays such as "seed=0,1,2"; the last one varies fastest.

    Values are YAML, so they can be lists: masking.regions=[1,1],[1,3].
    """
    axes = [_axis(text) for text in arrays]
    keys = [key for key, _ in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"--array {key}=... is given twice; give all its values in one")
    points = [
        Point(
            ",".join(_named(key, value) for key, value in zip(keys, values, strict=True)),
            tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True)),
        )
        for values in itertools.product(*(values for _, values in axes))
    ]
    _check_names([point.name for point in points])
    return points


def _axis(text: str) -> tuple[str, list[str]]:
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not (key and equals and raw.strip()):
        raise ValueError(f"--array {text!r}: write it as key.sub=value,value,...")
    if key == "output" or key.startswith("output."):
        raise ValueError("--array output=...: each point gets its own folder in output")
    try:
        node = yaml.compose(f"[{raw}]")
    except yaml.YAMLError as error:
        raise ValueError(f"--array {text!r}: not valid YAML: {error}") from None
    except RecursionError:
        raise ValueError(f"--array {key}=...: not valid YAML: nested too deeply") from None
    source = f"[{raw}]"
    values = [source[item.start_mark.index : item.end_mark.index] for item in node.value]
    if not all(values):
        raise ValueError(f"--array {text!r}: a value is empty")
    return key, values


def _named(key: str, value: str) -> str:
    plain = "".join(
        "_" if letter in "/%" or has_control_characters(letter) else letter
        for letter in value.strip("\"'")
    )
    return f"{key}={plain}"


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--array: two points would both be called {name!r}")
        if len(name.encode()) > 255:
            raise ValueError(f"--array: the folder's name {name!r} is longer than 255 bytes")


def write_sweep(output: Path, points: Sequence[Point]) -> None:
    """Record the points, in addition to those submitted to the same folder before."""
    names = {point.name for point in points}
    points = [*(each for each in read_sweep(output) if each.name not in names), *points]
    write_json_atomic(output / SWEEP, {"points": [asdict(point) for point in points]})


def read_sweep(output: Path) -> list[Point]:
    """The points of a sweep's folder; [] if it is not a sweep. ValueError for an invalid file."""
    try:
        content = read_json(output / SWEEP)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        points = [Point(each["name"], tuple(each["overrides"])) for each in content["points"]]
        if all(_is_inside(point.name) for point in points):
            return points
    except (KeyError, TypeError):
        pass
    raise ValueError(f"{output / SWEEP}: not a list of the sweep's runs, each a name and overrides")


def _is_inside(name: object) -> bool:
    """Whether it is the path of a folder below another: a study's runs are ARM/seed-N."""
    if not isinstance(name, str) or "\0" in name:
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))
