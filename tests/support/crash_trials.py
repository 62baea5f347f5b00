"""Trials of the crash suite: one interruption or damage each, then the same command again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import crash_trainer
from safetensors.torch import load_file
from training_process import clean_environment

__all__ = ["KINDS", "Bench", "Outcome", "next_kind", "table"]

STAGES = ("preliminary", "pretrain", "finetune")
SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_SECONDS = 600
_TRIALS_PER_SNAPSHOT = 8


@dataclass
class Outcome:
    """`wrong` says what was not as it should be; `is_possible` whether this machine can do it."""

    tries: int = 0
    interrupted: int = 0
    mended: int = 0
    is_possible: bool = True
    wrong: list[str] = field(default_factory=list)


class Bench:
    """A trainer, a config, and a finished run of it to compare with."""

    def __init__(self, folder: Path, config: Path, reference: Path) -> None:
        self.folder, self.config, self.reference = folder, config, reference
        self._number = 0
        self._snapshots: list[Path] = []
        self._snapshot_uses = 0
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
        self.seconds = 0.0
        self.operations = 0

    def close(self) -> None:
        self._orders.close()
        self._trainer.wait(60)

    def new_run(self) -> Path:
        self._number += 1
        return self.folder / f"run-{self._number:05d}"

    def start(self, run: Path, die_at: int | None = None) -> int:
        """The number of the process that trains in `run`."""
        order = {
            "arguments": ["train", str(self.config), f"output={run}"],
            "output": str(self.said(run)),
            "die_at": die_at,
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
        self.seconds = time.monotonic() - start
        return code, self.said(run).read_text(errors="replace")

    def interrupted(self, generator: random.Random) -> Path:
        """A copy of a run that was killed before a random file operation.

        Several trials share such a run, since training one takes most of the time.
        """
        if self._snapshot_uses % _TRIALS_PER_SNAPSHOT == 0:
            run = self.new_run()
            self.start(run, die_at=generator.randrange(self.operations // 5, self.operations))
            assert self.end() == -signal.SIGKILL
            self._snapshots.append(run)
        self._snapshot_uses += 1
        copy = self.new_run()
        shutil.copytree(generator.choice(self._snapshots), copy)
        return copy

    def finish(self, run: Path, what: str, outcome: Outcome) -> str:
        """Give the command again, and hold what it leaves against the undisturbed run."""
        code, text = self.train(run)
        if code != 0 or "Traceback" in text:
            outcome.wrong.append(f"{what}: exit code {code}: {text[-600:]}")
            return text
        outcome.wrong += [f"{what}: {difference}" for difference in self.differences(run)]
        shutil.rmtree(run, ignore_errors=True)
        return text

    def differences(self, run: Path) -> list[str]:
        """From the undisturbed run: weights to the bit, figures, records, leftovers."""
        found = []
        for stage in STAGES:
            name = f"checkpoints/{stage}/weights.safetensors"
            one, other = load_file(run / name), load_file(self.reference / name)
            if one.keys() != other.keys() or not all(one[k].equal(other[k]) for k in other):
                found.append(f"{name} has other bits")
        if self._figures(run) != self._figures(self.reference):
            found.append("summary.json has other figures")
        if self._steps(run) != self._steps(self.reference):
            found.append("metrics.jsonl has other steps")
        if not (run / "report.html").exists():
            found.append("report.html is missing")
        found += [f"{path} is left over" for path in run.rglob(".*.tmp*")]
        return found

    def _figures(self, run: Path) -> object:
        summary = json.loads((run / "summary.json").read_text())
        return summary["stages"], summary["test"], summary["masking"]

    def _steps(self, run: Path) -> list[tuple]:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [(r["stage"], r["step"]) for r in records if "loss" in r]


def kill(bench: Bench, generator: random.Random, outcome: Outcome) -> None:
    """SIGKILL at a random instant."""
    run = bench.new_run()
    child = bench.start(run)
    time.sleep(generator.uniform(0, 1.05 * bench.seconds))
    _send(child, signal.SIGKILL)
    outcome.interrupted += bench.end() == -signal.SIGKILL
    bench.finish(run, "killed", outcome)


def kill_at_operation(bench: Bench, generator: random.Random, outcome: Outcome) -> None:
    """SIGKILL before a random one of the functions that change names or sync."""
    run, at = bench.new_run(), generator.randrange(1, bench.operations)
    bench.start(run, die_at=at)
    outcome.interrupted += bench.end() == -signal.SIGKILL
    bench.finish(run, f"killed before operation {at}", outcome)


def signalled(bench: Bench, generator: random.Random, outcome: Outcome) -> None:
    """A signal at a random instant: saved and code 75, or the run was over."""
    run, number = bench.new_run(), generator.choice(SIGNALS)
    child = bench.start(run)
    time.sleep(generator.uniform(0.05, 1.05 * bench.seconds))
    _send(child, number)
    code = bench.end()
    text = bench.said(run).read_text(errors="replace")
    outcome.interrupted += code == 75
    if code not in (0, 75) or "Traceback" in text:
        outcome.wrong.append(f"{number.name}: exit code {code}: {text[-600:]}")
    bench.finish(run, number.name, outcome)


def damaged(bench: Bench, generator: random.Random, outcome: Outcome) -> None:
    """One file of an interrupted or finished run is flipped, cut, emptied or deleted."""
    if generator.random() < 0.3:
        run = bench.new_run()
        shutil.copytree(bench.reference, run)
    else:
        run = bench.interrupted(generator)
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
        outcome.wrong.append(f"{what}: exit code {code}: {text[-600:]}")
    elif code == 0:
        wrong = bench.differences(run)
        if path.name == "metrics.jsonl":  # a damaged record is left out, or has another digit
            wrong = [each for each in wrong if not each.startswith("metrics.jsonl")]
        outcome.wrong += [f"{what}: {difference}" for difference in wrong]
    outcome.mended += code == 0
    shutil.rmtree(run, ignore_errors=True)


def full_disk(bench: Bench, generator: random.Random, outcome: Outcome) -> None:
    """A file system that is too small, made large enough later."""
    place = bench.folder / "full"
    place.mkdir(exist_ok=True)
    size = generator.randrange(16, 1600)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        outcome.tries -= 1
        outcome.is_possible = False
        return
    try:
        run = place / bench.new_run().name
        bench.start(run)
        code = bench.end()
        text = bench.said(run).read_text(errors="replace") if bench.said(run).exists() else ""
        outcome.interrupted += code == 2
        if code not in (0, 2) or "Traceback" in text:
            outcome.wrong.append(f"full at {size}k: exit code {code}: {text[-600:]}")
        subprocess.run(["mount", "-o", "remount,size=500m", str(place)], check=True)
        bench.finish(run, f"full at {size}k", outcome)
    finally:
        subprocess.run(["umount", str(place)], check=False)


KINDS = {
    "SIGKILL at a random instant": kill,
    "SIGKILL before a random file operation": kill_at_operation,
    "a signal at a random instant (INT, HUP, TERM, USR1, USR2)": signalled,
    "one file flipped, cut, emptied or deleted": damaged,
    "a full disk": full_disk,
}


WEIGHTS = dict(zip(KINDS, (2, 2, 2, 10, 1), strict=True))
"""Trials of each kind for one of a full disk."""


def next_kind(outcomes: Mapping[str, Outcome]) -> str:
    """The kind that is furthest behind its share of the trials."""
    possible = [kind for kind in KINDS if outcomes[kind].is_possible]
    return min(possible, key=lambda kind: outcomes[kind].tries / WEIGHTS[kind])


def _send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def table(outcomes: dict[str, Outcome]) -> str:
    """A Markdown table of what came of the trials."""
    lines = ["| trial | tries | interrupted | not as it should be |", "|---|---|---|---|"]
    for kind, each in outcomes.items():
        lines.append(f"| {kind} | {each.tries} | {each.interrupted} | {len(each.wrong)} |")
    return "\n".join(lines)
