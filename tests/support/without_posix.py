"""`sesame ARGUMENTS` with what Windows lacks taken away: modules, system calls, signals.

Libraries are imported first, since they are those of this system.
"""

import os
import shutil
import signal
import sys
import sysconfig
from typing import Any

import av  # noqa: F401
import cv2  # noqa: F401
import jinja2  # noqa: F401
import onnxruntime  # noqa: F401
import PIL.Image
import PIL.ImageOps  # noqa: F401
import pydantic  # noqa: F401
import rich.progress
import rich.table  # noqa: F401
import typer  # noqa: F401
import yaml  # noqa: F401

_MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty")
_CALLS = (
    "fchmod", "fork", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "sched_getaffinity",
    "statvfs", "sysconf", "uname",
)  # fmt: skip
_SIGNALS = ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2")
_WAITING = ("pthread_kill", "pthread_sigmask", "sigwait")

_open = os.open


def _open_no_folder(path: Any, *arguments: Any, **options: Any) -> int:
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return _open(path, *arguments, **options)


def main() -> None:
    sysconfig.get_config_vars()  # of this system
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, _CALLS), (signal, (*_SIGNALS, *_WAITING))):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    os.open = _open_no_folder
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    sys.platform = "win32"

    from sesame_hpc.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
