"""Limits of YAML files, which may be a stranger's: 1 kB of aliases can stand for gigabytes."""

from pathlib import Path

import yaml

__all__ = ["check_yaml_size", "read_yaml_text"]

_BYTES = 2**20
_VALUES = 20_000
_DEPTH = 32


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file. ValueError naming it if it is longer than 1 MiB or is not UTF-8."""
    with path.open("rb") as file:
        content = file.read(_BYTES + 1)
    if len(content) > _BYTES:
        raise ValueError(f"{path}: is longer than {_BYTES} bytes, the most that is read as YAML")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text in UTF-8 ({error.reason})") from None


def check_yaml_size(node: yaml.Node | None, name: str) -> None:
    """Check what a parsed document amounts to with every alias written out.

    Raises:
        ValueError: naming `name`: more than 20,000 values, more than 32 levels, or a value that
            contains itself.
    """
    if node is not None and _amount(node, name, {}, 0)[0] > _VALUES:
        raise ValueError(f"{name}: expands to more than {_VALUES} values with its aliases")


_Sizes = dict[int, tuple[int, int] | None]


def _amount(node: yaml.Node, name: str, known: _Sizes, depth: int) -> tuple[int, int]:
    """Values and levels below a node, itself included; each node is visited once."""
    if id(node) in known:
        amount = known[id(node)]
        if amount is None:
            raise ValueError(f"{name}: line {node.start_mark.line + 1}: contains itself")
    else:
        known[id(node)] = None
        children = [_amount(each, name, known, depth + 1) for each in _children(node)]
        amount = (
            1 + sum(values for values, _ in children),
            1 + max((levels for _, levels in children), default=0),
        )
        known[id(node)] = amount
    if depth + amount[1] > _DEPTH:
        raise ValueError(f"{name}: not valid YAML: nested too deeply (at most {_DEPTH} levels)")
    return amount


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
