"""How often intervals over seeds and faces include the truth.

Simulated studies whose true difference is 0: the value of a face with a seed is the sum of a draw
per seed, a draw per face and a draw per seed and face, with the standard deviations of the table's
first columns. Each seed has 100 faces: the same ones for all seeds (as of a test part), or its own
(as held out by the seed). `included` is the percentage of studies whose 95 % interval of `sesame
study` (sesame_hpc/evaluation/seeds.py) includes 0, `plain_included` that of the usual hierarchical
bootstrap: the 2.5 and 97.5 % percentiles of the means of resampled seeds and faces. Widths are
medians.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from sesame_hpc.evaluation.bootstrap import face_weights
from sesame_hpc.evaluation.seeds import seed_estimates

__all__ = ["main"]

FACES = 100
SEEDS = (2, 3, 5)
SPREADS = ((1.0, 0.0, 0.0), (0.3, 1.0, 1.0), (0.1, 1.0, 0.1), (0.1, 0.1, 1.0))

Spread = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    per_seed: float
    per_face: float
    per_both: float
    faces: str
    seeds: int
    studies: int
    included: float
    width: float
    plain_included: float
    plain_width: float


def simulated(
    seeds: int, spread: Spread, same: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Values float64 [S, FACES] and ids of the faces int64 [S, FACES]."""
    per_seed, per_face, per_both = spread
    hard = generator.normal(size=(1 if same else seeds, FACES)) * per_face
    values = generator.normal(size=(seeds, 1)) * per_seed + hard
    values = values + generator.normal(size=(seeds, FACES)) * per_both
    ids = np.arange(seeds * FACES).reshape(seeds, FACES)
    return values, np.tile(ids[0], (seeds, 1)) if same else ids


def plain_interval(
    values: np.ndarray, same: bool, generator: np.random.Generator
) -> tuple[float, float]:
    """Percentiles of the means of seeds and, within each, faces drawn with replacement."""
    seeds = len(values)
    own = [
        np.concatenate(list(face_weights(FACES, generator))) for _ in range(1 if same else seeds)
    ]
    means = np.stack(
        [np.einsum("rn,n->r", own[0 if same else row], each) for row, each in enumerate(values)],
        axis=1,
    )
    drawn = generator.integers(seeds, size=means.shape)
    low, high = np.percentile(np.take_along_axis(means, drawn, axis=1).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def measured(seeds: int, spread: Spread, same: bool, studies: int) -> Row:
    generator = np.random.default_rng([seeds, same, *(int(100 * each) for each in spread)])
    bounds = np.zeros((2, studies, 2))
    for study in range(studies):
        values, ids = simulated(seeds, spread, same, generator)
        (found,) = seed_estimates([each[:, None] for each in values], list(ids))
        assert found.interval is not None
        bounds[0, study] = found.interval
        bounds[1, study] = plain_interval(values, same, generator)
    included = 100 * ((bounds[..., 0] <= 0) & (bounds[..., 1] >= 0)).mean(axis=1)
    widths = np.median(bounds[..., 1] - bounds[..., 0], axis=1)
    return Row(
        *spread,
        faces="same" if same else "own",
        seeds=seeds,
        studies=studies,
        included=round(float(included[0]), 1),
        width=round(float(widths[0]), 3),
        plain_included=round(float(included[1]), 1),
        plain_width=round(float(widths[1]), 3),
    )


def rows(studies: int) -> Iterator[Row]:
    for spread in SPREADS:
        for same in (True, False):
            for seeds in SEEDS:
                yield measured(seeds, spread, same, studies)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.study.coverage", __doc__)
    parser.add_argument("--studies", type=int, default=300, help="simulated studies per row")
    parser.add_argument(
        "--csv",
        type=Path,
        default=RESULTS / "study_coverage.csv",
        help="write the rows to this file, over what it holds",
    )
    options = parser.parse_args(arguments)
    made = []
    for row in rows(options.studies):
        print(
            f"{row.per_seed} {row.per_face} {row.per_both}, {row.faces:4} faces, {row.seeds} "
            f"seeds: {row.included} %, plain {row.plain_included} %",
            flush=True,
        )
        made.append(row)
    Table(options.csv, Row).replace(made)


if __name__ == "__main__":
    main()
