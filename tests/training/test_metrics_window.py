import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World
from sesame_hpc.training.divergence import Diverged
from sesame_hpc.training.metrics_window import MetricsWindow

ALONE = World(0, 1, 0, torch.device("cpu"))


def test_mean_and_emptiness_after_a_flush() -> None:
    window = MetricsWindow(ALONE, 1e3)
    for value in (1.0, 2.0, 6.0):
        window.add(torch.tensor(value), torch.tensor([1, 2]))
    found = window.flush("here", 3)
    throughput = found.throughput
    assert found.loss == pytest.approx(3.0)
    assert found.losses == [1.0, 2.0, 6.0]
    assert throughput.images_per_second > 0
    assert throughput.mfu == pytest.approx(throughput.images_per_second / 1e3)
    assert 0.01 < throughput.peak_memory_gib < 100
    assert window.flush("here", 3) is None


class Clock:
    """In place of the clock that measures: it goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def batches(self, seconds: float) -> Iterator[Batch]:
        """Three, each after so many seconds."""
        for _ in range(3):
            self.now += seconds
            nothing = torch.zeros(0)
            yield Batch(nothing, nothing, torch.tensor([1]), nothing)


def test_the_share_of_time_in_which_batches_were_waited_for(monkeypatch) -> None:
    clock = Clock(monkeypatch)
    window = MetricsWindow(ALONE, 1.0)
    for wait, share in ((6.0, 0.75), (0.0, 0.0)):
        for batch in window.watch(clock.batches(wait)):
            clock.now += 2.0
            window.add(torch.tensor(1.0), batch.sample_ids)
        throughput = window.flush("here", 3).throughput
        assert throughput.data_wait == pytest.approx(share)


class TwoRanks(World):
    """This rank, and another on node n7 that takes 50 s per batch."""

    def gather(self, value: Any) -> list[Any]:
        return [value, (*value[:-2], 50.0, "n7")]


def test_the_rank_that_the_others_wait_for_is_recorded(monkeypatch) -> None:
    """Of each batch: 1 s until it is there, 2 s forward, and 10 s in which ranks meet."""
    monkeypatch.setenv("SESAME_NODE", "n3")
    clock = Clock(monkeypatch)
    window = MetricsWindow(TwoRanks(0, 2, 0, torch.device("cpu")), 1.0)
    for batch in window.watch(clock.batches(1.0)):
        clock.now += 2.0
        window.add(torch.tensor(1.0), batch.sample_ids)
        clock.now += 10.0
    throughput = window.flush("here", 3).throughput
    record = throughput.to_record()
    assert record["rank_seconds"] == [3.0, 50.0]
    assert (record["slowest_rank"], record["slowest_node"]) == (1, "n7")


def test_of_one_rank_no_times_are_recorded() -> None:
    window = MetricsWindow(ALONE, 1.0)
    window.add(torch.tensor(1.0), torch.tensor([1]))
    throughput = window.flush("here", 3).throughput
    assert not [name for name in throughput.to_record() if "rank" in name or "slowest" in name]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_bad_step_names_its_samples(bad: float) -> None:
    window = MetricsWindow(ALONE, 1.0, accumulation=2)
    for loss, ids in (
        (1.0, [1, 2]),
        (2.0, [5, 6]),
        (1.0, [9, 7]),
        (bad, [4, 3]),
        (bad, [8]),
        (1.0, [0]),
    ):
        window.add(torch.tensor(loss), torch.tensor(ids))
    with pytest.raises(Diverged, match=r"at stage a, step 12; .*\[3, 4, 7, 9\]") as found:
        window.flush("stage a", 13)
    assert found.value.step == 12
    assert window.flush("stage a", 13) is None


def test_losses_of_a_step_are_those_of_its_micro_steps() -> None:
    window = MetricsWindow(ALONE, 1.0, accumulation=2)
    for loss in (1.0, 2.0, 5.0, 7.0):
        window.add(torch.tensor(loss), torch.tensor([1]))
    assert window.flush("here", 2).losses == [1.5, 6.0]
