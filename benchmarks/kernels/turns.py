"""What is to be timed, each in a process of its own, by turns on the CPU."""

import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import CDLL
from multiprocessing.connection import Connection

__all__ = ["Maker", "Turns", "quantiles", "turns"]

Maker = Callable[[], Callable[[str], Callable[[], object]]]
"""Called in its process; what it returns gives, by a name, what is timed under that name."""

_BUDGET_SECONDS = 1.0
_LEAST_ROUNDS = 10
_WARM_UP_SECONDS = 0.5
_GO = "go"


class Turns:
    """Processes that wait for their turn."""

    def __init__(self, pipes: Mapping[str, Connection]) -> None:
        self._pipes = pipes
        self._shuffle = random.Random(0).shuffle

    def times(self, what: str) -> dict[str, list[float]]:
        """Milliseconds of each round, by process, in an order that is drawn anew for each round."""
        for pipe in self._pipes.values():
            _ask(pipe, what)
        times: dict[str, list[float]] = {name: [] for name in self._pipes}
        deadline = time.perf_counter() + _BUDGET_SECONDS * len(times)
        order = list(times)
        while len(times[order[0]]) < _LEAST_ROUNDS or time.perf_counter() < deadline:
            self._shuffle(order)
            for name in order:
                times[name].append(_ask(self._pipes[name], _GO))
        return times


@contextmanager
def turns(makers: Mapping[str, Maker]) -> Iterator[Turns]:
    """Start the processes; they end with the block. A maker must be picklable.

    Raises EOFError where a process ended early; its traceback is on stderr.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    try:
        for name, maker in makers.items():
            pipes[name], theirs = context.Pipe()
            processes.append(context.Process(target=_wait_for_turns, args=(theirs, maker)))
            processes[-1].start()
            theirs.close()
        yield Turns(pipes)
    finally:
        for pipe in pipes.values():
            pipe.close()
        for process in processes:
            process.join()


def _ask(pipe: Connection, word: str) -> float:
    pipe.send(word)
    return pipe.recv()


def _wait_for_turns(pipe: Connection, maker: Maker) -> None:
    """Answer _GO with the milliseconds of a run, and another word after making that ready.

    A virtual machine's host may have taken back memory that was free: the first dozen runs that
    touch it again take up to three times as long.
    """
    make, release, run = maker(), _releaser(), _nothing
    while True:
        try:
            word = pipe.recv()
        except EOFError:
            return
        if word == _GO:
            release()
            start = time.perf_counter()
            run()
            pipe.send((time.perf_counter() - start) * 1e3)
        else:
            run = make(word)
            deadline = time.perf_counter() + _WARM_UP_SECONDS
            run()
            while time.perf_counter() < deadline:
                release()
                run()
            pipe.send(0.0)


def _nothing() -> None:
    return None


def _releaser() -> Callable[[], object]:
    """Gives glibc's freed memory back to the kernel, as do_bench clears a GPU's cache.

    What glibc keeps of tensors of tens of MB depends on all that was freed before: the same code
    takes half or twice the time, by the page faults that it meets.
    """
    try:
        malloc_trim = CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    return lambda: malloc_trim(0)


def quantiles(values: list[float]) -> tuple[float, float, float]:
    """Median, 20 % and 80 %."""
    fifths = statistics.quantiles(values, n=5)
    return statistics.median(values), fifths[0], fifths[3]
