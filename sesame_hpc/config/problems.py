"""Validation errors as messages for users."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sesame_hpc.config.layers import KeyPath, Layer, dotted
from sesame_hpc.plural import counted

__all__ = ["describe_problems", "must_be", "sections"]

_MUST_BE = {
    "path_type": "must be a path",
    "tuple_type": "must be a list, such as [0, 1]",
    "list_type": "must be a list, such as [0, 1]",
    "too_short": "must not be empty",
}


def must_be(message: str) -> str:
    """The sentence of pydantic's about a wrong value, as one about what it must be."""
    text = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return text.partition(", unable to parse")[0]


def sections(model: type[BaseModel], prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """The key path of every section of a model, outer ones first."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield (*prefix, name)
            yield from sections(info.annotation, (*prefix, name))


def _keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    for name in path:
        model = _section_model(model.model_fields[name].annotation)
    return list(model.model_fields)


def _section_model(annotation: Any) -> type[BaseModel]:
    """The model of a section, or of the items of a list of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_model(each) for each in get_args(annotation) if each is not type(None))


def _unknown_key(model: type[BaseModel], path: KeyPath) -> str:
    valid = _keys_at(model, path[:-1])
    here = f"{dotted(path[:-1])} has" if path[:-1] else "valid here:"
    listing = f"{here} {', '.join(valid)}"
    close = difflib.get_close_matches(path[-1], valid, n=1, cutoff=0.4)
    meant = [(*path[:-1], key) for key in close]
    meant += [
        (*section, path[-1]) for section in sections(model) if path[-1] in _keys_at(model, section)
    ]
    if not meant:
        return f"unknown key; {listing}"
    return f"unknown key; did you mean {' or '.join(map(dotted, meant))}? ({listing})"


def _problem(
    model: type[BaseModel], kind: str, path: tuple[str | int, ...], message: str, value: Any
) -> str:
    keys = tuple(part for part in path if isinstance(part, str))
    if kind == "extra_forbidden":
        return _unknown_key(model, keys)
    if kind == "missing":
        return f"missing; give it in the file or as {dotted(path)}=VALUE on the command line"
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a section with the keys {', '.join(_keys_at(model, keys))}, got {value!r}"
    text = _MUST_BE.get(kind) or must_be(message)
    return text if isinstance(value, Mapping) else f"{text}, got {_plain(value)!r}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _origin(path: tuple[str | int, ...], layer: Layer) -> str:
    keys = tuple(part for part in path if isinstance(part, str))
    return f" ({layer.origins[keys]})" if keys in layer.origins else ""


def describe_problems(
    error: ValidationError, model: type[BaseModel], layer: Layer, name: str
) -> str:
    """All problems of the file `name` read as `model`, one `key path: problem (place)` per line."""
    lines = [
        (f"{dotted(item['loc'])}: " if item["loc"] else "")
        + _problem(model, item["type"], item["loc"], item["msg"], item["input"])
        + _origin(item["loc"], layer)
        for item in error.errors(include_url=False, include_context=False)
    ]
    if len(lines) == 1:
        return f"{name}: {lines[0]}"
    return "\n  ".join([f"{name}: {counted(len(lines), 'problem')}", *lines])
