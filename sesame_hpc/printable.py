"""Text that any terminal takes, and the ways to it: `say`, and for tables `console.SafeConsole`.

What is printed holds names from other people's files, and so nothing else prints.
"""

import re
import sys
from types import TracebackType

__all__ = ["escape_warnings", "printable", "say", "with_notes"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """The text with what a terminal would obey or cannot show as escapes.

    Bytes of file names that are not UTF-8 and control characters become `\\xe9`, `\\x1b`, changes
    of direction `\\u202e`; tabs and newlines stay.
    """
    plain = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(_escaped, plain)


def say(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print `printable(text)` to standard output, or to standard error."""
    print(printable(text), end=end, file=sys.stderr if err else sys.stdout, flush=err)


def escape_warnings() -> None:
    """From now on what Python prints by itself is printable: warnings, log records, tracebacks."""
    import logging
    import warnings

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    formatted = warnings.formatwarning
    warnings.formatwarning = lambda *arguments, **options: printable(
        formatted(*arguments, **options)
    )
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Formatter())
    sys.excepthook = _print_exception


def _print_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    import traceback

    say("".join(traceback.format_exception(kind, error, trace)), err=True, end="")


def with_notes(text: str, error: BaseException) -> str:
    """`text` on an error, and in brackets the notes that were added to it."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    return f"{text} ({notes})" if text and notes else text or notes


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
