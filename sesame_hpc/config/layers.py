"""One layer of a configuration, a YAML file or an override, with the place of each key."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sesame_hpc.yaml_limits import check_yaml_size, read_yaml_text

__all__ = [
    "KeyPath",
    "Layer",
    "dotted",
    "merge",
    "parse_override",
    "read_layer",
    "read_layers",
    "subsection",
]

KeyPath = tuple[str, ...]

_FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN)$")
_INTEGER = re.compile(r"^[-+]?(0|[1-9]\d*)$")
_BASE = "base"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 numbers: 1e-3 is a number, a date stays text, 1:30 is not 90."""


_REPLACED = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("float", "int", "timestamp"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _REPLACED]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


@dataclass(frozen=True)
class Layer:
    """Nested `values`, and for each key path its place: file:line or an override."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)


def dotted(path: tuple[str | int, ...]) -> str:
    """("data", "box", "train_scale", 0) -> "data.box.train_scale[0]"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class _Source:
    """A YAML text and its name; places in it are `name:line` if it has lines."""

    def __init__(self, text: str, name: str, has_lines: bool) -> None:
        self._name = name
        self._has_lines = has_lines
        self.origins: dict[KeyPath, str] = {}
        try:
            self._loader = _Loader(text)
            self.node = self._loader.get_single_node()
            check_yaml_size(self.node, name)
        except yaml.YAMLError as error:
            raise self._broken(error) from None
        except RecursionError:
            raise ValueError(f"{name}: not valid YAML: nested too deeply") from None

    def _place(self, mark: yaml.Mark | None) -> str:
        return f"{self._name}:{mark.line + 1}" if self._has_lines and mark else self._name

    def _broken(self, error: yaml.YAMLError) -> ValueError:
        place = self._place(getattr(error, "problem_mark", None))
        return ValueError(f"{place}: not valid YAML: {getattr(error, 'problem', None) or error}")

    def value(self, node: yaml.Node | None, path: KeyPath) -> Any:
        """The value of a node; records the places of its keys in `origins`."""
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if node is None:
            return None
        try:
            return self._loader.construct_object(node, deep=True)
        except yaml.YAMLError as error:
            raise self._broken(error) from None
        except (AttributeError, KeyError, TypeError, ValueError):  # `!!bool 3`
            place = self._place(node.start_mark)
            raise ValueError(f"{place}: {dotted(path)} is not what its tag stands for") from None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._refuse_duplicates(node, path)
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError as error:
            raise self._broken(error) from None
        values = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            self.origins[*path, key] = self._place(key_node.start_mark)
            values[key] = self.value(value_node, (*path, key))
        return values

    def _refuse_duplicates(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: dict[str, str] = {}
        for key_node, _ in node.value:
            key, place = str(key_node.value), self._place(key_node.start_mark)
            if key in seen:
                raise ValueError(
                    f"{place}: {dotted((*path, key))} is given twice (first at {seen[key]})"
                )
            seen[key] = place


def read_layer(path: Path) -> Layer:
    """One YAML file alone. ValueError for broken YAML, or what is not a mapping."""
    source = _Source(read_yaml_text(path), str(path), has_lines=True)
    values = source.value(source.node, ())
    if not isinstance(values, dict | None):
        raise ValueError(f"{path}: a configuration must be a mapping of keys to values")
    return Layer(values or {}, source.origins)


def read_layers(path: Path) -> list[Layer]:
    """The file and its chain of base files, lowest first.

    `base: other.yaml` is relative to the file that contains it. ValueError for a cycle or invalid
    YAML, FileNotFoundError for a missing file; both name the place.
    """
    layers: list[Layer] = []
    chain: list[Path] = []
    named_by = ""
    while True:
        if not path.is_file():
            raise FileNotFoundError(f"no configuration file {path}{named_by}")
        if path.resolve() in [seen.resolve() for seen in chain]:
            cycle = " -> ".join(str(seen) for seen in [*chain, path])
            raise ValueError(f"{chain[-1]}: base files form a cycle: {cycle}")
        chain.append(path)
        layer = read_layer(path)
        layers.insert(0, layer)
        if _BASE not in layer.values:
            return layers
        base = layer.values.pop(_BASE)
        where = layer.origins.pop((_BASE,))
        if not isinstance(base, str):
            raise ValueError(f"{where}: base must be the name of one YAML file, got {base!r}")
        named_by = f" (base at {where})"
        path = path.parent / base


def parse_override(text: str) -> Layer:
    """`model.width=64` as a layer. The value is YAML, so it can be a list or a mapping."""
    key, equals, raw = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ValueError(f"override {text!r}: write it as key.sub=value, as in model.width=64")
    name = f"override {text}"
    source = _Source(raw, name, has_lines=False)
    value = source.value(source.node, path)
    for part in reversed(path):
        value = {part: value}
    above = {path[:depth]: name for depth in range(1, len(path) + 1)}
    return Layer(value, above | source.origins)


def subsection(layer: Layer, at: KeyPath) -> Layer:
    """The settings below a key path of a file, as a layer of their own that keeps their places.

    Their keys may be dotted: `stages.finetune.epochs: 3` is `stages: {finetune: {epochs: 3}}`.
    ValueError for what is not a mapping, and for a setting that is given both ways.
    """
    values: Any = layer.values
    for key in at:
        values = values.get(key) or {}
    if not isinstance(values, Mapping):
        place = layer.origins.get(at, "")
        raise ValueError(f"{place}: {dotted(at)} must be settings, KEY: VALUE, got {values!r}")
    found: dict[str, Any] = {}
    origins: dict[KeyPath, str] = {}
    for path, value, place in _leaves(layer, values, at, ()):
        if path in origins and not isinstance(value, Mapping):
            raise ValueError(
                f"{place}: {dotted((*at, *path))} is given twice (first at {origins[path]})"
            )
        nested = value
        for key in reversed(path):
            nested = {key: nested}
        found = _merge_values(found, nested)
        for depth in range(1, len(path) + 1):
            origins.setdefault(path[:depth], place)
    return Layer(found, origins)


def _leaves(
    layer: Layer, values: Mapping[str, Any], at: KeyPath, to: KeyPath
) -> Iterator[tuple[KeyPath, Any, str]]:
    for key, value in values.items():
        place, path = (*at, key), (*to, *key.split("."))
        if isinstance(value, Mapping) and value:
            yield from _leaves(layer, value, place, path)
        else:
            yield path, value, layer.origins.get(place, "")


def _merge_values(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if isinstance(merged.get(key), Mapping) and (value is None or isinstance(value, Mapping)):
            merged[key] = _merge_values(merged[key], value or {})
        else:
            merged[key] = value
    return merged


def merge(layers: list[Layer]) -> Layer:
    """Later layers override earlier ones key by key; an empty section changes nothing."""
    merged = Layer()
    for layer in layers:
        merged = Layer(
            _merge_values(merged.values, layer.values), {**merged.origins, **layer.origins}
        )
    return merged
