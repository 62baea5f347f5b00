"""Shared by the launchers: Triton's names of dtypes, and the tiles of a program."""

import math
import os
from dataclasses import dataclass
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

__all__ = [
    "TRITON_DTYPE",
    "MatmulTiles",
    "RunTiles",
    "has_contiguous_pixels",
    "is_amd",
    "matmul_tiles",
    "pixel_tiles",
    "power_of_2_from",
    "quotient_up",
    "run_tiles",
    "strides",
]

TRITON_DTYPE = {
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}
is_amd = torch.version.hip is not None
"""Whether tiles are chosen for AMD; `sesame_kernels.aot` sets it to compile for one."""

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


_MAP_TILE = 4096


@dataclass(frozen=True)
class RunTiles:
    """The tile of a program on one map: `runs` runs of `run` pixels."""

    run: int
    runs: int
    warps: int


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


def has_contiguous_pixels(rows: Tensor) -> bool:
    """Whether the pixels of maps [B, K, P] lie side by side."""
    return rows.stride(2) == 1 or rows.shape[2] == 1


def strides(rows: Tensor) -> tuple[int, int, int]:
    """Those of [B, C, P]. That of a batch of 1, which nothing reads, as if the tensor were dense.

    PyTorch leaves it as it happens to be, and another value could compile the kernels again.
    """
    batch, channels, pixels = rows.shape
    across = rows.stride(0) if batch > 1 else channels * pixels
    return across, rows.stride(1), rows.stride(2)


def run_tiles(height: int, width: int, dtype: torch.dtype) -> RunTiles:
    """Tiles of a map of which one program has all: runs of up to 16 bytes of a row."""
    run = math.gcd(width, 16 // dtype.itemsize)
    runs = min(power_of_2_from(height * width // run), _MAP_TILE // run)
    return RunTiles(run, runs, warps=min(4, max(1, runs * run // 1024)))


def power_of_2_from(size: int) -> int:
    """The least power of 2 that is at least `size`, for size >= 1."""
    return 1 << (size - 1).bit_length()


def quotient_up(size: int, divisor: int) -> int:
    """size / divisor, rounded up, for positive integers."""
    return -(-size // divisor)


def pixel_tiles(batch: int, num_pixels: int, most: int) -> tuple[int, int]:
    """(programs, pixels per program) for programs of up to `most` pixels of one sample."""
    pixels = min(most, power_of_2_from(num_pixels))
    return batch * quotient_up(num_pixels, pixels), pixels


def matmul_tiles(
    dtype: torch.dtype, num_maps: int, num_channels: int, num_pixels: int
) -> MatmulTiles:
    """Tiles of products [K, C] x [C, P]; a matrix unit needs at least 16 along every side."""

    def side(size: int, most: int) -> int:
        return min(most, max(16, power_of_2_from(size)))

    is_half = dtype.itemsize == 2
    # Of the sizes tried, those that spill no register on sm_80, sm_90 and sm_100, or on gfx942.
    pixels = side(num_pixels, 64 if is_amd else 32)
    # The interpreter has no bfloat16 products.
    dot = tl.float32 if _INTERPRETED and is_half else TRITON_DTYPE[dtype]
    return MatmulTiles(
        dot=dot,
        precision="tf32x3" if dtype == torch.float32 and not is_amd else "ieee",
        maps=side(num_maps, 128),
        channels=side(num_channels, 256 if is_half else 32),
        pixels=pixels,
        part_pixels=max(pixels, 512),
    )
