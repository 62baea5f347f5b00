"""Milliseconds per face and NME beside MediaPipe's face mesh and dlib, on the same faces and cores.

    python -m benchmarks.inference.peers RUN export/model.onnx --run RUN --dlib dlib.dat \\
        --mediapipe-python mp/bin/python --threads 1

The faces are held-out faces of --run, with their annotated boxes, one at a time, images in memory.
A MODEL is whatever `Landmarker.load` takes. dlib's predictor is read from --dlib; where the file is
not there, it is trained on the training faces of the run and written to it (--cascades 15 is its
best, and takes minutes to hours). MediaPipe needs a Python of its own: `python -m venv mp` and
`mp/bin/pip install mediapipe==0.10.21`, the last version whose wheel has the models. It finds the
face itself, in a crop of 1.5 times the box, so its time includes a detector.

NME is in percent of the distance of the outer eye corners: `nme` over all points, `nme_shared` over
the points that all three have (corners of eyes and mouth, tip and base of the nose, middles of the
lips). A face that MediaPipe does not find is left out of its NME; `found` counts the others. All
run on the same --threads cores. `cpu_ms_per_face` is the time of all threads of the process, which
other processes on the machine prolong less than `ms_per_face`. Rows go to --csv.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy.dlib_peer import dlib_finder, train_dlib
from benchmarks.accuracy.judged import Find, Image, read_image
from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.known import mean_known
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["Row", "main"]

SHARED = {
    "mediapipe": (33, 133, 362, 263, 61, 291, 1, 2, 0, 17, 13, 14),
    "ibug68": (36, 39, 42, 45, 48, 54, 30, 33, 51, 57, 62, 66),
    "wflw98": (60, 64, 68, 72, 76, 82, 54, 57, 79, 85, 90, 94),
}
"""The same points in each scheme: corners of the eyes from left to right in the image and of the
mouth, tip and base of the nose, outer and inner middles of the upper and lower lip. MediaPipe's
numbers are those of its canonical face model."""

_MARGIN = 1.5
_WORKER = Path(__file__).with_name("mediapipe_worker.py")
_CALL = (
    "import sys; folder, *files = sys.argv[1:]; sys.path.insert(0, folder); "
    f"import {_WORKER.stem}; {_WORKER.stem}.measure(*files)"
)


@dataclass(frozen=True)
class Row:
    """One method. NME in percent, None for points that it does not have; `model_mb` its files."""

    method: str
    faces: int
    found: int
    ms_per_face: float
    ms_p90: float
    cpu_ms_per_face: float
    nme_shared: float
    nme: float | None
    model_mb: float
    rounds: int
    cpu: str
    threads: int
    python: str


@dataclass(frozen=True)
class Measured:
    """Points [N, P, 2] in pixels of the images, NaN of a face not found.

    `seconds` and `cpu_seconds` [rounds, N], by the clock and of all threads of the process.
    """

    points: NDArray[np.float64]
    seconds: NDArray[np.float64]
    cpu_seconds: NDArray[np.float64]
    megabytes: float


def timed(find: Find, images: Sequence[Image], boxes: NDArray[np.float64], rounds: int) -> Measured:
    find(images[0], boxes[0])
    seconds, cpu_seconds = np.empty((2, rounds, len(images)))
    points: list[NDArray[np.float64]] = []
    for turn in range(rounds):
        points.clear()
        for number, (image, box) in enumerate(zip(images, boxes, strict=True)):
            start, cpu_start = time.perf_counter(), time.process_time()
            points.append(find(image, box))
            cpu_seconds[turn, number] = time.process_time() - cpu_start
            seconds[turn, number] = time.perf_counter() - start
    return Measured(np.array(points, dtype=np.float64), seconds, cpu_seconds, 0.0)


def ours(path: Path) -> tuple[Find, float]:
    """How to use the model, and the size of its weights in MB."""
    landmarker = Landmarker.load(path, "cpu")
    folder = RunFolder(path)
    if path.is_dir() and folder.config_file.is_file():
        weights = folder.weights(folder.last_stage)
    else:
        weights = path if path.is_file() else path / "model.safetensors"
    size = weights.stat().st_size / 1e6
    return lambda image, box: landmarker(image, box).points[0], size


def mediapipe(
    python: Path, images: Sequence[Image], boxes: NDArray[np.float64], rounds: int
) -> Measured:
    """By the worker in another Python, which inherits the cores of this process."""
    crops, corners = zip(*map(_crop, images, boxes), strict=True)
    with TemporaryDirectory() as folder:
        given, found = Path(folder) / "crops.npz", Path(folder) / "found.npz"
        arrays = {f"crop_{number}": crop for number, crop in enumerate(crops)}
        np.savez(given, rounds=np.array(rounds), **arrays)  # type: ignore[arg-type]
        command = [str(each) for each in (python, "-c", _CALL, _WORKER.parent, given, found)]
        subprocess.run(command, check=True)
        with np.load(found) as archive:
            points = archive["points"] + np.array(corners)[:, None]
            megabytes = float(archive["sizes"].sum()) / 1e6
            return Measured(points, archive["seconds"], archive["cpu_seconds"], megabytes)


def _crop(image: Image, box: NDArray[np.float64]) -> tuple[Image, tuple[int, int]]:
    """The part of the image within the enlarged box, and its upper left corner."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * _MARGIN / 2
    height, width = image.shape[:2]
    left, top = np.maximum(centre - half, 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(centre + half), (width, height)).astype(int).tolist()
    return np.ascontiguousarray(image[top:bottom, left:right]), (left, top)


def row(
    method: str, measured: Measured, faces: Annotations, about: Machine, points: str, threads: int
) -> Row:
    """`points` is the scheme of the method's points."""
    scheme, milliseconds = faces.scheme, 1000 * np.median(measured.seconds, axis=0)
    cpu_milliseconds = 1000 * np.median(measured.cpu_seconds, axis=0)
    own, theirs = list(SHARED[points]), list(SHARED[scheme.name])
    found = ~np.isnan(measured.points).any(axis=(1, 2))
    left, right = scheme.normaliser
    eyes = np.linalg.norm(faces.landmarks[:, left] - faces.landmarks[:, right], axis=1)
    away = np.linalg.norm(measured.points[:, own] - faces.landmarks[:, theirs], axis=2)
    shared = mean_known(away / eyes[:, None], 1)[found]
    nme = None
    if points == scheme.name:
        errors = point_errors(measured.points, faces.landmarks, scheme)
        nme = round(100 * float(mean_known(mean_known(errors, 1), 0)), 4)
    return Row(
        method=method,
        faces=len(faces),
        found=int(found.sum()),
        ms_per_face=round(float(np.median(milliseconds)), 3),
        ms_p90=round(float(np.percentile(milliseconds, 90)), 3),
        cpu_ms_per_face=round(float(np.median(cpu_milliseconds)), 3),
        nme_shared=round(100 * float(mean_known(shared, 0)), 4) if found.any() else float("nan"),
        nme=nme,
        model_mb=round(measured.megabytes, 3),
        rounds=len(measured.seconds),
        cpu=about.cpu,
        threads=threads,
        python=about.python,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.inference.peers", __doc__)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--run", type=Path, required=True, help="whose held-out faces to use")
    parser.add_argument("--data", type=Path, help="its data set, if it has moved")
    parser.add_argument("--faces", type=int, default=200, help="at most; default: 200")
    parser.add_argument("--rounds", type=int, default=5, help="calls per face; default: 5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dlib", type=Path, help="a predictor; trained where it is not there")
    parser.add_argument("--cascades", type=int, default=15, help="of a dlib predictor to train")
    parser.add_argument("--mediapipe-python", type=Path, help="a Python that has mediapipe")
    parser.add_argument("--csv", type=Path, default=RESULTS / "inference_cpu.csv")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    torch.set_num_threads(options.threads)
    folder = RunFolder(options.run)
    divided = read_faces(run_config(folder, options.data), folder)
    if divided.scheme.name not in SHARED:
        raise ValueError(f"{options.run}: {divided.scheme.name} has no points in common with dlib")
    faces = divided.heldout.select(np.arange(min(options.faces, len(divided.heldout))))
    images = [read_image(faces.image_path(number)) for number in range(len(faces))]
    about, table = machine(torch.device("cpu")), Table(options.csv, Row)

    def note(method: str, measured: Measured, points: str) -> None:
        its = row(method, measured, faces, about, points, options.threads)
        table.append(its)
        whole = "" if its.nme is None else f", NME {its.nme:.2f} % of all points"
        print(
            f"{method}: {its.ms_per_face:.2f} ms per face, {its.cpu_ms_per_face:.2f} ms of CPU "
            f"time, NME {its.nme_shared:.2f} % of the shared points{whole}, {its.found} of "
            f"{its.faces} faces, {its.model_mb:.2f} MB",
            flush=True,
        )

    name = divided.scheme.name
    for path in options.models:
        find, size = ours(path)
        measured = timed(find, images, faces.boxes, options.rounds)
        note(f"sesame {path.name}", replace(measured, megabytes=size), name)
    if options.dlib is not None:
        if not options.dlib.is_file():
            train_dlib(
                divided.train,
                options.dlib,
                cascades=options.cascades,
                threads=options.threads,
                seed=folder.config().seed,
            )
        measured = timed(dlib_finder(options.dlib), images, faces.boxes, options.rounds)
        size = options.dlib.stat().st_size / 1e6
        note("dlib", replace(measured, megabytes=size), name)
    if options.mediapipe_python is not None:
        found = mediapipe(options.mediapipe_python, images, faces.boxes, options.rounds)
        note("mediapipe face mesh", found, "mediapipe")


if __name__ == "__main__":
    main()
