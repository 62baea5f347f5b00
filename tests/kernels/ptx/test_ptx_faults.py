"""Faults that are put into the compiled kernels on purpose are found."""

import os
import re
from collections.abc import Callable

import pytest
import torch
from sesame_kernels import linear_soft_argmax, noise_mask, soft_argmax
from sesame_kernels.aot.driver import without_device
from sesame_kernels.dispatch import triton_on_cpu

from .faults import Fault
from .launching import ARCH, launch

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="TRITON_INTERPRET is 1: make test-ptx"
    ),
]

LOAD = re.compile(r"(ld\.global\.v4\S* \{[^}]*\}, \[ %rd\d+) \+ 0( \])")
STORE = re.compile(r"(st\.global\.v4\S* \[ %rd\d+) \+ 0( \])")
BARRIER = "\tbar.sync \t0;\n"


def with_edited(edit: Callable[[str], str], call: Callable[[], object]) -> list[str]:
    """Run what a call launches, with the PTX of every kernel edited; the kernels' names."""
    names: list[str] = []

    def run(binary, grid, arguments):
        names.append(binary.name)
        launch(edit(binary.text("ptx")), binary, grid, arguments)

    with without_device(ARCH, run), triton_on_cpu():
        call()
    return names


def forward() -> None:
    soft_argmax(torch.randn(2, 3, 64, 64))


def backward() -> None:
    logits = torch.randn(2, 3, 64, 64, requires_grad=True)
    soft_argmax(logits).sum().backward()


def products() -> None:
    linear_soft_argmax(torch.randn(2, 64, 16, 16).bfloat16(), torch.randn(20, 64).bfloat16())


def noise() -> None:
    anchors, ids = torch.full((2, 1, 2), 0.5), torch.tensor([1, 2])
    images = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    noise_mask(images, anchors, torch.ones(2, 1), torch.ones_like(ids), 7, ids)


@pytest.mark.parametrize("call", [forward, backward, products, noise])
def test_without_an_edit_there_is_no_fault(call):
    assert with_edited(lambda ptx: ptx, call)


@pytest.mark.parametrize(
    ("call", "pattern", "action"),
    [(forward, LOAD, "load"), (backward, LOAD, "load"), (backward, STORE, "store")],
)
def test_a_vector_too_far(call, pattern, action):
    with pytest.raises(Fault, match=f"{action} of 16 bytes out of bounds, at byte 98304 of 98304"):
        with_edited(lambda ptx: pattern.sub(r"\1 + 16\2", ptx), call)


@pytest.mark.parametrize(
    ("call", "pattern", "action"),
    [(forward, LOAD, "load"), (backward, LOAD, "load"), (backward, STORE, "store")],
)
def test_a_vector_that_is_not_aligned(call, pattern, action):
    with pytest.raises(Fault, match=f"misaligned {action} of 16 bytes"):
        with_edited(lambda ptx: pattern.sub(r"\1 + 4\2", ptx), call)


def test_a_mask_that_is_forgotten():
    def call() -> None:
        soft_argmax(torch.randn(2, 3, 7, 5))

    with_edited(lambda ptx: ptx, call)
    with pytest.raises(Fault, match="load of 4 bytes out of bounds, at byte 840 of 840 of logits"):
        with_edited(lambda ptx: re.sub(r"@%p\d+ (ld\.global)", r"\1", ptx), call)


@pytest.mark.parametrize("call", [forward, products, noise])
def test_a_barrier_that_is_missing(call):
    with pytest.raises(Fault, match="race"):
        with_edited(lambda ptx: ptx.replace(BARRIER, ""), call)
