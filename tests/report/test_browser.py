"""The page in headless Chromium: nothing is fetched, nothing overflows, dark is dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, missing

from sesame_hpc.report import write_report
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
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(run: RunFolder) -> Path:
    return write_report(run)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_overflows(browser: Browser, page: Path, width: int) -> None:
    browser.view(width)
    browser.open(page)
    browser.run(OPEN_ALL)
    assert browser.run(OUTSIDE) == []
    assert browser.run(OVERFLOW) <= 0


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


def test_every_image_is_drawn(browser: Browser, page: Path) -> None:
    browser.view(1280)
    browser.open(page)
    widths = browser.run("return [...document.images].map(each => each.naturalWidth)")
    assert len(widths) == 5
    assert min(widths) > 0
    heights = browser.run(
        "return [...document.querySelectorAll('svg.chart')]"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert len(heights) == 8
    assert min(heights) > 100


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
