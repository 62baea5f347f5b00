"""Read, write and compare configurations."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sesame_hpc.config.layers import KeyPath, Layer, dotted, merge, parse_override, read_layers
from sesame_hpc.config.presets import find_config
from sesame_hpc.config.problems import describe_problems, sections
from sesame_hpc.config.schema import Config

__all__ = ["differences", "dump_config", "load_config", "settings_that_differ", "validate"]

_RENAMED = {("log", "pictures_epochs"): "images_epochs"}

_Model = TypeVar("_Model", bound=BaseModel)


def _open_sections(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Missing or empty sections as {}, so that an error names a required key by its full path."""
    for path in sections(model):
        parent: Any = values
        for key in path[:-1]:
            parent = parent[key] if isinstance(parent, Mapping) else None
        if isinstance(parent, dict) and parent.get(path[-1]) is None:
            parent[path[-1]] = {}
    return values


def _under_new_names(values: dict[str, Any]) -> dict[str, Any]:
    """Old keys of existing files and run folders, renamed."""
    for (section, old), new in _RENAMED.items():
        inner = values.get(section)
        if isinstance(inner, dict) and old in inner and new not in inner:
            inner[new] = inner.pop(old)
    return values


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML file, over its chain of `base:` files, under `overrides`.

    `path` is also the name of a preset, such as "demo". An override is `key.sub=value`, its value
    YAML. Relative `data.root` and `output` are relative to the current directory. ValueError lists
    every problem with its key path and place (an unknown key with the nearest valid one);
    FileNotFoundError for a missing file.
    """
    path = find_config(path)
    layer = merge([*read_layers(path), *(parse_override(text) for text in overrides)])
    return validate(Config, layer, str(path))


def validate(model: type[_Model], layer: Layer, name: str) -> _Model:
    """The layer as a model; ValueError lists every problem, for the file called `name`."""
    try:
        values = _under_new_names(layer.values)
        return model.model_validate(_open_sections(model, values))
    except ValidationError as error:
        raise ValueError(describe_problems(error, model, layer, name)) from None


def dump_config(config: Config) -> str:
    """The whole configuration as YAML; `load_config` of it gives an equal one, bit for bit."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _leaves(values: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*prefix, key))
        else:
            yield dotted((*prefix, key)), value


def differences(old: Config, new: Config) -> list[str]:
    """The differences, in the order of the schema: `stages.pretrain.lr: 0.001 -> 0.0005`."""
    before = dict(_leaves(old.model_dump(mode="json")))
    after = dict(_leaves(new.model_dump(mode="json")))
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def settings_that_differ(
    configs: Sequence[Config], leave_out: Sequence[str] = ()
) -> dict[str, list[Any]]:
    """{key: its value in each config}, in the order of the schema, of keys that are not the same.

    Keys of `leave_out` are left out.
    """
    leaves = [dict(_leaves(config.model_dump(mode="json"))) for config in configs]
    keys = dict.fromkeys(key for each in leaves for key in each)
    values = {key: [each.get(key) for each in leaves] for key in keys if key not in leave_out}
    return {key: each for key, each in values.items() if any(one != each[0] for one in each)}
