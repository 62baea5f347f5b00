"""XML annotation files as small trees: bounded, and without entities of their own."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from sesame_hpc.data.formats.faults import Fault

__all__ = ["Node", "read_xml", "root_tag"]

_DEEPEST = 20


@dataclass
class Node:
    """An element: its attributes, text, children, and the line on which it begins."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def all(self, tag: str) -> list["Node"]:
        """The children of that tag."""
        return [child for child in self.children if child.tag == tag]


class _RootSeen(Exception):
    pass


def read_xml(path: Path) -> Node:
    """The root element of a file.

    Raises:
        Fault: it cannot be read, is not XML, declares entities, or is nested too deeply; by line.
    """
    content = _content(path)
    parser = expat.ParserCreate()
    top = Node("", {}, 0)
    stack = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            line = parser.CurrentLineNumber
            raise Fault("layout", f"{path}:{line}", "is nested too deeply for annotations")
        node = Node(tag, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(node)
        stack.append(node)

    def end(tag: str) -> None:
        stack.pop()

    def text(characters: str) -> None:
        stack[-1].text += characters

    def entity(*declaration: object) -> None:
        line = parser.CurrentLineNumber
        raise Fault("layout", f"{path}:{line}", "declares entities, which annotations have none of")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = text, entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise Fault("layout", f"{path}:{error.lineno}", f"is not XML: {reason}") from error
    except (ValueError, LookupError) as error:
        if isinstance(error, Fault):
            raise
        raise Fault("layout", path, f"is not XML: {error}") from error
    return top.children[0]


def root_tag(path: Path) -> str | None:
    """The tag of a file's root element; None where it is not XML. Reads no more than its start."""
    parser = expat.ParserCreate()
    tags: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        tags.append(tag)
        raise _RootSeen

    parser.StartElementHandler = start
    try:
        with path.open("rb") as file:
            parser.Parse(file.read(1 << 16), False)
    except (_RootSeen, OSError, expat.ExpatError, ValueError, LookupError):
        pass
    return tags[0] if tags else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise Fault("text", path, problem) from error
