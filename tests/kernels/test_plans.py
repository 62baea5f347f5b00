"""A launch that is remembered is the launch that Triton chose."""

import os
from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from sesame_kernels import masked_mse, soft_argmax
from sesame_kernels.aot.driver import without_device
from sesame_kernels.dispatch import triton_on_cpu
from sesame_kernels.fused.soft_argmax import soft_argmax_kernel

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
    ),
]
MAPS = torch.zeros(2, 3, 8, 8)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The inverse temperatures of the launches that Triton chooses itself."""
    betas: list[float] = []
    monkeypatch.setattr(
        soft_argmax_kernel, "pre_run_hooks", [lambda *arguments, **_: betas.append(arguments[7])]
    )
    return betas


def launches(*calls: Any) -> list[tuple[Any, tuple[int, int, int], dict[str, Any]]]:
    """(hash of the binary, grid, arguments by name) of each launch."""
    found: list[tuple[Any, tuple[int, int, int], dict[str, Any]]] = []
    keep = lambda binary, grid, given: found.append((binary.metadata.hash, grid, given))  # noqa: E731
    with without_device("sm_90", keep), triton_on_cpu():
        for call in calls:
            call()
    return found


def test_the_second_launch_is_the_first_with_its_own_tensors_and_scalars(chosen):
    first, second = launches(lambda: soft_argmax(MAPS, 0.5), lambda: soft_argmax(MAPS.clone(), 2.0))
    assert chosen == [0.5]
    assert first[:2] == second[:2]
    assert first[2].keys() == second[2].keys()
    different = {name for name, value in first[2].items() if value is not second[2][name]}
    assert different == {"logits", "coordinates", "statistics", "beta"}
    assert second[2]["beta"] == 2.0
    assert second[2]["HEIGHT"] == 8


def test_tensors_that_are_not_aligned_have_a_kernel_of_their_own(chosen):
    apart = torch.zeros(MAPS.numel() + 1)[1:].view(MAPS.shape)
    first, second, third = launches(*(lambda z=z: soft_argmax(z) for z in (MAPS, apart, MAPS)))
    assert len(chosen) == 2
    assert first[0] == third[0] != second[0]


@pytest.mark.parametrize("change", [torch.Tensor.double, torch.Tensor.bfloat16, lambda z: z[:1]])
def test_another_dtype_or_shape_is_another_launch(chosen, change):
    launches(*(lambda z=z: soft_argmax(z) for z in (MAPS, change(MAPS), MAPS)))
    assert len(chosen) == 2


def test_a_tensor_that_is_missing_is_another_launch(chosen):
    launches(lambda: soft_argmax(MAPS), lambda: soft_argmax(MAPS, second_moments=True))
    assert len(chosen) == 2


def test_another_device_chooses_again(chosen):
    for _ in range(2):
        launches(lambda: soft_argmax(MAPS))
    assert len(chosen) == 2


def test_a_dtype_beside_the_images_is_another_launch():
    images, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    calls = [lambda m=m: masked_mse(images, images, m) for m in (mask, mask.bfloat16(), mask)]
    hashes = [found[0] for found in launches(*calls)][::2]
    assert hashes[0] == hashes[2] != hashes[1]
