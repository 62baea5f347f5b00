"""`study.json`: what the finished runs of a study show, as numbers alone.

    study, part, weights, scheme, seeds, regions   what was asked
    missing     [{"arm", "seed", "why"}]           runs that are not finished
    arms        {arm: {...}}
        settings                                   the arm's own
        stages, weights                            those it has; last or ema, which it is judged by
        nme, regions.NAME                          {"mean", "interval"} over seeds, percent
        samples, seconds                           of one run, mean over seeds
        runs    {seed: {"folder", "nme", "regions", "samples", "seconds", "taken", "curve"}}
    comparisons [{...}]                            arm minus control, percentage points
        arm, control, seeds, faces
        nme, regions.NAME                          {"mean", "interval", "side"} over seeds and faces
        by_seed {seed: {"difference", "interval"}} interval over that seed's faces alone
        samples                                    the arm's over its control's

An interval is [low, high] at 95 % (evaluation/seeds.py), null for one seed. `side` is lower,
higher, open (the interval holds 0) or "one seed". `samples` of a run counts a crop each time it is
trained on, by stage; `seconds` is the stages' training; both also for a stage that was taken from
another run, which `taken` {stage: run} names. `curve` is [[samples so far, held-out NME in
percent], ...].
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.seeds import Estimate, seed_estimates
from sesame_hpc.study.outcome import FaceReader, Outcome, read_outcome
from sesame_hpc.study.plan import StudyPlan
from sesame_hpc.study.schema import Comparison

__all__ = ["collect"]

Outcomes = dict[str, dict[int, Outcome]]


def collect(plan: StudyPlan, failed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The content of `study.json` from the runs that are finished.

    `failed` {run's name: why} explains some that are not. Raises ValueError where files of a run do
    not fit, or two arms were not evaluated on the same faces.
    """
    reader = FaceReader(plan.study.part)
    outcomes: Outcomes = {arm: {} for arm in plan.study.arms}
    missing = []
    for run in plan.runs:
        outcome = read_outcome(run, plan.study.part, plan.study.weights, reader)
        if outcome is None:
            why = (failed or {}).get(run.name, "not finished")
            missing.append({"arm": run.arm, "seed": run.seed, "why": why})
        else:
            outcomes[run.arm][run.seed] = outcome
    first = next((each for own in outcomes.values() for each in own.values()), None)
    return {
        "study": plan.name,
        "part": plan.study.part,
        "weights": plan.study.weights,
        "scheme": first and first.scheme,
        "seeds": list(plan.study.seeds),
        "regions": list(first.regions) if first else [],
        "missing": missing,
        "arms": {arm: _arm(plan, arm, own) for arm, own in outcomes.items()},
        "comparisons": [
            comparison
            for pair in plan.study.comparisons
            if (comparison := _comparison(pair, outcomes)) is not None
        ],
    }


def _arm(plan: StudyPlan, arm: str, outcomes: dict[int, Outcome]) -> dict[str, Any]:
    found, first = list(outcomes.values()), plan.of_arm(arm)[0]
    is_average = plan.study.weights == "ema" and first.keeps_average
    runs = {str(seed): _run(plan, outcome) for seed, outcome in outcomes.items()}
    summary: dict[str, Any] = {
        "settings": plan.study.arms[arm],
        "stages": list(first.config.stages.run),
        "weights": "ema" if is_average else "last",
        "nme": None,
        "regions": {},
        "samples": None,
        "seconds": None,
        "runs": runs,
    }
    if not found:
        return summary
    every = seed_estimates([each.errors for each in found], [each.faces for each in found])
    names = found[0].regions
    return summary | {
        "nme": every[0].to_json(),
        "regions": {name: each.to_json() for name, each in zip(names, every[1:], strict=True)},
        "samples": _mean([sum(each.samples.values()) for each in found]),
        "seconds": _mean([sum(each.seconds.values()) for each in found]),
    }


def _mean(values: list[Any]) -> float:
    return float(np.mean(values))


def _run(plan: StudyPlan, outcome: Outcome) -> dict[str, Any]:
    names = ("nme", *outcome.regions)
    nme = dict(zip(names, map(float, outcome.nme), strict=True))
    output = plan.study.output
    return {
        "folder": outcome.run.name,
        "nme": nme.pop("nme"),
        "regions": nme,
        "faces": len(outcome.faces),
        "samples": outcome.samples,
        "seconds": outcome.seconds,
        "taken": {stage: os.path.relpath(path, output) for stage, path in outcome.taken.items()},
        "curve": [list(point) for point in outcome.curve],
    }


def _comparison(pair: Comparison, outcomes: Outcomes) -> dict[str, Any] | None:
    """None where no seed of both is finished."""
    mine, others = outcomes[pair.arm], outcomes[pair.control]
    seeds = [seed for seed in mine if seed in others]
    if not seeds:
        return None
    pairs = [_paired(mine[seed], others[seed]) for seed in seeds]
    changes, faces = [change for change, _ in pairs], [ids for _, ids in pairs]
    every = seed_estimates(changes, faces)
    own = zip(seeds, changes, strict=True)
    return {
        "arm": pair.arm,
        "control": pair.control,
        "seeds": seeds,
        "faces": len(np.unique(np.concatenate(faces))),
        "nme": _judged(every[0]),
        "regions": {
            name: _judged(each)
            for name, each in zip(mine[seeds[0]].regions, every[1:], strict=True)
        },
        "by_seed": {str(seed): _of_seed(change[:, :1]) for seed, change in own},
        "samples": _ratio(mine[seeds[0]], others[seeds[0]]),
    }


def _paired(mine: Outcome, other: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """Differences [n, 1 + R] in percentage points on the faces that both could read, and their ids.

    Raises ValueError where the two were evaluated on different faces.
    """
    shared, rows, other_rows = np.intersect1d(
        mine.faces, other.faces, assume_unique=True, return_indices=True
    )
    names = [mine.images[row] for row in rows]
    if not len(shared) or names != [other.images[row] for row in other_rows]:
        raise ValueError(
            f"{mine.run.folder.path} and {other.run.folder.path} were not evaluated on the same "
            "faces: there is no paired difference"
        )
    return mine.errors[rows] - other.errors[other_rows], shared


def _judged(estimate: Estimate) -> dict[str, Any]:
    return estimate.to_json() | {"side": estimate.side}


def _of_seed(change: np.ndarray) -> dict[str, Any]:
    return {"difference": float(change.mean()), "interval": intervals(change)[0]}


def _ratio(mine: Outcome, other: Outcome) -> float:
    return sum(mine.samples.values()) / sum(other.samples.values())
