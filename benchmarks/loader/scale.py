"""What a data set of many faces costs: time and memory of each command, over the number of faces.

For each of `--faces`, a WFLW list of generated faces on eight images is checked, packed, trained on
from the list and from the pack until the first step, and evaluated. Each is a process of its own.
`cpu_seconds` is its processor time on all cores, which other work on the machine does not change
much; `seconds` is the time that passed. `peak_mib` is the largest resident memory of the process,
mapped files included. Of training, all three are those until the first step is recorded.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.loader.generated_faces import write_generated, write_packed
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.distributed.interruption import EXIT_SAVED
from sesame_hpc.evaluation.predictions import write_predictions
from sesame_hpc.files import write_text_atomic
from sesame_hpc.synth import synthesise

__all__ = ["Row", "main"]

FACES = (10_000, 100_000, 1_000_000)
_SHAPES = 64
_NETWORK_EVALUATED = 100_000

_CONFIG = """
data: {heldout: 64, format: FORMAT}
model: {stacks: 1, width: 8, levels: 2, block: single, stem: strided, image_size: 64, map_size: 16}
stages:
  run: [preliminary]
  preliminary: {epochs: 1, epoch_samples: 64, batch_size: 32}
log: {every_steps: 1}
"""


@dataclass(frozen=True)
class Row:
    """One command on one number of faces."""

    command: str
    faces: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    cpu_us_per_face: float
    kib_per_face: float


class Meter:
    """Runs commands; a face's share is over the same command on `base` faces, the fewest."""

    def __init__(self, table: Table[Row]) -> None:
        self._table = table
        self._first: dict[str, Row] = {}

    def __call__(
        self,
        command: str,
        faces: int,
        arguments: list[str],
        until: Path | None = None,
        ends_then: bool = False,
        allowed: tuple[int, ...] = (0,),
    ) -> None:
        """Measure `sesame ARGUMENTS`, or only until the file `until` has a line.

        What comes after that is left to its end, or with `ends_then` interrupted.
        """
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            about, output = Path(folder, "about"), Path(folder, "output")
            wanted = [sys.executable, "-m", "sesame_hpc", *arguments]
            with output.open("wb") as file:
                launcher = subprocess.Popen(
                    [sys.executable, "-S", "-c", _LAUNCHER, str(about), *wanted],
                    stdout=file,
                    stderr=file,
                )
                early = _watch(launcher, about, until) if until is not None else None
                if early and ends_then:
                    os.kill(_pid(about), signal.SIGTERM)
                launcher.wait()
            _, code, cpu, peak = about.read_text().split()
            if int(code) not in (*allowed, *([EXIT_SAVED] if ends_then else [])):
                raise RuntimeError(f"{' '.join(wanted)}: {output.read_text()}")
        ended, cpu_seconds, kib = early or (time.monotonic(), float(cpu), int(peak))
        self._record(command, faces, ended - started, cpu_seconds, kib / 1024)

    def _record(self, command: str, faces: int, seconds: float, cpu: float, peak: float) -> None:
        first = self._first.get(command)
        more = faces - (first.faces if first else 0)
        cpu_more = cpu - (first.cpu_seconds if first else 0.0)
        peak_more = peak - (first.peak_mib if first else 0.0)
        per_face = (1e6 * cpu_more / more, 1024 * peak_more / more)
        row = Row(command, faces, *(round(each, 2) for each in (seconds, cpu, peak, *per_face)))
        self._first.setdefault(command, row)
        self._table.append(row)
        print(f"{command:28} {faces:>9,} faces {seconds:8.1f} s {cpu:8.1f} cpu s {peak:8.0f} MiB")


_LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
with open(sys.argv[1], "w") as file:
    file.write(f"{pid} ")
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "a") as file:
    code, cpu = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    file.write(f"{code} {cpu} {usage.ru_maxrss}")
"""
"""A small process between: the peak of a process counts the memory of the one that started it."""


def _pid(about: Path) -> int:
    return int(about.read_text().split()[0])


def _watch(
    launcher: subprocess.Popen[bytes], about: Path, file: Path
) -> tuple[float, float, int] | None:
    """Clock, processor seconds and peak KiB of the command once `file` has a line.

    None if it ends before.
    """
    while launcher.poll() is None:
        if file.is_file() and file.stat().st_size:
            return time.monotonic(), *_used(_pid(about))
        time.sleep(0.05)
    return None


def _used(pid: int) -> tuple[float, int]:
    """Processor seconds of a process and its children, and its peak KiB; 0 of an ended one."""
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        peak = (process / "status").read_text().partition("VmHWM:")[2].split()
    except OSError:
        return 0.0, 0
    seconds = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(peak[0]) if peak else 0


def _measure(meter: Meter, faces: int, folder: Path, packed: bool) -> None:
    """All commands on one number of faces, or those that read a pack."""
    source, pack, shapes = folder / "faces", folder / "pack", folder / "shapes"
    synthesise(shapes, _SHAPES, 1, seed=0, size=64, workers=1)
    like = read_annotations(shapes, "wflw")
    if packed:
        write_packed(pack, faces, like)
    else:
        write_generated(source, faces, like)
        check = ["data", "check", str(source)]
        meter("data check --no-images", faces, [*check, "--no-images"], allowed=(0, 1))
        meter("data check", faces, check, allowed=(0, 1))
        meter("data pack", faces, ["data", "pack", str(source), str(pack)])
        _train(meter, faces, folder, "wflw", source)
    run = _train(meter, faces, folder, "pack", pack)
    if faces <= _NETWORK_EVALUATED:
        meter("eval, from pack", faces, ["eval", str(run), "--data", str(pack)])
    table = read_annotations(pack, "pack")
    predictions = folder / "predictions.npz"
    write_predictions(predictions, table.landmarks + 1.0, table)
    arguments = ["eval", "--predictions", str(predictions), "--data", str(pack)]
    meter("eval --predictions", faces, [*arguments, "--format", "pack"])


def _train(meter: Meter, faces: int, folder: Path, format: str, root: Path) -> Path:
    config, run = folder / f"{format}.yaml", folder / f"run-{format}"
    write_text_atomic(config, _CONFIG.replace("FORMAT", format))
    arguments = ["train", str(config), f"data.root={root}", f"output={run}"]
    meter(
        f"train, from {format}",
        faces,
        arguments,
        until=run / "metrics.jsonl",
        ends_then=faces > _NETWORK_EVALUATED,
    )
    return run


def main(argv: list[str] | None = None) -> None:
    parser = script_parser("benchmarks.loader.scale", __doc__)
    parser.add_argument("--faces", type=int, nargs="+", default=list(FACES))
    parser.add_argument("--folder", type=Path, help="where to write; 6 GB for a million faces")
    parser.add_argument(
        "--packed", action="store_true", help="write packs at once, and measure what reads them"
    )
    parser.add_argument("--csv", type=Path, default=RESULTS / "scale_cpu.csv")
    options: argparse.Namespace = parser.parse_args(argv)
    meter = Meter(Table(options.csv, Row))
    for faces in sorted(options.faces):
        with tempfile.TemporaryDirectory(prefix="sesame-scale-", dir=options.folder) as folder:
            _measure(meter, faces, Path(folder), options.packed)


if __name__ == "__main__":
    main()
