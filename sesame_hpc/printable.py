"""Text that any terminal takes."""

import re

__all__ = ["printable", "with_notes"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """The text with what a terminal would obey or cannot show as escapes.

    Bytes of file names that are not UTF-8 and control characters become `\\xe9`, `\\x1b`, changes
    of direction `\\u202e`; tabs and newlines stay.
    """
    plain = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(_escaped, plain)


def with_notes(text: str, error: BaseException) -> str:
    """`text` on an error, and in brackets the notes that were added to it."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    return f"{text} ({notes})" if text and notes else text or notes


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
