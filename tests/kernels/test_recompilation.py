"""A kernel is compiled at the first step and never again: not for a batch, a seed or an epoch.

Triton makes another kernel where an integer becomes 1 or a multiple of 16, or leaves 32 bits. The
launchers run here on tensors without storage, up to where Triton would compile a kernel.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from sesame_kernels.aot.driver import without_device
from sesame_kernels.aot.launches import LAYOUTS, OPS, Inputs, op_calls
from sesame_kernels.dispatch import implementation

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
    ),
]

BATCHES = [1, 2, 3, 15, 16, 17, 32, 100, 256, 1000, 1024, 20_000]
SIZES = {"64 x 64": {}, "7 x 7": {"maps": 19, "channels": 24, "map_side": 7, "image_side": 21}}


def compiled_after_the_first(calls: Iterable[Callable[[], Any]]) -> list[str]:
    """The kernels that each call but the first would compile; none is compiled here."""
    from triton import knobs

    seen: set[tuple[str, str]] = set()
    compiled: list[str] = []

    def refuse(*, key: Any, fn: Any, **_: Any) -> bool:
        if (fn.name, str(key)) not in seen:
            seen.add((fn.name, str(key)))
            compiled.append(fn.name)
        return True

    was, knobs.runtime.jit_cache_hook = knobs.runtime.jit_cache_hook, refuse
    try:
        with without_device("sm_90", lambda *_: None):
            for index, call in enumerate(calls):
                call()
                if index == 0:
                    assert compiled
                    compiled.clear()
    finally:
        knobs.runtime.jit_cache_hook = was
    return compiled


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPS)
def test_no_batch_size_compiles_again(op, layout, size):
    inputs = Inputs("fp32", layout, batch=8, **SIZES[size])
    calls = (dict(op_calls(replace(inputs, batch=batch)))[op] for batch in [8, *BATCHES])
    assert compiled_after_the_first(calls) == []


def noise_mask(seed: int, anchors: int) -> Callable[[], Any]:
    images = torch.empty(8, 3, 64, 64, device="meta")
    ids = torch.empty(8, dtype=torch.int64, device="meta")
    sigma = torch.empty(8, anchors, device="meta")
    points = torch.empty(8, anchors, 2, device="meta")
    return lambda: implementation("noise_mask", "cuda")(
        images, points, sigma, ids, seed, ids, 0.5, 0.25
    )


def test_no_seed_compiles_again():
    seeds = [5, *range(34), 2**31, 2**32, 2**40 + 3, 2**63 - 1]
    assert compiled_after_the_first(noise_mask(seed, 9) for seed in seeds) == []


def test_another_size_would_be_found():
    batches = [Inputs("fp32", "contiguous", batch=8, map_side=side) for side in (64, 32)]
    calls = [dict(op_calls(inputs))["soft_argmax_loss_stacks"] for inputs in batches]
    assert compiled_after_the_first(calls) == ["soft_argmax_loss_kernel"]


def test_no_number_of_anchors_compiles_again():
    assert compiled_after_the_first(noise_mask(5, anchors) for anchors in [9, *range(1, 18)]) == []
