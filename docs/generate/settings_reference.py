"""The settings reference: every key of a pydantic model, with its type, default and meaning."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from sesame_hpc.config import Config
from sesame_hpc.config.schema import Strict
from sesame_hpc.launch.profile import Profile

__all__ = ["profile_reference", "settings_reference"]

Node = dict[str, Any]

_SETTINGS = """# Settings

Every setting of a run, as it stands in a YAML config or is given as `key=value` on the command
line: `sesame train demo model.width=128`. This page is generated from the schema. A key that does
not exist, or a value outside its range, is an error that names the key and what would be valid.
"""
_PROFILE = """# Cluster profiles

Every key of a cluster profile, the YAML file that `sesame submit --profile` takes. This page is
generated from the schema; `slurm/profiles/example_gpu.yaml` shows a profile with comments. All
keys are optional.
"""
_SECTION = "\n## {title} {{ #{anchor} }}\n\n{description}\n"
_HEAD = "\n| key | values | default | meaning |\n| --- | --- | --- | --- |\n"


def settings_reference() -> str:
    """The page of a run's settings."""
    return _SETTINGS + "".join(_sections(Config, "A whole run"))


def profile_reference() -> str:
    """The page of a cluster profile's keys."""
    return _PROFILE + "".join(_sections(Profile, "The whole profile"))


def _sections(model: type[Strict], top: str) -> Iterator[str]:
    schema = model.model_json_schema(mode="validation")
    yield from _section(schema, schema.get("$defs", {}), "", top, {})


def _section(
    node: Node, known: Node, prefix: str, title: str, shown: dict[str, str]
) -> Iterator[str]:
    """One model as a table, then the models in it; one in `shown` only by its first prefix."""
    name = prefix.rstrip(".")
    first = shown.setdefault(node["title"], name)
    description = node.get("description", "")
    if first != name:
        description = f"The keys and defaults of [`{first}`](#{_anchor(first)})."
    yield _SECTION.format(title=title, anchor=_anchor(name), description=description)
    if first != name:
        return
    required = node.get("required", ())
    inner, rows = {}, []
    for key, field in node["properties"].items():
        resolved = _resolved(field, known)
        if "properties" in resolved:
            inner[key] = resolved
        else:
            rows.append(_row(prefix + key, key, resolved, key in required))
    if rows:
        yield _HEAD + "".join(rows)
    for key, resolved in inner.items():
        yield from _section(resolved, known, f"{prefix}{key}.", f"`{prefix}{key}`", shown)


def _anchor(name: str) -> str:
    return name.replace(".", "-") or "top"


def _resolved(field: Node, known: Node) -> Node:
    reference = field.get("$ref")
    if reference is None:
        return field
    target = known[reference.rpartition("/")[2]]
    return {**target, **{key: value for key, value in field.items() if key != "$ref"}}


def _row(path: str, name: str, field: Node, required: bool) -> str:
    default = (
        "required" if required else f"`{_text(field['default'])}`" if "default" in field else ""
    )
    meaning = " ".join(field.get("description", "").split())
    anchor = f'<span id="{path}"></span>'
    return f"| {anchor}`{name}` | {_values(field)} | {default} | {_cell(meaning)} |\n"


def _default(field: Node) -> str:
    return f"`{_text(field['default'])}`" if "default" in field else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(value: Any) -> str:
    """A value as YAML has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _values(field: Node) -> str:
    """What a field takes: a type with its range, or the names to choose from."""
    if "anyOf" in field:
        return " or ".join(_values(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{_text(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{_text(field['const'])}`"
    kind = field.get("type")
    if kind == "array":
        items = field.get("prefixItems") or [field.get("items", {})]
        inner = _values(items[0])
        return f"pair of: {inner}" if "prefixItems" in field else f"list of: {inner}"
    if kind in ("integer", "number"):
        return f"{kind}{_range(field)}"
    names = {"string": "text", "boolean": "`true`, `false`", "null": "`null`", "object": "mapping"}
    if field.get("format") == "path":
        return "path"
    return escape(names.get(str(kind), "any"))


def _range(field: Node) -> str:
    bounds = []
    for key, sign in (
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    ):
        if key in field:
            bounds.append(f"{sign} {_number(field[key])}")
    if "multipleOf" in field:
        bounds.append(f"a multiple of {_number(field['multipleOf'])}")
    return f" {', '.join(bounds)}" if bounds else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
