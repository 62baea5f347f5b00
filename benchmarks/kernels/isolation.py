"""Providers in a process each, where a call finds none of the memory that another one left."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import CDLL
from functools import partial
from multiprocessing.connection import Connection

__all__ = ["IsolatedProviders", "Maker", "isolated"]

Maker = Callable[[], Callable[[str], Callable[[], object]]]
"""Called in the new process; what it returns makes the function to be timed for a direction."""

_WARM_UP_SECONDS = 0.5
_RUN = "run"


class IsolatedProviders:
    """Processes that wait to be told what to run."""

    def __init__(self, pipes: Mapping[str, Connection]) -> None:
        self._pipes = pipes

    def samplers(self, direction: str) -> dict[str, Callable[[], float]]:
        """Prepare a direction in every process; a sampler runs it once and returns milliseconds."""
        for pipe in self._pipes.values():
            _ask(pipe, direction)
        return {name: partial(_ask, pipe, _RUN) for name, pipe in self._pipes.items()}


@contextmanager
def isolated(makers: Mapping[str, Maker]) -> Iterator[IsolatedProviders]:
    """Start a process for each maker, which must be picklable; they end with the block.

    Raises EOFError where a process ended early; its traceback is on stderr.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    try:
        for name, maker in makers.items():
            pipes[name], theirs = context.Pipe()
            processes.append(context.Process(target=_serve, args=(theirs, maker)))
            processes[-1].start()
            theirs.close()
        yield IsolatedProviders(pipes)
    finally:
        for pipe in pipes.values():
            pipe.close()
        for process in processes:
            process.join()


def _ask(pipe: Connection, request: str) -> float:
    pipe.send(request)
    return pipe.recv()


def _serve(pipe: Connection, maker: Maker) -> None:
    """Answer `_RUN` with the milliseconds of a run, and a direction once that is prepared.

    Preparing ends with half a second of runs: where the host of a virtual machine has reclaimed
    free memory, the first dozen runs that touch it again take up to three times as long.
    """
    make, release_memory, run = maker(), _memory_releaser(), _nothing
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if request == _RUN:
            release_memory()
            start = time.perf_counter()
            run()
            pipe.send((time.perf_counter() - start) * 1e3)
        else:
            run = make(request)
            deadline = time.perf_counter() + _WARM_UP_SECONDS
            run()
            while time.perf_counter() < deadline:
                release_memory()
                run()
            pipe.send(0.0)


def _nothing() -> object:
    return None


def _memory_releaser() -> Callable[[], object]:
    """A function that returns glibc's freed memory to the kernel, as do_bench clears a GPU's cache.

    How much glibc keeps of tensors of tens of MB depends on all that was freed before, and through
    page faults the same code takes half or twice the time.
    """
    try:
        malloc_trim = CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    return lambda: malloc_trim(0)
