"""PTX text -> parameters, registers, instructions and labels of a kernel."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .faults import UnsupportedError

__all__ = ["Instruction", "Kernel", "Parameter", "parse"]

_LINE_DIRECTIVES = (".loc", ".file", ".section", ".pragma")


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str


@dataclass(frozen=True)
class Instruction:
    """`guard` is a predicate register or empty; `place` the line of Python that it comes from."""

    guard: str
    negated: bool
    opcode: tuple[str, ...]
    operands: tuple[str, ...]
    text: str
    place: str

    @property
    def kind(self) -> str:
        """The type at the opcode's end, such as `f32`."""
        return self.opcode[-1]

    def __str__(self) -> str:
        return f"{self.text} ({self.place})" if self.place else self.text


@dataclass(frozen=True)
class Kernel:
    """`widths`: bytes of a register, by its name without the number; 0 for a predicate."""

    name: str
    parameters: tuple[Parameter, ...]
    threads: int
    code: tuple[Instruction, ...]
    labels: dict[str, int]
    widths: dict[str, int]


def parse(ptx: str) -> Kernel:
    """The one kernel of a module."""
    entry = re.search(r"\.entry\s+(\w+)\s*\((.*?)\)(.*?)\{", ptx, re.S)
    if entry is None:
        raise UnsupportedError("no .entry")
    threads = re.search(r"\.reqntid\s+(\d+)", entry[3])
    if threads is None:
        raise UnsupportedError("no .reqntid: the number of threads is not known")
    parameters = re.findall(r"\.param\s+\.(\w+)[^,]*?(\w+)\s*(?:,|$)", entry[2].strip(), re.S)
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    widths: dict[str, int] = {}
    for statement, place in _statements(ptx[entry.end() :]):
        if found := re.fullmatch(r"(\$?\w+):", statement):
            labels[found[1]] = len(code)
        elif statement.startswith(".reg"):
            widths |= _registers(statement)
        elif not statement.startswith("."):
            code.append(_instruction(statement, place))
    named = tuple(Parameter(name, kind) for kind, name in parameters)
    return Kernel(entry[1], named, int(threads[1]), tuple(code), labels, widths)


def _statements(body: str) -> Iterator[tuple[str, str]]:
    """(statement, place) until the body's closing brace; blocks within it are opened."""
    depth, place, pending = 1, "", ""
    for line in body.split("\n"):
        code, _, comment = line.partition("//")
        if code.lstrip().startswith(_LINE_DIRECTIVES):
            if code.lstrip().startswith(".loc"):
                place = comment.strip()
            continue
        pending += code + "\n"
        while True:
            pending = pending.lstrip()
            if label := re.match(r"\$?\w+:", pending):
                yield label[0], place
                pending = pending[label.end() :]
            elif pending.startswith("{"):
                depth, pending = depth + 1, pending[1:]
            elif pending.startswith("}"):
                depth, pending = depth - 1, pending[1:]
                if depth == 0:
                    return
            elif ";" in pending:
                statement, _, pending = pending.partition(";")
                yield " ".join(statement.split()), place
            else:
                break


def _registers(statement: str) -> dict[str, int]:
    """`.reg .b32 %r<9>` or `.reg .b16 low, high` -> {name: bytes}."""
    kind, names = statement.removeprefix(".reg").strip().removeprefix(".").split(maxsplit=1)
    width = 0 if kind == "pred" else int(kind[1:]) // 8
    return {name.strip().split("<")[0]: width for name in names.split(",")}


def _instruction(statement: str, place: str) -> Instruction:
    found = re.match(r"@(!?)([%\w]+)\s+", statement)
    opcode, _, operands = statement[found.end() if found else 0 :].partition(" ")
    parts = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,{}\[\]])+", operands)
    return Instruction(
        found[2] if found else "",
        bool(found and found[1]),
        tuple(opcode.replace("::", ".").split(".")),
        tuple(part.strip() for part in parts if part.strip()),
        statement,
        place,
    )
