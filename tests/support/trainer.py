"""Trainings as processes that start at once: `python trainer.py` imports all, then forks for each.

It reads one JSON object per line, {"arguments": [...], "output": FILE, "die_at": N or null}, forks
a process that runs `sesame` with those arguments, and answers with its number; when that process
has ended, a line with its exit code follows, negative for a signal. With `die_at`, the process
kills itself before its N-th function that changes names or syncs.
"""

import json
import os
import signal
import sys
from typing import Any

FUNCTIONS = ("replace", "rename", "link", "mkdir", "unlink", "rmdir", "fsync")


def die_at(count: int) -> None:
    """SIGKILL for this process before the `count`-th call of FUNCTIONS from now on."""
    left = [count]

    def counting(original: Any) -> Any:
        def function(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return function

    for name in FUNCTIONS:
        setattr(os, name, counting(getattr(os, name)))


def run(order: dict) -> None:
    """In the forked process: never returns."""
    from sesame_hpc.__main__ import main
    from sesame_hpc.distributed.interruption import listen

    listen()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, handle in ((0, nothing), (1, output), (2, output)):
        os.dup2(handle, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, m) for n, m in ((0, "r"), (1, "w"), (2, "w")))
    sys.argv = ["sesame", *order["arguments"]]
    if order["die_at"]:
        die_at(order["die_at"])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    import torch

    import sesame_hpc.stages.finetune
    import sesame_hpc.stages.preliminary
    import sesame_hpc.stages.pretrain
    import sesame_hpc.stages.train  # noqa: F401
    from sesame_hpc.training.engine import _import_deepspeed
    from sesame_hpc.training.environment import environment

    _import_deepspeed(torch.device("cpu"))
    environment()
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            run(order)
        os.write(answers, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
