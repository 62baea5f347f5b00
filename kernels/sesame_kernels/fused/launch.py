"""Shared by the launchers: Triton's names of dtypes, and the tiles of a program."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["TRITON_DTYPE", "MatmulTiles", "is_amd", "map_tile", "matmul_tiles", "pixel_tiles"]

TRITON_DTYPE = {
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}
is_amd = torch.version.hip is not None
"""Whether tiles are chosen for AMD; `sesame_kernels.aot` sets it to compile for one."""

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@dataclass(frozen=True)
class MatmulTiles:
    """How `linear_soft_argmax` tiles its matrix products.

    `dot` is the dtype of the factors, `precision` that of float32 products. `part_pixels` are the
    pixels of one program forward: a function of the shape alone, so that sums have one order.
    """

    dot: tl.dtype
    precision: str
    maps: int
    channels: int
    pixels: int
    part_pixels: int
    out_channels: int

    def constants(self, accumulation: torch.dtype) -> dict[str, Any]:
        """Keyword arguments of every kernel with products."""
        return {
            "ACC": TRITON_DTYPE[accumulation],
            "DOT": self.dot,
            "PRECISION": self.precision,
            "MAPS": self.maps,
            "CHANNELS": self.channels,
            "PIXELS": self.pixels,
            "num_warps": 8,
            "num_stages": 2,
        }


def map_tile(rows: Tensor) -> tuple[int, int, int]:
    """(maps, pixels, warps) of a program on [B, K, P]: one map, or 16 if channels are last."""
    pixels = triton.next_power_of_2(rows.shape[2])
    if rows.stride(1) == 1 and rows.stride(2) != 1 and rows.shape[1] > 1:
        return 16, min(pixels, 256), 8
    pixels = min(pixels, 4096)
    return 1, pixels, min(8, max(1, pixels // 256))


def pixel_tiles(batch: int, num_pixels: int, most: int) -> tuple[int, int]:
    """(programs, pixels per program) for programs of up to `most` pixels of one sample."""
    pixels = min(most, triton.next_power_of_2(num_pixels))
    return batch * triton.cdiv(num_pixels, pixels), pixels


def matmul_tiles(
    dtype: torch.dtype, num_maps: int, num_channels: int, num_pixels: int, backward: bool = False
) -> MatmulTiles:
    """Tiles of products [K, C] x [C, P]; a matrix unit needs at least 16 along every side."""

    def side(size: int, most: int) -> int:
        return min(most, max(16, triton.next_power_of_2(size)))

    is_half = dtype.itemsize == 2
    # Of the sizes tried, those that spill no register on sm_80, sm_90 and sm_100, or on gfx942.
    pixels = side(num_pixels, 64 if is_amd or (is_half and backward) else 32)
    # The interpreter has no bfloat16 products.
    dot = tl.float32 if _INTERPRETED and is_half else TRITON_DTYPE[dtype]
    return MatmulTiles(
        dot=dot,
        precision="tf32x3" if dtype == torch.float32 and not is_amd else "ieee",
        maps=side(num_maps, 128 if is_half or not backward else 64),
        channels=side(num_channels, 256 if is_half and not backward else 32),
        pixels=pixels,
        part_pixels=max(pixels, 512),
        out_channels=side(num_channels, 128 if is_half else 64),
    )
