"""How often intervals over seeds and faces hold the truth: `python benchmarks/study/coverage.py`.

Simulated studies of which the truth is 0: the value of a face under a seed is a draw of the seed,
one of the face and one of both, with standard deviations as the table's first columns say. Each
study has 100 faces a seed, the same for all seeds (a test part) or its own (held out by the seed).
Of each, the 95 % interval of `sesame study` (evaluation/seeds.py), and for comparison the 2.5 and
97.5 % percentiles of resampled seeds and faces, the usual hierarchical bootstrap.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from sesame_hpc.evaluation.bootstrap import face_weights
from sesame_hpc.evaluation.seeds import seed_estimates

FACES = 100
SPREADS = ((1.0, 0.0, 0.0), (0.3, 1.0, 1.0), (0.1, 1.0, 0.1), (0.1, 0.1, 1.0))


def simulated(
    seeds: int, spread: tuple[float, float, float], same: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Values float64 [S, FACES] and the faces' ids int64 [S, FACES]."""
    of_seed, of_face, of_both = spread
    hard = generator.normal(size=(1 if same else seeds, FACES)) * of_face
    values = generator.normal(size=(seeds, 1)) * of_seed + hard
    values = values + generator.normal(size=(seeds, FACES)) * of_both
    ids = np.arange(seeds * FACES).reshape(seeds, FACES)
    return values, np.tile(ids[0], (seeds, 1)) if same else ids


def percentiles(values: np.ndarray, same: bool, generator: np.random.Generator) -> list[float]:
    """[low, high] of the means of seeds and, in each, faces drawn with replacement."""
    seeds, means = len(values), []
    for weights in face_weights(FACES, generator):
        own = [weights if same else generator.permuted(weights, axis=1) for _ in range(seeds)]
        of_seed = np.stack(
            [np.einsum("rn,n->r", each, row) for each, row in zip(own, values, strict=True)], axis=1
        )
        drawn = generator.integers(seeds, size=of_seed.shape)
        means.append(np.take_along_axis(of_seed, drawn, axis=1).mean(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return [float(low), float(high)]


def row(
    seeds: int, spread: tuple[float, float, float], same: bool, studies: int
) -> dict[str, object]:
    generator = np.random.default_rng([seeds, same, *(int(100 * each) for each in spread)])
    ours, plain, widths = 0, 0, []
    for _ in range(studies):
        values, ids = simulated(seeds, spread, same, generator)
        (found,) = seed_estimates([each[:, None] for each in values], list(ids))
        assert found.interval is not None
        low, high = percentiles(values, same, generator)
        ours += found.interval[0] <= 0.0 <= found.interval[1]
        plain += low <= 0.0 <= high
        widths.append((found.interval[1] - found.interval[0], high - low))
    width, plain_width = np.median(widths, axis=0)
    return {
        **dict(zip(("of_seed", "of_face", "of_both"), spread, strict=True)),
        "faces": "same" if same else "own",
        "seeds": seeds,
        "studies": studies,
        "held_percent": round(100 * ours / studies, 1),
        "width": round(float(width), 3),
        "percentiles_held_percent": round(100 * plain / studies, 1),
        "percentiles_width": round(float(plain_width), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, required=True, help="the table's file")
    parser.add_argument("--studies", type=int, default=400, help="simulated studies a row")
    options = parser.parse_args()
    rows = [
        row(seeds, spread, same, options.studies)
        for spread in SPREADS
        for same in (True, False)
        for seeds in (2, 3, 5)
    ]
    with options.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
