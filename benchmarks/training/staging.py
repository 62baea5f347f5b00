"""How long a job takes until its first step, with and without a copy of the pack on each node.

Starts a SLURM of two virtual nodes on this machine (slurm/local_cluster) and submits jobs that
train one step on a pack of `--faces` generated faces, on one node and on two: reading the shared
pack, copying it first (`stage_data` of the profile), and finding an earlier job's copy. The kinds
take turns. Both nodes and the shared pack are on one disk, whose cache holds the pack: what is
measured is what copying and checksums add, not what a parallel file system would cost.

`first_step_seconds` is from the beginning of the batch script until the first step is recorded,
`copy_seconds` of the slower node.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.paths import ROOT
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.loader.generated_faces import write_packed
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.plural import counted
from sesame_hpc.synth import synthesise

__all__ = ["Row", "main"]

_CLUSTER = ROOT / "slurm" / "local_cluster" / "cluster.py"
_KINDS = ("shared", "copied", "reused")
_NODES = (1, 2)
_SHAPES, _SECONDS = 64, 1800
_CONFIG = """
data: {heldout: 16, heldout_group: image, format: pack, threads: 1}
model: {stacks: 1, width: 8, levels: 2, image_size: 32, map_size: 8}
stages: {run: [preliminary], preliminary: {epochs: 1, epoch_samples: 16, batch_size: 16}}
runtime: {device: cpu, threads: 1}
log: {every_steps: 1, eval_epochs: 0, images_epochs: 0, tensorboard: false}
"""


@dataclass(frozen=True)
class Row:
    """One job."""

    nodes: int
    kind: str
    pack_mb: float
    copy_seconds: float | None
    first_step_seconds: float


class Jobs:
    """Jobs on the local cluster in `folder`, one after the other."""

    def __init__(self, folder: Path, pack: Path) -> None:
        self._folder, self.pack, self._count = folder, pack, 0
        self._config = folder / "staging.yaml"
        self._config.write_text(_CONFIG)

    def measure(self, nodes: int, kind: str) -> Row:
        """Train a step on `nodes` nodes. Raises RuntimeError if the job fails."""
        self._count += 1
        run, disks = self._folder / f"run{self._count}", self._folder / "disks"
        if kind == "copied":
            shutil.rmtree(disks, ignore_errors=True)
        begun, profile = self._folder / f"begun{self._count}", self._folder / "profile.yaml"
        lines = [f"nodes: {nodes}", "cpus_per_task: 1", f"setup: ['date +%s.%N > {begun}']"]
        lines += [] if kind == "shared" else [f"stage_data: {disks}/$SLURMD_NODENAME"]
        profile.write_text("\n".join(lines))
        settings = [f"data.root={self.pack}", f"output={run}", "--stage", "preliminary"]
        submit = ["submit", str(self._config), *settings, "--profile", str(profile), "--wait"]
        ended = self._sesame(*submit)
        if ended.returncode:
            raise RuntimeError(f"{ended.stdout}{ended.stderr}{self._logs(run)}")
        text = (run / "metrics.jsonl").read_text()
        steps = [each for each in map(json.loads, text.splitlines()) if "loss" in each]
        copies = re.findall(r"copied and verified in ([\d.]+) s", self._logs(run))
        took = steps[0]["time"] - float(begun.read_text())
        return Row(nodes, kind, _megabytes(self.pack), max(map(float, copies), default=None), took)

    def _sesame(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            [sys.executable, str(_CLUSTER), "env", str(self._folder / "cluster")],
            capture_output=True,
            text=True,
            check=True,
        )
        command = f'{found.stdout}\nexec "$0" -m sesame_hpc "$@"'
        return subprocess.run(
            ["bash", "-c", command, sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )

    def _logs(self, run: Path) -> str:
        return "".join(path.read_text() for path in sorted((run / "logs").glob("*.out")))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def _cluster(command: str, folder: Path, *options: str) -> None:
    line = [sys.executable, str(_CLUSTER), command, str(folder / "cluster"), *options]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def _write_pack(folder: Path, faces: int) -> Path:
    synthesise(folder / "shapes", train=_SHAPES, test=1, seed=3, size=96, workers=1)
    shapes = read_annotations(folder / "shapes", "wflw")
    write_packed(folder / "pack", faces, shapes, own_images=True)
    return folder / "pack"


def _line(row: Row) -> str:
    copied = "" if row.copy_seconds is None else f", copied in {row.copy_seconds:.1f} s"
    where = f"{counted(row.nodes, 'node')}, {row.kind}"
    return f"{where}: {row.first_step_seconds:.1f} s to the first step{copied}"


def main(arguments: list[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.staging", __doc__)
    parser.add_argument("--faces", type=int, default=4000, help="in the pack; default: 4000")
    parser.add_argument("--rounds", type=int, default=3, help="jobs of each kind; default: 3")
    parser.add_argument("--csv", type=Path, help="also append the rows to this file")
    options: argparse.Namespace = parser.parse_args(arguments)
    table = Table(options.csv, Row)
    with tempfile.TemporaryDirectory(prefix="staging-", dir="/tmp") as name:
        folder = Path(name)
        jobs = Jobs(folder, _write_pack(folder, options.faces))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster is stopped then too
        _cluster("start", folder, "--gpus=0")
        print(f"a pack of {_megabytes(jobs.pack):.0f} MB", flush=True)
        try:
            for _ in range(options.rounds):
                for nodes in _NODES:
                    for kind in _KINDS:
                        row = jobs.measure(nodes, kind)
                        table.append(row)
                        print(_line(row), flush=True)
        finally:
            _cluster("stop", folder)


if __name__ == "__main__":
    main()
