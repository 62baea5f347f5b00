import pytest
import torch

from sesame_hpc.training.distributed import World
from sesame_hpc.training.window import LossWindow

ALONE = World(0, 1, 0, torch.device("cpu"))


def test_mean_and_emptiness_after_a_flush() -> None:
    window = LossWindow(ALONE)
    for value in (1.0, 2.0, 6.0):
        window.add(torch.tensor(value), torch.tensor([1, 2]))
    mean, images_per_second = window.flush("here")
    assert mean == pytest.approx(3.0)
    assert images_per_second > 0
    assert window.flush("here") is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_bad_step_names_its_samples(bad: float) -> None:
    window = LossWindow(ALONE)
    window.add(torch.tensor(1.0), torch.tensor([1, 2]))
    window.add(torch.tensor(bad), torch.tensor([9, 7]))
    window.add(torch.tensor(bad), torch.tensor([3, 4]))
    with pytest.raises(FloatingPointError, match=r"at step 3; .*\[7, 9\]"):
        window.flush("step 3")
