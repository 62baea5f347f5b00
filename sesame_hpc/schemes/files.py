"""Schemes in YAML files: the built-in ones next to this module, and the user's own."""

import difflib
from collections.abc import Hashable
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from sesame_hpc.schemes.ranges import parse_names, parse_points
from sesame_hpc.schemes.scheme import Scheme
from sesame_hpc.yaml_limits import check_yaml_size, read_yaml_text

__all__ = ["builtin_schemes", "load_scheme"]

_FOLDER = Path(__file__).parent
_KEYS = ("name", "points", "regions", "mirror", "normaliser", "edges")
_EDGE_KEYS = ("open", "closed")


def builtin_schemes() -> tuple[str, ...]:
    """Names that `load_scheme` takes without a file."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_scheme(name_or_path: str | Path) -> Scheme:
    """A built-in scheme by name, or the scheme of a YAML file of the same form.

    A file has `name`; `points`, a list of K names (`brow_{0-8}` stands for nine); `regions`, a
    mapping of names to points; `mirror`, the K mirrored points in order; `normaliser`, two points;
    and `edges`, lists of `open` and `closed` curves. Points are written as 7, 0-32, 16-0
    (descending), '46-42, 50-47' or as a list of these.

    Raises:
        FileNotFoundError: neither a built-in name nor a file.
        ValueError: naming the file, the key and what would be valid.
    """
    path = _find(name_or_path)
    try:
        return _build(_read_mapping(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _find(name_or_path: str | Path) -> Path:
    if str(name_or_path) in builtin_schemes():
        return _FOLDER / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"scheme {str(name_or_path)!r} is neither a file nor a built-in scheme "
            f"({', '.join(builtin_schemes())})"
        )
    return path


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that rejects a repeated key instead of keeping the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise ValueError(f"line {line}: a list or a mapping is not a name")
            if key in seen:
                raise ValueError(f"line {line}: {key!r} named twice; every name must be unique")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        loader = _UniqueKeyLoader(read_yaml_text(path))
        node = loader.get_single_node()
        check_yaml_size(node, str(path))
        content = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    except (AttributeError, KeyError, TypeError):  # `!!bool 3`
        raise ValueError("a value is not what its tag stands for") from None
    except RecursionError:
        raise ValueError("nested too deeply; a scheme has at most lists of names") from None
    return _checked_mapping(content, "the file", _KEYS, required=_KEYS)


def _build(content: dict[str, Any]) -> Scheme:
    if not isinstance(content["name"], str):
        raise ValueError(f"name: {content['name']!r} is not a string")
    normaliser = parse_points(content["normaliser"], "normaliser")
    if len(normaliser) != 2:
        raise ValueError(f"normaliser: has {len(normaliser)} points; it takes two")
    return Scheme(
        name=content["name"],
        points=parse_names(content["points"], "points"),
        regions=_parse_regions(content["regions"]),
        mirror=parse_points(content["mirror"], "mirror"),
        normaliser=(normaliser[0], normaliser[1]),
        edges=_parse_edges(content["edges"]),
    )


def _parse_regions(value: Any) -> dict[str, tuple[int, ...]]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("regions: takes a mapping of names to points, such as {jaw: 0-16}")
    return {name: parse_points(points, f"regions.{name}") for name, points in value.items()}


def _parse_edges(value: Any) -> tuple[tuple[int, int], ...]:
    curves = _checked_mapping(value, "edges", _EDGE_KEYS)
    edges: list[tuple[int, int]] = []
    for kind in _EDGE_KEYS:
        entries = curves.get(kind, [])
        if not isinstance(entries, list):
            raise ValueError(f"edges.{kind}: takes a list of curves, such as ['0-16', '27-30']")
        for number, entry in enumerate(entries):
            points = parse_points(entry, f"edges.{kind}[{number}]")
            edges.extend(pairwise(points + points[:1] if kind == "closed" else points))
    return tuple(edges)


def _checked_mapping(
    value: Any, where: str, valid: tuple[str, ...], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: takes a mapping with the keys {', '.join(valid)}")
    for key in value:
        if key not in valid:
            near = difflib.get_close_matches(str(key), valid, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{where}: unknown key {key!r}; {hint}valid: {', '.join(valid)}")
    if missing := [key for key in required if key not in value]:
        raise ValueError(f"{where}: missing {', '.join(missing)}")
    return value
