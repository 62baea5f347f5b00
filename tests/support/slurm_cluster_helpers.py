"""A local cluster as tests use it: through its command line and SLURM's own programs."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import wait_for

__all__ = ["CLUSTER", "LocalCluster", "local_cluster", "until"]

CLUSTER = Path(__file__).resolve().parents[2] / "slurm" / "local_cluster" / "cluster.py"
_LAUNCHERS = re.compile(
    r"SLURM|SBATCH|SRUN|RANK$|WORLD_SIZE|LOCAL_RANK|MASTER_(ADDR|PORT)|TRITON_INTERPRET"
)


def until(condition: Callable[[], bool], seconds: float, what: str | Callable[[], str]) -> None:
    """Wait for `condition`; an AssertionError that says `what` was awaited after `seconds`.

    The seconds are those of an idle machine, as in `Patience`.
    """
    try:
        wait_for("", condition, seconds)
    except TimeoutError as error:
        raise AssertionError(f"{error}{what if isinstance(what, str) else what()}") from None


class LocalCluster:
    """A cluster in `folder`, started with the options given; skips where there is no SLURM."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._start(*options)
        conf = self.manage("env").strip().removeprefix("export SLURM_CONF=")
        inherited = {key: text for key, text in os.environ.items() if not _LAUNCHERS.match(key)}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
        self.environment = inherited | {"SLURM_CONF": conf.strip("'"), "PATH": programs}

    def _start(self, *options: str) -> None:
        try:
            self.manage("start", *options)
        except AssertionError as error:
            if "apt-get install" in str(error):
                pytest.skip(" ".join(str(error).split()))
            raise

    def manage(self, command: str, *arguments: str) -> str:
        """Run a command of cluster.py on this cluster."""
        finished = subprocess.run(
            [sys.executable, str(CLUSTER), command, str(self.folder), *arguments],
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def run(self, *command: str, seconds: float = 600, codes: Sequence[int] = (0,)) -> str:
        """What a program prints that is run against this cluster; its exit code is in `codes`."""
        finished = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=seconds
        )
        assert finished.returncode in codes, f"{command}: {finished.stdout}{finished.stderr}"
        return finished.stdout

    def batch(self, *arguments: str) -> int:
        """Submit with sbatch; the job's id. It writes nothing without an --output of its own."""
        return int(self.run("sbatch", "--parsable", "--output=/dev/null", *arguments).strip())

    def job(self, number: int) -> dict[str, str]:
        """Everything that scontrol says of a job."""
        shown = self.run("scontrol", "--oneliner", "show", "job", str(number))
        return dict(re.findall(r"(\S+?)=(\S*)", shown))

    def tasks(self, number: int) -> dict[int, dict[str, str]]:
        """The training processes of a job that run now: pid -> environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                texts = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            environment = dict(text.split("=", 1) for text in texts if "=" in text)
            # Two clusters on a machine have jobs of the same number.
            wanted = {"SLURM_JOB_ID": str(number), "SLURM_CONF": self.environment["SLURM_CONF"]}
            is_task = "SLURM_STEP_NUM_TASKS" in environment and b"python" in command
            if is_task and wanted.items() <= environment.items():
                found[int(entry.name)] = environment
        return found

    def state(self, number: int) -> str:
        return self.job(number)["JobState"]

    def wait(self, number: int, *states: str, seconds: float = 240) -> dict[str, str]:
        """Wait until a job is in one of `states`; the job then."""

        def seen() -> str:
            job = self.job(number)
            output = Path(job.get("StdOut", "/nonexistent"))
            tail = output.read_text(errors="replace")[-3000:] if output.is_file() else ""
            return f"job {number} to be {' or '.join(states)}; it is {job}\n{tail}"

        until(lambda: self.state(number) in states, seconds, seen)
        return self.job(number)

    def tidy(self) -> None:
        """End the jobs, switch on the nodes and resume the drained that a failed test has left."""
        self.run("scancel", "--me")
        for name in re.findall(r"^(n\d+) +gone", self._status(), re.MULTILINE):
            self.manage("restore", name)
        drained = self.run("sinfo", "--noheader", "--states=drain", "--Node", "-o%N").split()
        for name in set(drained):  # listed once per partition
            self.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
        until(self._is_idle, 240, lambda: f"idle nodes and no jobs:\n{self._status()}")

    def _status(self) -> str:
        """What `cluster.py status` prints, also where a daemon is gone."""
        command = [sys.executable, str(CLUSTER), "status", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600).stdout

    def _is_idle(self) -> bool:
        states = self.run("sinfo", "--noheader", "--format=%T").split()
        return set(states) == {"idle"} and not self.run("squeue", "--noheader").strip()


@contextmanager
def local_cluster(*options: str, name: str = "cluster") -> Iterator[LocalCluster]:
    """A cluster in a new folder `name` with a short path, stopped and removed in the end."""
    parent = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder = parent / name
    try:
        yield LocalCluster(folder, *options)
    finally:
        if (folder / "cluster.json").exists():
            command = [sys.executable, str(CLUSTER), "stop", str(folder), "--remove"]
            subprocess.run(command, timeout=1200, check=True)
        shutil.rmtree(parent)
