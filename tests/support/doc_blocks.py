"""The fenced code blocks of the documents, and why some of them are not run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks", "documents"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<language>\w*)\s*$")
_NOT_RUN = re.compile(r"^<!-- not run: (?P<reason>.+?) -->$")
_FILE = re.compile(r"^# (?P<name>[\w.-]+\.yaml)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` of its fence, and the `reason` of the comment right above it."""

    document: str
    line: int
    language: str
    text: str
    reason: str | None = None

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """What a YAML block is to be saved as, by its first line, as in `# mine.yaml`."""
        found = _FILE.match(self.text.split("\n", 1)[0]) if self.language == "yaml" else None
        return found["name"] if found else None


def documents() -> list[str]:
    """Every Markdown file for people, relative to the repository's root."""
    top = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")]
    return sorted({path.relative_to(ROOT).as_posix() for path in top})


def blocks(document: str, text: str | None = None) -> Iterator[Block]:
    """The fenced blocks of a document, or of `text` in its place.

    Raises ValueError for a fence that is not closed.
    """
    lines = (text or (ROOT / document).read_text(encoding="utf-8")).split("\n")
    number, reason = 0, None
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            comment = _NOT_RUN.match(lines[number])
            reason = comment["reason"] if comment else None
            number += 1
            continue
        end = next((n for n in range(number + 1, len(lines)) if lines[n] == "```"), None)
        if end is None:
            raise ValueError(f"{document}:{number + 1}: this block has no end")
        content = "\n".join(lines[number + 1 : end])
        yield Block(document, number + 1, fence["language"], content, reason)
        number, reason = end + 1, None
