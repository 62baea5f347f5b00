"""The numbers of a page of several runs: means over seeds, and paired differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sesame_hpc.choices import Part
from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.seeds import Estimate, seed_estimates
from sesame_hpc.report.compared_runs import ComparedRun, Group

__all__ = ["comparisons", "group_figures", "landmark_means"]

Errors = tuple[np.ndarray, np.ndarray, list[str]]


def group_figures(group: Group, part: Part, regions: Sequence[str]) -> dict[str, Any] | None:
    """{"seeds", "mean", "interval", "regions"} of the runs that are finished; None without any.

    Means over seeds of the NME in percent. The interval is over seeds and faces, None for one seed
    and where the faces could not be read.
    """
    finished = [figures for run in group.runs if (figures := run.figures(part)) is not None]
    if not finished:
        return None
    return {
        "name": group.name,
        "seeds": len(finished),
        "mean": float(np.mean([figures["nme"] for figures in finished])),
        "interval": _seed_interval(group, part, len(finished)),
        "regions": {name: _mean([each["regions"][name] for each in finished]) for name in regions},
    }


def _seed_interval(group: Group, part: Part, finished: int) -> tuple[float, float] | None:
    read = [found for run in group.runs if (found := run.errors(part)) is not None]
    if len(read) < finished or finished < 2:
        return None
    (estimate,) = seed_estimates([own[:, :1] for own, _, _ in read], [ids for _, ids, _ in read])
    return estimate.interval


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def landmark_means(group: Group, part: Part) -> list[float | None] | None:
    """NME in percent of each landmark, mean over the finished runs; None without any."""
    every = [figures.get("landmarks") for run in group.runs if (figures := run.figures(part))]
    found = [each for each in every if each]
    return [_mean(values) for values in zip(*found, strict=True)] if found else None


def comparisons(
    groups: Sequence[Group], part: Part, regions: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Each group minus the first one, as `comparison_words` describes; and why some are not there.

    Beside that, "regions" {name: {"mean", "interval", "side"}}, None for a region without labels,
    and "by_seed" {seed: {"difference", "interval"}}. A single pair of runs has no interval over
    seeds, and one "over_faces". Runs are paired by seed, and those of seeds that only one group has
    in the order of their seeds. Differences are over the faces that both could read.
    """
    control, *others = groups
    found, problems = [], []
    for group in others:
        pairs = _pairs(group, control, part)
        if not pairs:
            problems.append(
                f"{group.name} and {control.name}: no pair of finished runs whose labels and "
                "predictions can be read"
            )
            continue
        try:
            found.append(_comparison(group, control, pairs, part, regions))
        except ValueError as error:
            problems.append(f"{group.name} and {control.name}: {error}")
    return found, problems


def _pairs(group: Group, control: Group, part: Part) -> list[tuple[ComparedRun, ComparedRun]]:
    mine, theirs = (
        {run.seed: run for run in each.runs if run.errors(part) is not None}
        for each in (group, control)
    )
    shared = sorted(set(mine) & set(theirs))
    rest = (sorted(set(each) - set(shared)) for each in (mine, theirs))
    pairs = [(seed, seed) for seed in shared] + list(zip(*rest, strict=False))
    return [(mine[first], theirs[second]) for first, second in pairs]


def _comparison(
    group: Group,
    control: Group,
    pairs: Sequence[tuple[ComparedRun, ComparedRun]],
    part: Part,
    regions: Sequence[str],
) -> dict[str, Any]:
    changes = [_paired(mine, other, part) for mine, other in pairs]
    every = _estimates([change for change, _ in changes], [ids for _, ids in changes])
    over_faces = intervals(changes[0][0]) if len(changes) == 1 else [None] * len(every)
    whole, *judged = [
        estimate and estimate.to_json() | {"side": estimate.side, "over_faces": bounds}
        for estimate, bounds in zip(every, over_faces, strict=True)
    ]
    return {
        "arm": group.name,
        "control": control.name,
        "seeds": [mine.seed for mine, _ in pairs],
        "faces": len(np.unique(np.concatenate([ids for _, ids in changes]))),
        "nme": whole,
        "regions": dict(zip(regions, judged, strict=True)),
        "by_seed": {
            str(mine.seed) if mine.seed == other.seed else f"{mine.seed}, {other.seed}": {
                "difference": float(change[:, 0].mean()),
                "interval": intervals(change[:, :1])[0],
            }
            for (mine, other), (change, _) in zip(pairs, changes, strict=True)
        },
        "samples": pairs[0][0].samples / max(pairs[0][1].samples, 1),
    }


def _paired(mine: ComparedRun, other: ComparedRun, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Differences [n, 1 + R] on the faces that both could read, and their sample ids."""
    first, second = mine.errors(part), other.errors(part)
    assert first is not None
    assert second is not None
    shared, rows, their_rows = np.intersect1d(
        first[1], second[1], assume_unique=True, return_indices=True
    )
    if not len(shared) or [first[2][row] for row in rows] != [second[2][row] for row in their_rows]:
        raise ValueError(
            f"{mine.name} and {other.name} were not evaluated on the same faces, so there is no "
            "paired difference"
        )
    return first[0][rows] - second[0][their_rows], shared


def _estimates(values: list[np.ndarray], faces: list[np.ndarray]) -> list[Estimate | None]:
    """`seed_estimates` of the columns; None of one that some seed has no value of."""
    known = ~np.any([np.isnan(each).all(axis=0) for each in values], axis=0)
    found = iter(seed_estimates([each[:, known] for each in values], faces))
    return [next(found) if each else None for each in known]
