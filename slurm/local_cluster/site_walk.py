#!/usr/bin/env python3
"""What a site does to a run, one after the other, on a real SLURM on this machine; five minutes.

python slurm/local_cluster/site_walk.py NEW_FOLDER

A chain is submitted, and its first stage meets a time limit, a preemption that SLURM would end by
cancelling, a dead node, an unreachable controller, and a refused requeue. After each it must
continue from where it was. In the end the run is cancelled. What the user sees is printed.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from patience import wait_for

CLUSTER = Path(__file__).resolve().with_name("cluster.py")
TINY = (
    *("model.width=8", "model.levels=2", "model.image_size=32", "model.map_size=8"),
    *("data.heldout=8", "data.threads=1", "runtime.device=cpu", "runtime.threads=1"),
    *("stages.preliminary.epochs=20000", "stages.preliminary.batch_size=8"),
    *("checkpoint.every_steps=500", "log.every_steps=1", "log.eval_epochs=0"),
    *("log.images_epochs=0", "log.tensorboard=false"),
)
# Every few seconds something happens, so that hardly a share of the stage is done in between.
PROFILE = """
nodes: 2
cpus_per_task: 1
time: 60
signal_delay: 30
partition: scavenger
min_progress: 0
stages: {report: {time: 10}}
"""


class Walk:
    """The cluster and the run in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_folder = folder, folder / "run"
        self.job = ""
        self.environment = dict(os.environ)

    def run(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """What a program prints; RuntimeError if it ends with another code."""
        ended = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if ended.returncode not in codes:
            raise RuntimeError(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def show(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Print a command and what it prints."""
        shown = self.run(*command, codes=codes)
        print(f"$ {' '.join(command)}\n{shown.rstrip()}\n", flush=True)
        return shown

    def cluster(self, command: str, *arguments: str) -> str:
        return self.run(
            sys.executable, str(CLUSTER), command, str(self.folder / "cluster"), *arguments
        )

    def field(self, name: str) -> str:
        """A field of `scontrol show job`, "" while SLURM does not answer."""
        shown = self.run("scontrol", "--oneliner", "show", "job", self.job, codes=(0, 1))
        found = re.search(rf"\b{name}=(\S+)", shown)
        return found[1] if found else ""

    def log(self) -> str:
        path = self.run_folder / "logs" / f"{self.job}_0_log.out"
        return path.read_text() if path.exists() else ""

    def starts(self) -> list[int]:
        """The step from which each start of the stage but the first continued."""
        logs = sorted(
            (self.run_folder / "logs").glob("*_0_log.out"), key=lambda path: path.stat().st_mtime
        )
        text = "".join(path.read_text() for path in logs)
        return [int(step) for step in re.findall(r"from step (\d+)", text)]

    def steps(self) -> int:
        """The lines of the run's metrics."""
        path = self.run_folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 300) -> None:
        """RuntimeError with the status and the log if it is not `ready` within `seconds`."""
        try:
            wait_for(what, ready, seconds)
        except TimeoutError as error:
            status = self.run("sesame", "status", "--once", str(self.run_folder), codes=(0, 1))
            raise RuntimeError(f"{error}\n{status}{self.log()[-2000:]}") from None

    def wait_for_start(self, count: int) -> None:
        """Wait until the stage has continued `count` times."""
        self.wait("the stage to continue", lambda: len(self.starts()) >= count)

    def train_on(self) -> None:
        """Wait until the stage makes steps."""
        before = self.steps()
        self.wait("the stage to make steps", lambda: self.steps() > before + 20)


def start(walk: Walk) -> None:
    walk.cluster("start", "--preemption", "--gpus=0")
    conf = walk.cluster("env").strip().removeprefix("export SLURM_CONF=").strip("'")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    walk.environment |= {"SLURM_CONF": conf, "PATH": programs}
    faces, profile = walk.folder / "faces", walk.folder / "site.yaml"
    size = ("--train", "48", "--test", "10", "--size", "96")
    walk.run("sesame", "data", "synth", "--out", str(faces), *size)
    profile.write_text(PROFILE)
    shown = walk.show(
        *("sesame", "submit", "demo", f"output={walk.run_folder}", f"data.root={faces}"),
        *(*TINY, "--profile", str(profile)),
    )
    found = re.search(r"preliminary +job (\d+)", shown)
    assert found is not None
    walk.job = found[1]


def time_limit(walk: Walk) -> None:
    """A minute more than it has run, and SLURM's signal half a minute before."""
    minutes = int(time.time() - _seconds(walk.field("StartTime"))) // 60 + 2
    walk.run("scontrol", "update", f"JobId={walk.job}", f"TimeLimit={minutes}")


def preemption(walk: Walk) -> None:
    walk.run("scontrol", "update", f"JobId={walk.job}", "TimeLimit=60")
    urgent = ("--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true")
    walk.run("sbatch", *urgent)


def dead_node(walk: Walk) -> None:
    walk.cluster("fail", "n1")
    walk.cluster("restore", "n1")


def controller_away(walk: Walk) -> None:
    """After the signal, SLURM does not answer until the batch script has asked."""
    walk.run("scancel", "--signal=USR2", walk.job)
    walk.cluster("fail", "slurmctld")
    walk.wait("the batch script to ask", lambda: "asking again until SLURM answers" in walk.log())
    walk.show("sesame", "status", "--once", str(walk.run_folder), codes=(0, 1))
    walk.cluster("restore", "slurmctld")


def refused_requeue(walk: Walk) -> None:
    walk.run("scontrol", "update", f"JobId={walk.job}", "Requeue=0")
    walk.run("scancel", "--signal=USR2", walk.job)
    noted = walk.run_folder / "logs" / "successors.txt"
    walk.wait("a successor", noted.exists)
    walk.job = noted.read_text().split()[-1]


def _seconds(slurm_time: str) -> float:
    return time.mktime(time.strptime(slurm_time, "%Y-%m-%dT%H:%M:%S"))


INCIDENTS = (time_limit, preemption, dead_node, controller_away, refused_requeue)


def walk_through(walk: Walk) -> None:
    start(walk)
    for incident in INCIDENTS:
        walk.train_on()
        starts = len(walk.starts())
        print(f"== {incident.__name__.replace('_', ' ')}", flush=True)
        incident(walk)
        walk.wait_for_start(starts + 1)
        print(f"it continues from step {walk.starts()[-1]}", flush=True)
        walk.show("sesame", "status", "--once", str(walk.run_folder), codes=(0, 1))
    print("== cancel", flush=True)
    walk.train_on()
    walk.show("sesame", "cancel", str(walk.run_folder))
    walk.wait("an empty queue", lambda: not walk.run("squeue", "--noheader").strip())
    walk.show("sesame", "status", "--once", str(walk.run_folder), codes=(1,))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    folder = parser.parse_args().folder
    folder.mkdir(parents=True)
    walk = Walk(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster is stopped then too
    try:
        walk_through(walk)
    finally:
        walk.cluster("stop")
    print("done: the run survived everything")
    return 0


if __name__ == "__main__":
    sys.exit(main())
