"""Accuracy against peers on the same faces and CPU minutes.

    python -m benchmarks.accuracy.peers dlib resnet18 hrnet --data DIR --cpu-minutes 30
    python -m benchmarks.accuracy.peers RUN RUN@preliminary --data DIR

Each method is trained on the training faces of `--preset` (or, for a run folder, has been) and
judged on its held-out faces, by the annotated boxes, by jittered ones (centre moved by up to 5 %,
size changed by up to 10 %) and by YuNet's, with and without averaging over the mirrored image, and
with --scales also over boxes of several sizes. Rows go to --csv. dlib trains to its end whatever
the minutes; `pip install dlib-bin` first.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy.dlib_peer import dlib_finder, train_dlib
from benchmarks.accuracy.judged import (
    Figures,
    Find,
    Image,
    Points,
    benchmark_faces,
    judge,
    read_image,
)
from benchmarks.accuracy.training import PEERS, finder, train_peer
from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.choices import STAGES
from sesame_hpc.config import Config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.crop_scales import ONE_SCALE, Scales, parse_scales
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import Faces, read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["Row", "averaged", "main"]


@dataclass(frozen=True)
class Row:
    """One method under one kind of boxes. Figures in percent; `size_mb` is the model's file.

    `device` is what the method was trained and is judged on; `cpu_minutes` is None for a GPU, and
    `faces_per_second` where other work disturbed it.
    """

    method: str
    data: str
    train_faces: int
    heldout_faces: int
    seed: int
    cpu_minutes: float | None
    samples: int | None
    boxes: str
    flip: int
    nme: float
    outline: float
    others: float
    fr10: float
    size_mb: float
    faces_per_second: float | None
    device: str
    cpu: str
    threads: int
    torch: str
    python: str


@dataclass(frozen=True)
class Method:
    """A trained method: how to use it, the seed, what it cost, and how large it is."""

    find: Find
    seed: int
    cpu_minutes: float | None
    samples: int | None
    size_mb: float


def _dlib(config: Config, faces: Annotations, scratch: Path, **settings: int) -> Method:
    path, start = scratch / "dlib.dat", time.process_time()
    train_dlib(faces, path, seed=config.seed, **settings)
    minutes = (time.process_time() - start) / 60
    return Method(dlib_finder(path), config.seed, minutes, None, path.stat().st_size / 1e6)


def _network(name: str, config: Config, faces: Annotations, minutes: float) -> Method:
    network, samples = train_peer(name, faces, config, 60 * minutes, config.seed)
    size = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    return Method(finder(network, config), config.seed, minutes, samples, size / 1e6)


def _run(name: str, device: Literal["cpu", "cuda"], passes: int) -> Method:
    """A stage of a run of ours. The minutes are those of all stages up to it."""
    folder, _, stage = name.partition("@")
    stage = stage or "finetune"
    run, landmarker = RunFolder(Path(folder)), Landmarker.load(folder, device, stage=stage)
    results = [run.result(each) or {} for each in STAGES[: STAGES.index(stage) + 1]]
    config, minutes = run.config(), None
    if device == "cpu":
        minutes = sum(result.get("cpu_seconds", 0.0) for result in results) / 60 or None

    def find(image: Image, box: NDArray[np.float64]) -> NDArray[np.float64]:
        return landmarker(image, box, passes=passes).points[0]

    return Method(find, config.seed, minutes, None, run.weights(stage).stat().st_size / 1e6)


def averaged(find: Find, scales: Scales) -> Find:
    """The mean of what is found for boxes of `scales` times the size, around the same centre."""

    def find_all(image: Image, box: NDArray[np.float64]) -> Points:
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        boxes = [np.concatenate([middle - scale * half, middle + scale * half]) for scale in scales]
        found: Points = np.mean([find(image, each) for each in boxes], axis=0)
        return found

    return find_all


def _rounded(minutes: float | None) -> float | None:
    return None if minutes is None else round(minutes, 1)


def _rate(find: Find, faces: Annotations) -> float:
    """Faces per second, one at a time, images in memory."""
    images = [read_image(faces.image_path(row)) for row in range(min(64, len(faces)))]
    find(images[0], faces.boxes[0])
    start = time.perf_counter()
    for image, box in zip(images, faces.boxes, strict=False):
        find(image, box)
    return len(images) / (time.perf_counter() - start)


def rows(
    name: str,
    method: Method,
    data: Path,
    faces: dict[str, Annotations],
    about: Machine,
) -> list[Row]:
    rate = _rate(method.find, faces["heldout"])
    found: list[Row] = []
    for flip in (False, True):
        judged: dict[str, Figures] = judge(method.find, faces["heldout"], flip)
        found += [
            Row(
                method=name,
                data=data.parent.name if data.name == "train" else data.name,
                train_faces=len(faces["train"]),
                heldout_faces=len(faces["heldout"]),
                seed=method.seed,
                cpu_minutes=_rounded(method.cpu_minutes),
                samples=method.samples,
                boxes=boxes,
                flip=int(flip),
                **{key: round(value, 4) for key, value in asdict(figures).items()},
                size_mb=round(method.size_mb, 2),
                faces_per_second=round(rate, 1),
                device=about.device,
                cpu=about.cpu,
                threads=about.threads,
                torch=about.torch,
                python=about.python,
            )
            for boxes, figures in judged.items()
        ]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.accuracy.peers", __doc__)
    parser.add_argument(
        "methods", nargs="+", metavar="METHOD", help=f"dlib, {', '.join(PEERS)}, or a run folder"
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of .pts files")
    parser.add_argument(
        "--preset", default="w300_small", help="whose faces, crops and augmentation"
    )
    parser.add_argument("--cpu-minutes", type=float, default=30.0, help="CPU minutes per network")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of runs of ours")
    parser.add_argument("--passes", type=int, default=1, help="looks at a face, of runs of ours")
    parser.add_argument("--scales", help="also average over boxes of these sizes: 0.92,1,1.08")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cascades", type=int, default=15, help="dlib's")
    parser.add_argument("--oversampling", type=int, default=6, help="dlib's, which sets its time")
    parser.add_argument("--csv", type=Path, default=RESULTS / "accuracy_cpu.csv")
    options = parser.parse_intermixed_args(arguments)
    overrides = [each for each in options.methods if "=" in each]
    methods = [each for each in options.methods if "=" not in each]
    torch.set_num_threads(options.threads)
    config, divided = benchmark_faces(options.preset, options.data, overrides)
    table, about = Table(options.csv, Row), machine(torch.device(options.device))
    for name in methods:
        its = divided
        with TemporaryDirectory() as scratch:
            if name == "dlib":
                method = _dlib(
                    config,
                    divided.train,
                    Path(scratch),
                    cascades=options.cascades,
                    oversampling=options.oversampling,
                    threads=options.threads,
                )
            elif name in PEERS:
                method = _network(name, config, divided.train, options.cpu_minutes)
            else:
                method = _run(name, options.device, options.passes)
                its = _faces_of_run(name, options.data)
            label = name
            if name not in ("dlib", *PEERS):
                label = f"sesame {Path(name).name}"
                label += f", {options.passes} passes" if options.passes > 1 else ""
            elif name == "dlib" and options.oversampling != parser.get_default("oversampling"):
                label += f", oversampling {options.oversampling}"
            judged = {label: method}
            if (scales := parse_scales(options.scales)) != ONE_SCALE:
                several = replace(method, find=averaged(method.find, scales))
                judged[f"{label}, {len(scales)} scales"] = several
            faces = {"train": its.train, "heldout": its.heldout}
            found = (rows(*each, options.data, faces, about) for each in judged.items())
            for row in chain.from_iterable(found):
                table.append(row)
                print(
                    f"{row.method}: {row.boxes} boxes{', flip test' if row.flip else ''}: "
                    f"NME {row.nme:.3f} % (outline {row.outline:.2f}, others {row.others:.2f})"
                    + (f", {row.cpu_minutes:g} CPU minutes" if row.cpu_minutes else ""),
                    flush=True,
                )


def _faces_of_run(name: str, data: Path) -> Faces:
    """The faces as the run divided them: those of another seed are among the faces it saw."""
    folder = RunFolder(Path(name.partition("@")[0]))
    return read_faces(run_config(folder, data), folder)


if __name__ == "__main__":
    main()
