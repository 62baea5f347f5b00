"""What a command ends with: its exit code, and one sentence in place of a traceback.

0    done
1    done, with findings in a data set, inputs that failed, damage, a run that failed
2    not done: usage, input, or something that the machine refused; the message says what
75   interrupted, and saved: the same command resumes
130  ended by Ctrl-C before anything could be saved
"""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from sesame_hpc.distributed.interruption import EXIT_INTERRUPTED, EXIT_SAVED
from sesame_hpc.printable import printable, say, with_notes
from sesame_hpc.shortage import shortage

__all__ = ["USER_ERRORS", "ExitCode", "message", "sentences_of_threads"]


class ExitCode(IntEnum):
    DONE = 0
    FINDINGS = 1
    ERROR = 2
    SAVED = EXIT_SAVED
    INTERRUPTED = EXIT_INTERRUPTED


USER_ERRORS = (ValueError, OSError, FloatingPointError, MemoryError)
"""What a user can fix; anything else is a bug of this program."""

_HINTS = {
    errno.ENOSPC: "What was finished is kept; free some space and run the same command again.",
    errno.EDQUOT: "What was finished is kept; free some space and run the same command again.",
    errno.EROFS: "Choose a location that can be written to.",
    errno.EACCES: "Choose another location, or ask its owner.",
    errno.EPERM: "Choose another location, or ask its owner.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n), or use fewer workers.",
    errno.EIO: "The disk or the connection to it failed.",
    errno.ESTALE: "The file system was remounted while the command ran; run it again.",
}
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def message(error: BaseException) -> str:
    """One line, or as many as the error has: "sesame: ..." with the rank where there are several.

    Control characters in it are escaped. An OSError is reported with its file, and what to do;
    notes that were added to an error say where it happened.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    rank = f" (rank {os.environ.get('RANK', '?')})" if several else ""
    return printable(f"sesame{rank}: {with_notes(_text(error), error)}")


def _text(error: BaseException) -> str:
    if lacking := shortage(error):
        return lacking
    if not isinstance(error, OSError) or error.errno is None or error.strerror is None:
        return str(error)
    # Of a copy, the first name is that of the source.
    name = error.filename2 if error.errno in _OF_WRITING and error.filename2 else error.filename
    if name is None:
        text = error.strerror
    elif isinstance(error, FileExistsError | NotADirectoryError):
        text = f"{_shown(name)}: a file is where a directory should be"
    else:
        text = f"{error.strerror}: {_shown(name)}"
    hint = _HINTS.get(error.errno)
    return f"{text}. {hint}" if hint else text


def _shown(name: str | bytes | int) -> str:
    return str(name) if isinstance(name, int) else os.fsdecode(name)


@contextmanager
def sentences_of_threads() -> Iterator[None]:
    """Within it, what a user can fix is a message also where it ends a thread.

    TensorBoard writes in a thread of its own.
    """

    def tell(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if isinstance(error, USER_ERRORS):
            say(message(error), err=True)
        else:
            before(arguments)

    before = threading.excepthook
    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before
