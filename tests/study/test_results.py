"""The numbers of a study against hand calculation, and what is said of them."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.seeds import seed_estimates
from sesame_hpc.report.comparison_words import statement
from sesame_hpc.study import results
from sesame_hpc.study.outcome import Outcome
from sesame_hpc.study.plan import StudyRun, plan_study
from sesame_hpc.study.results import collect
from sesame_hpc.study.tables import print_study
from sesame_hpc.study.words import completeness

REGIONS = ("outline", "nose")
SHIFTS = {"control": 0.0, "better": -0.4, "same": 0.0}


def outcome(run: StudyRun) -> Outcome:
    """60 faces of their own difficulty, with the arm's shift and the run's own noise."""
    ids = np.arange(60) * 2 + run.seed
    hard = np.random.default_rng(9).uniform(3.0, 9.0, (400, 3))[ids]
    noise = np.random.default_rng([run.seed, len(run.arm)]).normal(0.0, 0.05, (60, 3))
    stages = run.config.stages.run
    return Outcome(
        run=run,
        regions=REGIONS,
        scheme="ibug68",
        errors=hard + SHIFTS[run.arm] + noise,
        faces=ids,
        images=tuple(f"{number}.png" for number in ids),
        samples={stage: getattr(run.config.stages, stage).epochs * 40 for stage in stages},
        seconds=dict.fromkeys(stages, 2.5),
        taken={},
        curve=[(50, 9.0), (100, 7.0)],
    )


@pytest.fixture
def study(write_study, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Collects a study whose arms have a known shift; the runs in `lost` are not finished."""

    def collected(seeds: int = 3, lost: tuple[str, ...] = (), **failed: str) -> dict[str, Any]:
        arms = "control: , better: {{masking.alpha: 2}}, same: {{stages.finetune.epochs: 6}}"
        head = f"output: {{output}}\nbase: tiny.yaml\nseeds: {list(range(seeds))}\n"
        plan = plan_study(write_study(f"{head}arms: {{{{{arms}}}}}\n"))
        monkeypatch.setattr(
            results, "read_outcome", lambda run, *_: None if run.name in lost else outcome(run)
        )
        return collect(plan, failed)

    return collected


def test_arms_and_comparisons_are_the_estimates_of_their_faces(
    study: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = study()
    plan = plan_study(tmp_path / "two.yaml")
    runs = {arm: [outcome(run) for run in plan.of_arm(arm)] for arm in ("control", "better")}
    every = seed_estimates(
        [run.errors for run in runs["better"]], [run.faces for run in runs["better"]]
    )
    arm = found["arms"]["better"]
    assert arm["nme"] == every[0].to_json()
    assert arm["regions"]["nose"] == every[2].to_json()
    changes = [
        mine.errors - other.errors
        for mine, other in zip(runs["better"], runs["control"], strict=True)
    ]
    pair = found["comparisons"][0]
    assert (pair["arm"], pair["control"], pair["seeds"]) == ("better", "control", [0, 1, 2])
    paired = seed_estimates(changes, [run.faces for run in runs["better"]])
    assert pair["nme"] == paired[0].to_json() | {"side": "lower"}
    assert pair["regions"]["outline"]["mean"] == pytest.approx(-0.4, abs=0.03)
    assert pair["by_seed"]["1"]["interval"] == intervals(changes[1][:, :1])[0]
    assert pair["faces"] == len(np.unique([run.faces for run in runs["better"]]))


def test_samples_are_those_of_all_stages_and_are_compared(
    study: Callable[..., dict[str, Any]],
) -> None:
    found = study()
    assert found["arms"]["control"]["samples"] == 9 * 40
    assert found["arms"]["control"]["seconds"] == 7.5
    better, same = found["comparisons"]
    assert better["samples"] == 1.0
    assert same["samples"] == pytest.approx(12 / 9)
    assert "as many samples" not in statement(better)
    assert statement(same).endswith("same was trained on 1.33 times as many samples.")


def test_what_is_said_follows_the_interval(study: Callable[..., dict[str, Any]]) -> None:
    better, same = study()["comparisons"]
    assert statement(better).startswith("better has a lower NME than control: −0.39")
    assert "3 seeds, " in statement(better)
    assert statement(same).startswith("same and control are not distinguishable: ")
    assert "which includes 0" in statement(same)


def test_one_seed_never_gets_a_verdict(study: Callable[..., dict[str, Any]]) -> None:
    found = study(seeds=1)
    for comparison in found["comparisons"]:
        assert comparison["nme"]["interval"] is None
        assert comparison["nme"]["side"] == "one seed"
        said = statement(comparison)
        assert "One seed says nothing about the method." in said
        assert "lower" not in said
        assert comparison["by_seed"]["0"]["interval"]
    assert found["arms"]["better"]["nme"]["interval"] is None
    assert "One seed says nothing about the method." in printed(found)


def test_runs_that_are_missing_are_named_and_left_out(study: Callable[..., dict[str, Any]]) -> None:
    lost = ("runs/better/seed-1", "runs/better/seed-2", "runs/same/seed-0")
    found = study(3, lost, **{"runs/same/seed-0": "the loss is not finite"})
    assert [(each["arm"], each["seed"]) for each in found["missing"]] == [
        ("same", 0),
        ("better", 1),
        ("better", 2),
    ]
    better, same = found["comparisons"]
    assert better["nme"]["side"] == "one seed"
    assert same["seeds"] == [1, 2]
    assert completeness(found) == ("6 of 9 runs finished; arm same, seed 0: the loss is not finite")
    assert "This study is not finished" in printed(found)


def test_a_study_of_which_nothing_is_finished_can_be_shown(
    study: Callable[..., dict[str, Any]],
) -> None:
    every = tuple(f"runs/{arm}/seed-0" for arm in SHIFTS)
    found = study(1, every)
    assert found["comparisons"] == []
    assert "0 of 3 runs finished" in printed(found)


def test_other_faces_are_no_pair(
    study: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = outcome

    def renamed(run: StudyRun) -> Outcome:
        found = original(run)
        return replace(found, images=tuple(f"{run.arm}/{name}" for name in found.images))

    study()
    monkeypatch.setitem(globals(), "outcome", renamed)
    with pytest.raises(ValueError, match="were not evaluated on the same faces"):
        study()


def printed(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_study(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_tables_fit_into_80_columns(study: Callable[..., dict[str, Any]]) -> None:
    found = study()
    long = "an-arm-whose-name-is-as-long-as-it-may-be-in-a-study-of-ours"
    found["arms"][long] = found["arms"].pop("better")
    found["comparisons"] = [each | {"arm": long} for each in found["comparisons"] * 5]
    text = printed(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("NME (%) on held-out faces", "−0.4", "undecided", "#10", "lower"):
        assert part in text
