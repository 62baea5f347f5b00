"""Shared by the launchers: Triton's names of dtypes, and the tiles of a program."""

import math
import os
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

__all__ = [
    "TRITON_DTYPE",
    "Elements",
    "MatmulTiles",
    "RunTiles",
    "elements_of",
    "has_contiguous_pixels",
    "is_amd",
    "matmul_tiles",
    "offset_type",
    "pixel_tiles",
    "power_of_2_from",
    "quotient_up",
    "run_tiles",
    "strides",
    "tile_part",
]

TRITON_DTYPE = {
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}
is_amd = torch.version.hip is not None
"""Whether tiles are chosen for AMD; `sesame_kernels.aot` sets it to compile for one."""

block_shared: int | None = None
"""Bytes of shared memory per block; None for those of the tensors' device. Set like `is_amd`."""

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


_MAP_TILE_BYTES = 16_384  # of the accumulation's dtype
_MOST_SHARED = 232_448


@dataclass(frozen=True)
class RunTiles:
    """The tile of a program on one map: `runs` runs of `run` pixels."""

    run: int
    runs: int
    warps: int


@dataclass(frozen=True)
class MatmulTiles:
    """How `linear_soft_argmax` tiles its matrix products.

    `dot` is the dtype of the factors, `precision` that of float32 products.
    """

    dot: tl.dtype
    precision: str
    maps: int
    channels: int
    pixels: int
    stages: int

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
            "num_stages": self.stages,
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


def offset_type(*tensors: Tensor) -> tl.dtype:
    """The integer type that holds the offsets within a sample of [B, C, P] tensors."""
    most = max(
        sum((size - 1) * stride for size, stride in zip(shape[1:], by[1:], strict=True))
        for shape, by in ((tensor.shape, tensor.stride()) for tensor in tensors)
    )
    return tl.int32 if most < 2**31 else tl.int64


class Elements(NamedTuple):
    """How elementwise kernels see images [B, C, P]: `channels` of `pixels`.

    All elements of a sample in the order of memory are pixels of one channel, where that is the
    same order in all images; `group` of them, C, then belong to one pixel.
    """

    channels: int
    pixels: int
    group: int

    @property
    def counts(self) -> tuple[int, int]:
        return self.channels, self.pixels

    def strides_of(self, rows: Tensor) -> tuple[int, int, int]:
        return (strides(rows)[0], 1, 1) if self.group > 1 else strides(rows)


def elements_of(*images: Tensor) -> Elements:
    """Of tensors [B, C, P] of one shape."""
    _, channels, pixels = images[0].shape
    if channels > 1 and all(each.stride()[1:] == (1, channels) for each in images):
        return Elements(1, channels * pixels, channels)
    return Elements(channels, pixels, 1)


def run_tiles(height: int, width: int, dtype: torch.dtype) -> RunTiles:
    """Tiles of a map of which one program has all: runs of up to 16 bytes of a row."""
    run = math.gcd(width, 16 // dtype.itemsize)
    elements = _MAP_TILE_BYTES // max(4, dtype.itemsize)
    runs = min(power_of_2_from(height * width // run), elements // run)
    return RunTiles(run, runs, warps=min(2, max(1, runs * run // 1024)))


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


def tile_part(dtype: torch.dtype) -> int:
    """Pixels of one program of a matrix product: of the dtype alone, so that sums have one order.

    It is a multiple of a tile's pixels.
    """
    return 2048 if dtype.itemsize == 2 else 512


def matmul_tiles(
    device: torch.device,
    dtype: torch.dtype,
    num_maps: int,
    num_channels: int,
    num_pixels: int,
    scratch: int = 0,
) -> MatmulTiles:
    """Tiles of products [K, C] x [C, P]; a matrix unit needs at least 16 along every side.

    `scratch` are bytes of shared memory beside the factors.
    """

    def side(size: int, most: int) -> int:
        return min(most, max(16, power_of_2_from(size)))

    is_half = dtype.itemsize == 2
    maps, channels = side(num_maps, 128), side(num_channels, 256 if is_half else 32)
    most, stages = (64 if is_amd else 32), 2
    if is_half and not is_amd:
        shared = _block_shared(device) - scratch
        most, stages = _pixels_and_stages(shared, 2 * maps * channels, 2 * channels)
    # The interpreter has no bfloat16 products.
    dot = tl.float32 if _INTERPRETED and is_half else TRITON_DTYPE[dtype]
    return MatmulTiles(
        dot=dot,
        precision="tf32x3" if dtype == torch.float32 and not is_amd else "ieee",
        maps=maps,
        channels=channels,
        pixels=side(num_pixels, most),
        stages=stages,
    )


def _pixels_and_stages(shared: int, weight_bytes: int, pixel_bytes: int) -> tuple[int, int]:
    """The first choice, fastest first as measured on an H200, that fits into shared memory.

    With 32 pixels and two stages, ptxas spills registers for sm_120.
    """
    for pixels, stages in ((64, 3), (64, 2), (16, 3)):
        if weight_bytes + pixels * stages * pixel_bytes <= shared:
            return pixels, stages
    return 32, 1


def _block_shared(device: torch.device) -> int:
    """Bytes of shared memory that a block can have."""
    if block_shared is not None:
        return block_shared
    return _shared_of_device(device.index) if device.type == "cuda" else _MOST_SHARED


@cache
def _shared_of_device(index: int | None) -> int:
    properties = torch.cuda.get_device_properties(index)
    return properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
