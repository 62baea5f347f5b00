"""Heat maps as the ops on them are timed."""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

__all__ = ["Size", "timed_maps"]

Size = tuple[int, int, int, int]


def timed_maps(
    device: torch.device, sizes: Sequence[Size], *, layouts_on_cpu: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """(shape as rows call it, logits) of each size, layout and dtype.

    On a GPU both layouts in float32 and bfloat16; on the CPU float32, and contiguous alone without
    `layouts_on_cpu`.
    """
    on_cpu = device.type == "cpu"
    layouts = [torch.contiguous_format]
    if layouts_on_cpu or not on_cpu:
        layouts.append(torch.channels_last)
    dtypes = [torch.float32] if on_cpu else [torch.float32, torch.bfloat16]
    for size, layout, dtype in product(sizes, layouts, dtypes):
        logits = torch.randn(size, device=device).to(dtype).contiguous(memory_format=layout)
        name = "x".join(map(str, size))
        yield name + " nhwc" * (layout == torch.channels_last), logits
