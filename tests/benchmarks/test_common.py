"""The timer, and what tables and documents are made of."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch

from benchmarks.common import interleaved_timer
from benchmarks.common.interleaved_timer import interleave, quantiles, time_interleaved
from benchmarks.common.markdown import markdown_table
from benchmarks.common.paths import ROOT
from benchmarks.common.revision import unpack_revision
from benchmarks.common.table import Table

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    share: float
    peak: float | None


ROWS = [Row("first, with a comma", 3, 0.1, None), Row("second", -1, 1e-9, 2.5)]


class Clock:
    """A clock that only its `step`s move, in place of the timer's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(interleaved_timer.time, "perf_counter", lambda: self.now)

    def step(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds

        return run


def test_each_round_samples_all_in_an_order_of_its_own() -> None:
    order: list[str] = []
    names = ("a", "b", "c")
    samples = interleave({n: partial(_noted, order, n) for n in names}, least_rounds=12)
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert len(rounds) == 12
    assert all(sorted(each) == list(names) for each in rounds)
    assert len(set(rounds)) > 3
    for name in names:
        assert samples[name] == [3 * i + each.index(name) for i, each in enumerate(rounds)]


def _noted(order: list[str], name: str) -> int:
    order.append(name)
    return len(order) - 1


def test_rounds_go_on_for_the_seconds_of_every_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    samplers = {"quick": clock.step(0.1), "slow": clock.step(0.9)}
    assert len(interleave(samplers, seconds=20.0)["slow"]) == 40
    assert len(interleave(samplers, seconds=1.0)["quick"]) == interleaved_timer.LEAST_ROUNDS


def test_times_are_per_call_and_ratios_are_to_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    runs = {"one": clock.step(0.002), "three": clock.step(0.006)}
    timings = time_interleaved(runs, "one", CPU, seconds=0.0, calls=5, untimed_calls=2)
    assert timings["one"].median_ms == pytest.approx(2.0)
    assert timings["three"].p80_ms == pytest.approx(6.0)
    assert timings["three"].ratio == pytest.approx(3.0)
    assert timings["one"].ratio == timings["one"].ratio_p20 == 1.0
    assert timings["one"].rounds == interleaved_timer.LEAST_ROUNDS
    assert clock.now == pytest.approx(10 * 7 * 0.008)


def test_garbage_is_collected_again_after_an_error() -> None:
    def fails() -> None:
        assert not gc.isenabled()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        time_interleaved({"a": fails}, "a", CPU, seconds=0.0, calls=1)
    assert gc.isenabled()


def test_quantiles_are_the_median_and_the_fifths() -> None:
    assert quantiles([float(value) for value in range(1, 10)]) == (5.0, 2.0, 8.0)


def test_a_table_gives_back_its_rows(tmp_path) -> None:
    table = Table(tmp_path / "new" / "table.csv", Row)
    assert table.read() == []
    for row in ROWS:
        table.append(row)
    assert table.read() == Table(tmp_path / "new" / "table.csv", Row).read() == ROWS
    table.replace(ROWS[1:])
    assert table.read() == ROWS[1:]
    Table(None, Row).append(ROWS[0])


def test_a_table_refuses_a_file_with_other_columns(tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,count\nfirst,3\n")
    with pytest.raises(
        ValueError, match=r"table\.csv has the columns name, count, not name, .*peak"
    ):
        Table(path, Row)


def test_columns_of_numbers_are_aligned_right() -> None:
    made = markdown_table(
        ("what", "ms", "share", "note"), [("a", 1.5, "12%", ""), ("b", "", "9%", "")]
    )
    assert made.splitlines() == [
        "| what | ms | share | note |",
        "| --- | ---: | ---: | --- |",
        "| a | 1.5 | 12% |  |",
        "| b |  | 9% |  |",
    ]
    assert markdown_table(("a", "b"), []) == "| a | b |\n| --- | --- |\n"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_a_revision_is_unpacked(tmp_path) -> None:
    unpack_revision("HEAD", tmp_path / "tree", "configs", "LICENSE")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["LICENSE", "configs"]
