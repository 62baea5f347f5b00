"""Large pages under results on CPUs."""

import re
import sys
from pathlib import Path

import pytest
import torch
from sesame_kernels import masked_mse, soft_argmax
from sesame_kernels.reference.memory import on_large_pages
from torch import Tensor

MAPPINGS = Path("/proc/self/smaps")
LARGE = 1 << 21

pytestmark = pytest.mark.skipif(
    sys.platform != "linux"
    or not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists()
    or not MAPPINGS.exists(),
    reason="no large pages on this system",
)


def flags_at(address: int) -> list[str]:
    """The kernel's flags of the mapping that holds an address."""
    inside = False
    for line in MAPPINGS.read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError(f"no mapping at {address:#x}")


def asks_for_large_pages(tensor: Tensor) -> bool:
    """Whether each whole page within the tensor's memory is asked to be a large one."""
    first = -(-tensor.data_ptr() // LARGE) * LARGE
    pages = range(first, (tensor.data_ptr() + tensor.nbytes) // LARGE * LARGE, LARGE)
    assert len(pages) > 0
    return all("hg" in flags_at(page) for page in pages)


def test_each_whole_page_of_a_fresh_tensor() -> None:
    fresh = torch.empty(9_000_000)
    assert on_large_pages(fresh) is fresh
    assert asks_for_large_pages(fresh)


@pytest.mark.parametrize("count", [0, 1, LARGE // 4])
def test_a_tensor_without_a_whole_page_is_left_alone(count: int) -> None:
    fresh = torch.zeros(count + 1)[1:]  # never at the beginning of a page
    on_large_pages(fresh)
    assert torch.equal(fresh, torch.zeros(count))


def test_results_have_them() -> None:
    logits = torch.randn(64, 20, 64, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_argmax(logits).sum(), logits)
    assert asks_for_large_pages(gradient)
    images = torch.rand(64, 3, 128, 128, requires_grad=True)
    loss = masked_mse(images, torch.rand_like(images), torch.rand(64, 1, 128, 128))
    (gradient,) = torch.autograd.grad(loss, images)
    assert asks_for_large_pages(gradient)
