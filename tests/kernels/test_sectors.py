"""How much of the memory that warps touch is used, by layout: 32-byte sectors, at the caches."""

import os
from collections import Counter

import pytest
import torch
from ptx.launching import emulated  # type: ignore[import-not-found]  # beside this file
from sesame_kernels.aot.launches import LAYOUTS
from sesame_kernels.dispatch import implementation
from torch import Tensor

pytest.importorskip("triton")

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
    ),
]
MAPS, IMAGES = (1, 98, 16, 16), (1, 3, 64, 64)


def images(shape: tuple[int, ...], layout: str) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    return values.contiguous(memory_format=LAYOUTS[layout])


def call(op: str, layout: str) -> None:
    """An op on bfloat16, with what it needs."""
    maps, image = images(MAPS, layout), images(IMAGES, layout)
    pairs, one, mask = torch.rand(1, 98, 2), torch.ones(()), torch.rand(1, 1, 64, 64)
    moments, along = torch.rand(1, 98, 3), torch.rand(1, 98, 16)
    statistics = torch.ones(1, 98, 2)
    sample = torch.zeros(1, dtype=torch.int64)
    noise = torch.full((1, 2), 0.1), torch.tensor([2])
    arguments = {
        "soft_argmax": (maps, 1.0, True),
        "soft_argmax_backward": (pairs, maps, pairs, statistics, 1.0),
        "soft_argmax_moments": (maps, 1.0),
        "soft_argmax_moments_backward": (pairs, moments, maps, pairs, moments, statistics, 1.0),
        "soft_argmax_marginals": (maps, 1.0, True),
        "soft_argmax_marginals_backward": (
            *(pairs, along, along, maps, pairs, along, along, statistics, 1.0),
        ),
        "soft_argmax_loss": ([maps], pairs, None, 1.0, "l1", 0.05, 0.01, True, True),
        "masked_mse": (image, image.clone(), mask, 0.01),
        "masked_mse_backward": (one, image, image.clone(), mask, 0.01),
        "noise_mask": (image, torch.rand(1, 2, 2), *noise, 0, sample, 0.5, 0.25),
        "noise_mask_backward": (image, mask),
    }[op]
    implementation(op, "cpu")(*arguments)


DATA = {
    "masked_mse": ["prediction", "target"],
    "masked_mse_backward": ["prediction", "target", "grad_prediction"],
    "noise_mask": ["images", "masked"],
    "noise_mask_backward": ["grad_masked", "grad_images"],
}
"""The largest tensors of each op; of the others the maps and their gradient."""

SECTORS = {
    "soft_argmax": (1.0, 1.0),
    "soft_argmax_backward": (1.0, 1.0),
    "soft_argmax_moments": (1.0, 2.0),
    "soft_argmax_moments_backward": (1.0, 1.0),
    "soft_argmax_marginals": (2.0, 4.0),
    "soft_argmax_marginals_backward": (1.0, 2.0),
    "soft_argmax_loss": (1.0, 1.5),
    "masked_mse": (1.0, 1.0),
    "masked_mse_backward": (1.0, 1.0),
    "noise_mask": (1.0, 7.5),
    "noise_mask_backward": (1.0, 1.0),
}
"""Bytes of the sectors over those of the data, contiguous and channels-last, at the most.

Second moments and marginals read the maps twice, the second time from a cache; the loss of
channels-last maps takes two kernels. The noise of a pixel's channels comes from one draw, so a
program takes them one after the other, each a number of pixels per thread.
"""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", SECTORS)
def test_warps_touch_few_sectors(op, layout):
    sectors: Counter[str] = Counter()
    with emulated(sectors):
        call(op, layout)
    names = DATA.get(op, ["logits", "grad_logits", "gradient"])
    elements = torch.Size(IMAGES if op in DATA else MAPS).numel()
    touched = [sectors[name] * 32 / (2 * elements) for name in names if sectors[name]]
    assert touched
    assert sum(touched) / len(touched) <= SECTORS[op][list(LAYOUTS).index(layout)]
