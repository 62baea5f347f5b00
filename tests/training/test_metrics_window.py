import time
from collections.abc import Iterator

import pytest
import torch

from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World
from sesame_hpc.training.metrics_window import MetricsWindow

ALONE = World(0, 1, 0, torch.device("cpu"))


def test_mean_and_emptiness_after_a_flush() -> None:
    window = MetricsWindow(ALONE, 1e3)
    for value in (1.0, 2.0, 6.0):
        window.add(torch.tensor(value), torch.tensor([1, 2]))
    mean, throughput = window.flush("here")
    assert mean == pytest.approx(3.0)
    assert throughput.images_per_second > 0
    assert throughput.mfu == pytest.approx(throughput.images_per_second / 1e3)
    assert 0.01 < throughput.peak_memory_gib < 100
    assert window.flush("here") is None


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
    _, throughput = window.flush("here")
    assert 0.6 < throughput.data_wait < 0.85
    for batch in window.watch(slow_batches(0.0)):
        time.sleep(0.02)
        window.add(torch.tensor(1.0), batch.sample_ids)
    _, throughput = window.flush("here")
    assert throughput.data_wait < 0.2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_bad_step_names_its_samples(bad: float) -> None:
    window = MetricsWindow(ALONE, 1.0)
    window.add(torch.tensor(1.0), torch.tensor([1, 2]))
    window.add(torch.tensor(bad), torch.tensor([9, 7]))
    window.add(torch.tensor(bad), torch.tensor([3, 4]))
    with pytest.raises(FloatingPointError, match=r"at step 3; .*\[7, 9\]"):
        window.flush("step 3")
