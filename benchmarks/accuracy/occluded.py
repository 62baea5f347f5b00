"""Do networks trained on masked faces find the landmarks of covered ones better?

    python -m benchmarks.accuracy.occluded STUDY --arms adaptive --control longer --data DIR

STUDY is the folder of a finished `sesame study`. Each held-out face of a run is covered by one
rectangle, of 25 to 50 % of the sides of its box, with its centre drawn uniformly in the box: by
Gaussian noise as in pretraining, or by as large a piece of another held-out face. The same pixels
are covered for all arms. Differences are paired, with intervals over seeds and faces, for all
landmarks, and for those below the rectangle and beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy.judged import Image, read_image
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.evaluation.seeds import seed_estimates
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder

__all__ = ["COVERS", "Row", "cover", "main"]

COVERS = ("nothing", "noise", "face")
PARTS = ("all", "covered", "beside")
SIDES = (0.25, 0.50)
_NOISE = MaskingConfig()

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Row:
    """An arm minus the control under one cover; NME of the part's landmarks in percent."""

    cover: str
    part: str
    arm: str
    control: str
    seeds: int
    nme: float
    nme_control: float
    difference: float
    low: float
    high: float


def rectangle_on(box: NDArray[np.float64], image: Image, random: np.random.Generator) -> Rectangle:
    """Rows and columns (top, bottom, left, right) in the image, of at least one pixel."""
    sides = random.uniform(*SIDES) * (box[2:] - box[:2])
    centre = random.uniform(box[:2], box[2:])
    low = np.floor(centre - sides / 2).astype(int)
    high = np.ceil(centre + sides / 2).astype(int)
    height, width = image.shape[:2]
    left, top = np.clip(low, 0, [width - 1, height - 1])
    right, bottom = np.clip(high, [left + 1, top + 1], [width, height])
    return top, bottom, left, right


def cover(
    image: Image, rectangle: Rectangle, kind: str, other: Image, random: np.random.Generator
) -> Image:
    """A copy with noise there, or with as large a piece of another image, repeated to its size."""
    top, bottom, left, right = rectangle
    if kind == "nothing":
        return image
    result = image.copy()
    shape = (bottom - top, right - left, 3)
    if kind == "noise":
        noise = random.normal(_NOISE.noise_mean, _NOISE.noise_std, shape)
        result[top:bottom, left:right] = np.rint(255 * noise.clip(0, 1))
        return result
    rows = (random.integers(other.shape[0]) + np.arange(shape[0])) % other.shape[0]
    columns = (random.integers(other.shape[1]) + np.arange(shape[1])) % other.shape[1]
    result[top:bottom, left:right] = other[rows[:, None], columns[None, :]]
    return result


def heldout_faces(run: RunFolder, data: Path) -> Annotations:
    return read_faces(run_config(run, data), run).heldout


def errors_of_arms(
    runs: Mapping[str, Path], data: Path, kind: str, seed: int
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """({arm: errors [N, 3] in percent}, names of the faces); NaN where a part has no landmark."""
    faces = heldout_faces(RunFolder(next(iter(runs.values()))), data)
    random = np.random.default_rng(seed)
    images = [read_image(faces.image_path(row)) for row in range(len(faces))]
    crops = [_around(image, box) for image, box in zip(images, faces.boxes, strict=True)]
    covered, hidden = [], []
    for row, (image, box) in enumerate(zip(images, faces.boxes, strict=True)):
        place = rectangle_on(box, image, random)
        other = crops[(row + 1 + int(random.integers(len(faces) - 1))) % len(faces)]
        covered.append(cover(image, place, kind, other, random))
        hidden.append(_inside(faces.landmarks[row], place))
    found = {}
    for arm, folder in runs.items():
        points = Landmarker.load(folder, "cpu")(covered, list(faces.boxes)).points
        errors = 100 * point_errors(points, faces.landmarks, faces.scheme)
        found[arm] = _parts(errors, np.array(hidden))
    return found, [str(faces.image_path(row)) for row in range(len(faces))]


def _around(image: Image, box: NDArray[np.float64]) -> Image:
    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.ceil(box[2:]).astype(int)
    return image[top:bottom, left:right]


def _inside(points: NDArray[np.float64], place: Rectangle) -> NDArray[np.bool_]:
    top, bottom, left, right = place
    x, y = points[:, 0], points[:, 1]
    return (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def _parts(errors: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    kept = [np.ones_like(hidden), hidden, ~hidden]
    sums = [np.where(each, errors, 0.0).sum(axis=1) for each in kept]
    counts = [each.sum(axis=1).astype(float) for each in kept]
    columns = zip(sums, counts, strict=True)
    return np.stack([total / np.where(n > 0, n, np.nan) for total, n in columns], axis=1)


def rows(study: Path, arms: Sequence[str], control: str, data: Path, kind: str) -> Iterator[Row]:
    """One row per arm and part of the landmarks, over the seeds that all arms have."""
    folders = {arm: study / "runs" / arm for arm in (control, *arms)}
    names = [{each.name for each in folder.glob("seed-*")} for folder in folders.values()]
    seeds = sorted(set.intersection(*names), key=lambda name: int(name.removeprefix("seed-")))
    if not seeds:
        raise SystemExit(f"{study}: no seed that {', '.join(folders)} all have")
    by_seed, images = [], []
    for name in seeds:
        runs = {arm: folder / name for arm, folder in folders.items()}
        errors, own = errors_of_arms(runs, data, kind, int(name.removeprefix("seed-")))
        by_seed.append(errors)
        images.append(own)
    numbers = np.unique(np.concatenate(images), return_inverse=True)[1]
    faces = np.split(numbers, np.cumsum([len(own) for own in images])[:-1])
    for arm in arms:
        changes = [errors[arm] - errors[control] for errors in by_seed]
        for column, estimate in enumerate(seed_estimates(changes, faces)):
            mine, others = (
                float(np.mean([np.nanmean(errors[which][:, column]) for errors in by_seed]))
                for which in (arm, control)
            )
            low, high = estimate.interval or (float("nan"), float("nan"))
            figures = (mine, others, estimate.mean, low, high)
            rounded = (round(figure, 4) for figure in figures)
            yield Row(kind, PARTS[column], arm, control, len(seeds), *rounded)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.accuracy.occluded", __doc__)
    parser.add_argument("study", type=Path, metavar="STUDY", help="the folder of a finished study")
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--data", type=Path, required=True, help="the faces that it trained on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=RESULTS / "occluded_cpu.csv")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    table = Table(options.csv, Row)
    for kind in COVERS:
        for row in rows(options.study, options.arms, options.control, options.data, kind):
            table.append(row)
            print(
                f"covered by {row.cover}, {row.part} landmarks: {row.arm} {row.nme:.2f} %, "
                f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}] to {row.control}",
                flush=True,
            )


if __name__ == "__main__":
    main()
