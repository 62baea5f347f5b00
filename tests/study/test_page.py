"""The page of a study: its figures are those of the JSON, and it is whole whatever is missing."""

from typing import Any

import pytest
from page_reading import Page, read_page

from sesame_hpc.study.page import render

REGIONS = ("outline", "nose_base")


def estimate(mean: float, half: float | None) -> dict[str, Any]:
    return {"mean": mean, "interval": None if half is None else [mean - half, mean + half]}


def compared(arm: str, mean: float, half: float | None) -> dict[str, Any]:
    side = "one seed" if half is None else "open" if half > abs(mean) else "lower"
    judged = estimate(mean, half) | {"side": side}
    seeds = [0] if half is None else [0, 1]
    own = {str(seed): {"difference": mean, "interval": [mean - 0.1, mean + 0.1]} for seed in seeds}
    return {
        "arm": arm,
        "control": "<b>&'",
        "seeds": seeds,
        "faces": 1234,
        "nme": judged,
        "regions": dict.fromkeys(REGIONS, judged),
        "by_seed": own,
        "samples": 3.0,
    }


def arm(mean: float, half: float | None = 0.25) -> dict[str, Any]:
    run = {
        "folder": "runs/a/seed-0",
        "nme": mean,
        "regions": dict.fromkeys(REGIONS, mean),
        "faces": 1234,
        "samples": {"preliminary": 4000},
        "seconds": {"preliminary": 61.0},
        "taken": {"preliminary": "runs/b/seed-0"},
        "curve": [[1000, 9.0], [4000, mean]],
    }
    return {
        "settings": {"masking": {"alpha": 2}, "stages.run": ["preliminary"]},
        "stages": ["preliminary"],
        "nme": estimate(mean, half),
        "regions": dict.fromkeys(REGIONS, estimate(mean, half)),
        "samples": 4000.0,
        "seconds": 61.0,
        "runs": {"0": run, "1": run},
    }


def a_study(half: float | None = 0.1) -> dict[str, Any]:
    arms = {"<b>&'": arm(5.5, half), "clear": arm(5.0, half), "open": arm(5.4, half)}
    return {
        "study": "two & more",
        "part": "heldout",
        "weights": "last",
        "scheme": "ibug68",
        "seeds": [0] if half is None else [0, 1],
        "regions": list(REGIONS),
        "missing": [],
        "arms": arms,
        "comparisons": [compared("clear", -0.5, half), compared("open", -0.05, half)],
    }


def page_of(study: dict[str, Any]) -> Page:
    return read_page(render(study, "seeds: [0, 1]\n"))


def test_the_tables_are_the_json() -> None:
    page = page_of(a_study())
    arms = page.tables["NME on held-out faces, samples and time"]
    assert arms[2] == ["clear", "2", "5.000", "[4.900, 5.100]", "4,000", "61", "preliminary"]
    pairs = page.tables["Paired differences in NME, percentage points"]
    expected = ["−0.500", "[−0.600, −0.400]", "lower", "2", "1,234", "3.00"]
    assert pairs[1][2:] == expected
    assert pairs[2][4] == "undecided"
    regions = page.tables["clear and <b>&'"]
    assert [row[0] for row in regions[1:]] == ["outline", "nose base", "all points"]
    assert regions[3][1:] == ["5.000", "5.500", "−0.500", "[−0.600, −0.400]"]
    runs = page.tables["Runs"]
    assert runs[1][-1] == "preliminary (runs/b/seed-0)"
    assert page.tables["Settings of the arms, on top of the base"][1][1] == (
        "masking: {alpha: 2}, stages.run: [preliminary]"
    )


def test_the_lead_says_what_was_found_and_what_was_not() -> None:
    text = page_of(a_study()).text
    assert "clear has a lower NME than <b>&': −0.500 percentage points" in text
    assert "open and <b>&' are not distinguishable" in text
    assert "clear was trained on 3.00 times as many samples." in text


def test_one_seed_gets_no_interval_and_no_verdict() -> None:
    page = page_of(a_study(half=None))
    assert "One seed says nothing about the method." in page.text
    assert page.tables["Paired differences in NME, percentage points"][1][3:5] == ["–", "one seed"]
    assert page.tables["clear and <b>&'"][1][-1] == "–"
    assert sum(found.get("class") == "range" for _, found in page.tags) == 0


def test_the_forest_has_a_bar_and_dots_for_each_comparison() -> None:
    page = page_of(a_study())
    kinds = [found["class"] for tag, found in page.tags if tag == "path" and "class" in found]
    assert (kinds.count("range"), kinds.count("range open")) == (1, 1)
    assert (kinds.count("dot seed"), kinds.count("dot all")) == (4, 2)


def test_a_study_that_is_not_finished_says_so() -> None:
    study = a_study()
    study["missing"] = [{"arm": "open", "seed": 1, "why": "the loss is not finite"}]
    study["arms"]["open"] |= {"nme": None, "samples": None, "seconds": None, "runs": {}}
    study["comparisons"] = study["comparisons"][:1]
    page = page_of(study)
    assert (
        "This study is not finished: 4 of 5 runs finished; arm open, seed 1: the loss" in page.text
    )
    assert page.tables["NME on held-out faces, samples and time"][3][1:4] == ["0", "–", "–"]
    study["arms"] = dict.fromkeys(study["arms"], study["arms"]["open"])
    study["comparisons"] = []
    assert "There is nothing to compare yet." in page_of(study).text


def test_nothing_refers_outside_and_drawings_are_named() -> None:
    html = render(a_study(), "x: 1\n")
    page = read_page(html)
    for marker in ("http:", "https:", "url(", "@import", "<script"):
        assert marker not in html, marker
    drawings = [found for tag, found in page.tags if tag == "svg"]
    assert all(found.get("aria-label") or found.get("aria-hidden") for found in drawings)
    targets = {found["id"] for _, found in page.tags if "id" in found}
    assert {found["href"][1:] for tag, found in page.tags if tag == "a"} <= targets


@pytest.mark.parametrize("count", [1, 9])
def test_every_arm_has_a_style(count: int) -> None:
    study = a_study()
    study["arms"] = {f"a{number}": study["arms"]["clear"] for number in range(count)}
    study["comparisons"] = []
    html = render(study, "")
    assert f'class="line arm{(count - 1) % 8}"' in html
