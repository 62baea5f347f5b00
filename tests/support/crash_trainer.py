"""Trainings that start at once: `python crash_trainer.py` imports everything, then forks for each.

It reads one JSON object per line, {"arguments": [...], "output": FILE, "die_at": N or null}, forks
a process that runs `sesame` with those arguments, and answers with its number; when that process
has ended, a line with its exit code follows, negative for a signal. The output ends with how many
functions there were that change names or sync. With `die_at`, the process
kills itself before its N-th function that changes names or syncs. With `modules`, a file, the
process leaves there what it imported, and the next ones start with that.

Floating-point operations, which no result depends on, are not counted: that takes a third of the
time.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FUNCTIONS = ("replace", "rename", "link", "mkdir", "unlink", "rmdir", "fsync")


def die_at(count: int) -> Callable[[], int]:
    """SIGKILL for this process before the `count`-th call of FUNCTIONS from now on.

    Returns a function that says how many there were.
    """
    done = [0]

    def counting(original: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **options: Any) -> Any:
            done[0] += 1
            if done[0] == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return function

    for name in FUNCTIONS:
        setattr(os, name, counting(getattr(os, name)))
    return lambda: done[0]


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
    operations = die_at(order["die_at"] or 0)
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    if order.get("modules"):
        Path(order["modules"]).write_text(json.dumps(sorted(sys.modules)))
    print(f"file operations: {operations()}", flush=True)
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    import torch

    import sesame_hpc.stages.finetune
    import sesame_hpc.stages.preliminary
    import sesame_hpc.stages.pretrain
    import sesame_hpc.stages.train  # noqa: F401
    from sesame_hpc.stages import session
    from sesame_hpc.training.engine import _import_deepspeed
    from sesame_hpc.training.environment import environment
    from sesame_hpc.training.throughput import matmul_rate

    _import_deepspeed(torch.device("cpu"))
    environment()
    matmul_rate(torch.device("cpu"), torch.float32)
    session.training_flops = lambda network, image_size: 1e6
    answers = os.dup(1)
    os.dup2(2, 1)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            run(order)
        os.write(answers, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        if order.get("modules"):
            for name in json.loads(Path(order["modules"]).read_text()):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            gc.freeze()
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
