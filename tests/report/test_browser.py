"""The page in headless Chromium: nothing is fetched, nothing overflows, dark is dark."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, missing

from sesame_hpc.choices import STAGES
from sesame_hpc.report import write_comparison, write_report
from sesame_hpc.run.folder import RunFolder

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

OPEN_ALL = "for (const each of document.querySelectorAll('details')) each.open = true;"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')]
  .filter(each => !each.closest('.scroll') && each.getBoundingClientRect().right > width + 1)
  .map(each => each.outerHTML.slice(0, 80));
"""
WIDER = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll('table, svg.chart, pre')]
  .filter(each => each.getBoundingClientRect().width > width + 1 && !each.closest('details'))
  .map(each => each.closest('[aria-label]')?.ariaLabel);
"""
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=["one", "several"])
def page(run: RunFolder, make_run: Any, request: pytest.FixtureRequest) -> Path:
    if request.param == "one":
        return write_report(run)
    others = [
        make_run(*STAGES, name="a-run-with-a-long-name-of-its-own", settings=["seed=1"]),
        make_run(*STAGES, name="wide", settings=["model.width=32"], noise=2.0),
        make_run("preliminary", name="begun", settings=["loss.heatmap=0.2"]),
    ]
    folders = [each.path for each in (run, *others)]
    return write_comparison(folders, run.path.parent / "comparison.html")


@pytest.fixture
def report(run: RunFolder) -> Path:
    return write_report(run)


def test_nothing_overflows(browser: Browser, page: Path) -> None:
    for width in (320, 390, 768, 1280):
        browser.view(width)
        browser.open(page)
        browser.run(OPEN_ALL)
        assert browser.run(OUTSIDE) == []
        assert browser.run(OVERFLOW) <= 0


def test_the_console_stays_clean(browser: Browser, page: Path) -> None:
    browser.view(1280)
    browser.open(page)
    browser.run("console.error('this is seen')")
    assert any("this is seen" in line for line in browser.console())
    browser.open(page)
    browser.run(OPEN_ALL)
    assert browser.console() == []


def test_links_save_the_tables(browser: Browser, page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.download_to(folder)
    browser.view(1280)
    browser.open(page)
    names = browser.run(
        "return [...document.querySelectorAll('a[download]')]"
        ".map(each => { each.click(); return each.download; })"
    )
    assert len(names) >= 2
    for _ in range(200):
        if sorted(each.name for each in folder.iterdir()) == sorted(names):
            break
        time.sleep(0.1)
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)
    for each in folder.iterdir():
        lines = each.read_text("utf-8").splitlines()
        assert len(lines) >= 2, each.name
        assert "," in lines[0]


def test_wide_tables_scroll_in_their_own_box(browser: Browser, page: Path) -> None:
    browser.view(390)
    browser.open(page)
    scrolling = browser.run(
        "return [...document.querySelectorAll('.scroll')]"
        ".filter(each => each.scrollWidth > each.clientWidth).length"
    )
    assert scrolling >= 2


def test_an_overflow_would_be_seen(browser: Browser, page: Path) -> None:
    browser.view(390)
    browser.open(page)
    browser.run("document.querySelector('main').style.width = '500px'")
    assert browser.run(OVERFLOW) > 0
    assert browser.run(OUTSIDE)


def test_only_the_file_itself_is_asked_for(browser: Browser, page: Path) -> None:
    browser.view(1280)
    browser.open(page)
    browser.requests()
    browser.open(page)
    browser.run(OPEN_ALL)
    assert browser.requests() == [page.resolve().as_uri()]


def test_every_image_is_drawn(browser: Browser, report: Path) -> None:
    browser.view(1280)
    browser.open(report)
    widths = browser.run("return [...document.images].map(each => each.naturalWidth)")
    assert len(widths) == 5
    assert min(widths) > 0
    heights = browser.run(
        "return [...document.querySelectorAll('svg.chart')]"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert len(heights) == 9
    assert min(heights) > 100
    sides = browser.run(
        "const box = document.querySelector('.reliability svg').getBoundingClientRect();"
        "return [box.width, box.height]"
    )
    assert sides[0] == pytest.approx(sides[1], rel=0.1)


def test_paper_has_config_and_environment_in_full(browser: Browser, report: Path) -> None:
    shown = (
        "return ['Config', 'Environment'].map(name => {"
        "const box = document.querySelector(`[aria-label=${name}]`);"
        "const tall = box.closest('.tall');"
        "return [box.getBoundingClientRect().height > 20, tall.scrollHeight - tall.clientHeight]})"
    )
    browser.view(1280)
    browser.open(report)
    assert browser.run(shown)[0][1] > 100, "on the screen the config scrolls in a box of its own"
    browser.view(700, media="print")
    browser.open(report)
    for is_there, hidden in browser.run(shown):
        assert is_there
        assert hidden <= 1
    assert browser.run(WIDER) == [], "nobody scrolls on paper"
    assert browser.run(OVERFLOW) <= 0
    assert browser.run(OUTSIDE) == []


def test_dark_mode_and_paper(browser: Browser, page: Path) -> None:
    colours = {}
    for name, dark, media in (("light", False, ""), ("dark", True, ""), ("print", True, "print")):
        browser.view(720, dark=dark, media=media)
        browser.open(page)
        colours[name] = browser.run(BACKGROUND)
    assert colours["light"] == colours["print"] == "rgb(255, 255, 255)"
    assert max(int(part) for part in colours["dark"][4:-1].split(",")) < 60


def test_text_has_contrast(browser: Browser, page: Path) -> None:
    """WCAG AA, 4.5 : 1, for every colour of text on the page's own background."""
    for dark in (False, True):
        browser.view(1280, dark=dark)
        browser.open(page)
        colours = browser.run(
            "return [...new Set([...document.querySelectorAll('p, th, td, dt, dd, li, small')]"
            ".map(each => getComputedStyle(each).color))]"
        )
        paper = browser.run(BACKGROUND)
        for colour in colours:
            assert contrast(colour, paper) >= 4.5, (colour, paper)


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
