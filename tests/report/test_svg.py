"""Scales and marks: where values land, and which ticks are shown."""

import re

import pytest

from sesame_hpc.report.svg import Chart, Scale, bounds, number


def test_a_scale_maps_its_ends_and_middle() -> None:
    scale = Scale(0.0, 10.0, 100.0, 0.0)
    assert [scale(0.0), scale(10.0), scale(2.5)] == [100.0, 0.0, 75.0]
    log = Scale(0.01, 1.0, 0.0, 200.0, log=True)
    assert log(0.1) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (6.9, 11.2, [7, 8, 9, 10, 11]),
        (0.0, 0.31, [0, 0.1, 0.2, 0.3]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_linear_ticks_are_round_and_inside(low, high, expected) -> None:
    assert Scale(low, high, 0, 1).ticks() == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-3), (0.0018, 0.011), (0.02, 0.11), (0.5, 0.6)])
def test_log_ticks_are_inside_and_several(low, high) -> None:
    ticks = Scale(low, high, 0, 1, log=True).ticks()
    assert len(ticks) >= 2
    assert all(low * 0.998 <= tick <= high * 1.002 for tick in ticks)
    assert ticks == sorted(ticks)


def test_numbers_are_short() -> None:
    written = [number(value) for value in (0, 2.5, 1250, 0.002, 0.0003, -1.5)]
    assert written == ["0", "2.5", "1250", "0.002", "3e−4", "−1.5"]


def test_bounds_leave_out_what_cannot_be_drawn() -> None:
    assert bounds([1.0, float("nan"), 3.0, float("inf")]) == (1.0, 3.0)
    assert bounds([0.0, 2.0, 8.0], log=True) == (2.0, 8.0)
    low, high = bounds([5.0])
    assert low < 5.0 < high
    assert bounds([]) == (0.0, 1.0)


def test_a_line_is_drawn_where_its_data_are_and_stays_inside() -> None:
    chart = Chart("t", 200, 100, (0.0, 10.0), (0.0, 1.0))
    chart.line([(0.0, 0.0), (10.0, 1.0), (10.0, 99.0)], "finetune")
    drawn = re.search(r'class="line finetune" d="M([^"]+)"', chart.render())
    assert drawn
    places = [tuple(map(float, place.split())) for place in drawn[1].split("L")]
    edge = chart.margins
    assert places[0] == (edge.left, 100 - edge.bottom)
    assert places[1] == places[2] == (200 - edge.right, edge.top)


def test_labels_are_escaped() -> None:
    chart = Chart('<a href="x">', 200, 100, (0.0, 1.0), (0.0, 1.0))
    chart.label(1, 1, "<script>", "tick")
    assert "<script>" not in chart.render()
    assert "<a " not in chart.render()
