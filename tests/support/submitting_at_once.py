"""Two processes that submit one run at the same moment: `submitting_at_once.py FOLDER TRIES`.

Each try has a config of its own, FOLDER/TRY.yaml. FOLDER/TRY-PROCESS.txt has what a process said,
and ends with its exit code.
"""

import os
import sys
from pathlib import Path

from sesame_hpc.cli.main import main as sesame
from sesame_hpc.launch import plan, profile, submit  # noqa: F401

_PROCESSES = 2


def run(arguments: list[str], output: Path, start: int) -> None:
    """In a forked process, once the other end of `start` is closed; never returns."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.read(start, 1)
    sys.argv = ["sesame", *arguments]
    code = 0
    try:
        sesame()
    except SystemExit as end:
        code = int(end.code or 0)
    print(f"exit code {code}", flush=True)
    os._exit(0)


def main() -> None:
    folder = Path(sys.argv[1])
    for number in range(int(sys.argv[2])):
        arguments = ["submit", str(folder / f"{number}.yaml"), "--profile", "local"]
        waiting, start = os.pipe()
        for process in range(_PROCESSES):
            if os.fork() == 0:
                os.close(start)
                run(arguments, folder / f"{number}-{process}.txt", waiting)
        os.close(waiting)
        os.close(start)
        for _ in range(_PROCESSES):
            os.wait()


if __name__ == "__main__":
    main()
