import time
from collections.abc import Iterator

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


def slow_batches(seconds: float) -> Iterator[Batch]:
    for _ in range(3):
        time.sleep(seconds)
        nothing = torch.zeros(0)
        yield Batch(nothing, nothing, torch.tensor([1]), nothing)


def test_the_share_of_time_in_which_batches_were_waited_for() -> None:
    window = MetricsWindow(ALONE, 1.0)
    for batch in window.watch(slow_batches(0.06)):
        time.sleep(0.02)
        window.add(torch.tensor(1.0), batch.sample_ids)
    throughput = window.flush("here", 3).throughput
    assert 0.6 < throughput.data_wait < 0.85
    for batch in window.watch(slow_batches(0.0)):
        time.sleep(0.02)
        window.add(torch.tensor(1.0), batch.sample_ids)
    throughput = window.flush("here", 6).throughput
    assert throughput.data_wait < 0.2


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
