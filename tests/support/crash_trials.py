"""Trials of the crash suite: one interruption or damage each, then the same command again.

What is random in a trial depends on the suite's seed, its kind and its number alone, so that one
can be repeated without those before it; what a process is doing at an instant, no seed decides.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import crash_trainer
from mounted_disks import copy_at_one_instant, make_ext4, mounted
from safetensors import SafetensorError
from safetensors.torch import load_file
from training_process import clean_environment

__all__ = ["KINDS", "Bench", "Kind", "Outcome", "next_kind", "table", "trial"]

STAGES = ("preliminary", "pretrain", "finetune")
SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_SECONDS = 600
_TRIALS_PER_SNAPSHOT = 8


@dataclass
class Outcome:
    """What came of the trials of one kind.

    `interrupted` of them ended the run before its end; `is_possible` says whether this machine can
    do them. `wrong` holds what was not as it should be, each beginning with one of WRONG.
    """

    tries: int = 0
    interrupted: int = 0
    is_possible: bool = True
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, code: int, text: str) -> None:
        """Record a command that ended as it should not."""
        kind = "traceback" if "Traceback" in text else "lost"
        self.wrong.append(f"{kind}: {what}: exit code {code}: {text[-3000:]}")


WRONG = ("traceback", "lost", "difference", "left over")


class Bench:
    """A trainer, a config, and a finished run of it to compare with."""

    def __init__(self, folder: Path, config: Path, reference: Path, seed: int = 0) -> None:
        self.folder, self.config, self.reference, self.seed = folder, config, reference, seed
        self._number = 0
        self._snapshot: tuple[int, Path] | None = None
        self._seconds: deque[float] = deque(maxlen=12)
        self._trainer = subprocess.Popen(
            [sys.executable, crash_trainer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment() | {"OMP_NUM_THREADS": "1"},
            text=True,
        )
        assert self._trainer.stdin
        assert self._trainer.stdout
        self._orders, self._answers = self._trainer.stdin, self._trainer.stdout
        self.operations = 0
        self.kilobytes = 0

    def generator(self, *key: object) -> random.Random:
        return random.Random(" ".join(map(str, (self.seed, *key))))

    @property
    def seconds(self) -> float:
        """Of the longest of the latest trainings: the machine may have other work."""
        return max(self._seconds)

    def train_reference(self) -> None:
        """The undisturbed run. Later trainings start with all that it imported."""
        modules = self.folder / "modules.json"
        self.start(self.reference, modules=modules)
        code, said = self.end(), self.said(self.reference).read_text()
        assert code == 0, said
        self.operations = int(said.rpartition("file operations: ")[2])
        used = sum(path.stat().st_size for path in self.reference.rglob("*") if path.is_file())
        self.kilobytes = used // 1024
        run = self.new_run()
        assert self.train(run)[0] == 0
        assert self.differences(run) == []
        shutil.rmtree(run)

    def close(self) -> None:
        self._orders.close()
        self._trainer.wait(60)

    def new_run(self) -> Path:
        self._number += 1
        return self.folder / f"run-{self._number:05d}"

    def start(self, run: Path, die_at: int | None = None, modules: Path | None = None) -> int:
        """The number of the process that trains in `run`."""
        order = {
            "arguments": ["train", str(self.config), f"output={run}"],
            "output": str(self.said(run)),
            "die_at": die_at,
            "modules": str(modules) if modules else None,
        }
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return int(self._answers.readline())

    def end(self) -> int:
        return int(self._answers.readline())

    def said(self, run: Path) -> Path:
        return run.with_suffix(".txt")

    def train(self, run: Path) -> tuple[int, str]:
        """The same command to its end: exit code and output."""
        start = time.monotonic()
        self.start(run)
        code = self.end()
        self._seconds.append(time.monotonic() - start)
        return code, self.said(run).read_text(errors="replace")

    def interrupted(self, number: int) -> Path:
        """A copy of a run that was killed before a random file operation.

        Eight consecutive trials share such a run, since training it takes most of the
        time.
        """
        group = number // _TRIALS_PER_SNAPSHOT
        if self._snapshot is None or self._snapshot[0] != group:
            if self._snapshot:
                shutil.rmtree(self._snapshot[1])
            run = self.new_run()
            generator = self.generator("interrupted run", group)
            self.start(run, die_at=generator.randrange(self.operations // 5, self.operations))
            assert self.end() == -signal.SIGKILL
            self._snapshot = group, run
        copy = self.new_run()
        shutil.copytree(self._snapshot[1], copy)
        return copy

    def finish(self, run: Path, what: str, outcome: Outcome) -> None:
        """Give the command again, and hold what it leaves against the undisturbed run."""
        code, text = self.train(run)
        if code != 0 or "Traceback" in text:
            outcome.add(what, code, text)
        else:
            outcome.wrong += [f"{each} ({what})" for each in self.differences(run)]
        self.remove(run)

    def remove(self, run: Path) -> None:
        shutil.rmtree(run, ignore_errors=True)
        self.said(run).unlink(missing_ok=True)

    def differences(self, run: Path, damaged: str = "") -> list[str]:
        """From the undisturbed run: weights to the bit, figures, records, leftovers.

        Records are not compared where `damaged` names their file: nothing makes them again.
        """
        found = []
        for stage in STAGES:
            name = f"checkpoints/{stage}/weights.safetensors"
            try:
                one, other = load_file(run / name), load_file(self.reference / name)
            except (OSError, SafetensorError) as error:
                found.append(f"lost: {name} cannot be read: {error}")
                continue
            if one.keys() != other.keys() or not all(one[k].equal(other[k]) for k in other):
                found.append(f"difference: {name} has other bits")
        if self._figures(run) != self._figures(self.reference):
            found.append("difference: summary.json has other figures")
        if damaged != "metrics.jsonl" and self._steps(run) != self._steps(self.reference):
            found.append("difference: metrics.jsonl has other steps")
        if not (run / "report.html").exists():
            found.append("lost: report.html is missing")
        found += [f"left over: {path.relative_to(run)}" for path in run.rglob(".*.tmp*")]
        return found

    def _figures(self, run: Path) -> object:
        summary = json.loads((run / "summary.json").read_text())
        return summary["stages"], summary["test"], summary["masking"]

    def _steps(self, run: Path) -> list[tuple]:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [(r["stage"], r["step"]) for r in records if "loss" in r]


def kill(bench: Bench, number: int, generator: random.Random, outcome: Outcome) -> None:
    """SIGKILL at a random instant."""
    run = bench.new_run()
    child = bench.start(run)
    time.sleep(generator.uniform(0, 1.05 * bench.seconds))
    _send(child, signal.SIGKILL)
    outcome.interrupted += bench.end() == -signal.SIGKILL
    bench.finish(run, "killed", outcome)


def kill_at_operation(
    bench: Bench, number: int, generator: random.Random, outcome: Outcome
) -> None:
    """SIGKILL before a random one of the functions that change names or sync."""
    run, at = bench.new_run(), generator.randrange(1, bench.operations)
    bench.start(run, die_at=at)
    outcome.interrupted += bench.end() == -signal.SIGKILL
    bench.finish(run, f"killed before operation {at}", outcome)


def signalled(bench: Bench, number: int, generator: random.Random, outcome: Outcome) -> None:
    """A signal at a random instant: saved and code 75, or the run was over."""
    run, sent = bench.new_run(), generator.choice(SIGNALS)
    child = bench.start(run)
    time.sleep(generator.uniform(0.05, 1.05 * bench.seconds))
    _send(child, sent)
    code = bench.end()
    text = bench.said(run).read_text(errors="replace")
    outcome.interrupted += code == 75
    if code not in (0, 75) or "Traceback" in text:
        outcome.add(sent.name, code, text)
    bench.finish(run, sent.name, outcome)


def damaged(bench: Bench, number: int, generator: random.Random, outcome: Outcome) -> None:
    """One file of an interrupted or finished run is flipped, cut, emptied or deleted."""
    if generator.random() < 0.3:
        run = bench.new_run()
        shutil.copytree(bench.reference, run)
    else:
        run = bench.interrupted(number)
        outcome.interrupted += 1
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    path = generator.choice(files)
    how = generator.choice(("flipped", "cut", "emptied", "deleted"))
    content = bytearray(path.read_bytes())
    if content and how == "flipped":
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    elif content and how == "cut":
        del content[generator.randrange(len(content)) :]
    elif how == "emptied":
        content.clear()
    path.write_bytes(content)
    if how == "deleted":
        path.unlink()
    what = f"{path.relative_to(run)} {how}"
    code, text = bench.train(run)
    if "Traceback" in text or (code != 0 and path.name not in text):
        outcome.add(what, code, text)
    elif code == 0:
        outcome.wrong += [f"{each} ({what})" for each in bench.differences(run, path.name)]
    bench.remove(run)


def power_cut(bench: Bench, number: int, generator: random.Random, outcome: Outcome) -> None:
    """An ext4 disk as it is at a random instant, mounted again with its journal replayed."""
    disk, cut, place = (bench.folder / name for name in ("disk", "cut", "disk-at"))
    run = place / bench.new_run().name
    is_made = make_ext4(disk)
    with mounted(place, "-o", "loop", str(disk)) as is_mounted:
        if not is_made or not is_mounted:
            outcome.is_possible = False
            return
        child = bench.start(run)
        time.sleep(generator.uniform(0, 1.05 * bench.seconds))
        _send(child, signal.SIGSTOP)
        copy_at_one_instant(disk, cut)
        _send(child, signal.SIGKILL)
        outcome.interrupted += bench.end() == -signal.SIGKILL
    with mounted(place, "-o", "loop", str(cut)) as is_mounted:
        assert is_mounted
        bench.finish(run, "power cut", outcome)


def full_disk(bench: Bench, number: int, generator: random.Random, outcome: Outcome) -> None:
    """A file system that is too small, made large enough later."""
    place = bench.folder / "full"
    size = generator.randrange(16, bench.kilobytes)
    with mounted(place, "-t", "tmpfs", "-o", f"size={size}k", "tmpfs") as is_mounted:
        if not is_mounted:
            outcome.is_possible = False
            return
        run = place / bench.new_run().name
        bench.start(run)
        code = bench.end()
        text = bench.said(run).read_text(errors="replace") if bench.said(run).exists() else ""
        outcome.interrupted += code == 2
        if code not in (0, 2) or "Traceback" in text:
            outcome.add(f"full at {size}k", code, text)
        subprocess.run(["mount", "-o", "remount,size=500m", str(place)], check=True)
        bench.finish(run, f"full at {size}k", outcome)


@dataclass(frozen=True)
class Kind:
    """`share` is that of the trials that count: those that ended a run early, or with `counts_all`
    every one."""

    label: str
    share: int
    function: Callable[[Bench, int, random.Random, Outcome], None]
    counts_all: bool = False


KINDS = {
    "kill": Kind("SIGKILL at a random instant", 2, kill),
    "operation": Kind("SIGKILL before a random file operation", 2, kill_at_operation),
    "signal": Kind("a signal at a random instant (INT, HUP, TERM, USR1, USR2)", 2, signalled),
    "damage": Kind("one file flipped, cut, emptied or deleted", 10, damaged, counts_all=True),
    "disk": Kind("a full disk", 1, full_disk),
    "cut": Kind("a power cut, on an ext4 disk", 1, power_cut),
}


def next_kind(outcomes: Mapping[str, Outcome]) -> str:
    """The kind that is furthest behind its share of the trials that interrupted a run."""

    def done(name: str) -> float:
        outcome, kind = outcomes[name], KINDS[name]
        counted = outcome.tries if kind.counts_all else outcome.interrupted
        return max(counted, outcome.tries // 4) / kind.share

    return min((name for name in KINDS if outcomes[name].is_possible), key=done)


def trial(bench: Bench, kind: str, number: int, outcome: Outcome) -> None:
    """One trial; what is wrong names it."""
    before = len(outcome.wrong)
    KINDS[kind].function(bench, number, bench.generator(kind, number), outcome)
    outcome.tries += outcome.is_possible
    outcome.wrong[before:] = [f"{each} [{kind}:{number}]" for each in outcome.wrong[before:]]


def _send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def table(outcomes: Mapping[str, Outcome]) -> str:
    """A Markdown table of what came of the trials."""
    columns = ("trial", "tries", "ended the run early", *WRONG)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, each in outcomes.items():
        counts = [sum(wrong.startswith(kind) for wrong in each.wrong) for kind in WRONG]
        cells = (KINDS[name].label, each.tries, each.interrupted, *counts)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
