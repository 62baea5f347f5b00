"""Shared by the kernels: the pixels of a program, their positions, and pairs of numbers."""

import triton
import triton.language as tl

__all__ = [
    "cell_centres",
    "load_pairs",
    "pixel_addresses",
    "pixels_of_program",
    "store_pairs",
]


@triton.jit
def pixels_of_program(num_pixels, PIXELS: tl.constexpr):
    """(sample, pixels [PIXELS], whether they exist) of a program on one tile of a sample."""
    tiles = tl.cdiv(num_pixels, PIXELS)
    pixels = tl.program_id(0) % tiles * PIXELS + tl.arange(0, PIXELS)
    return (tl.program_id(0) // tiles).to(tl.int64), pixels, pixels < num_pixels


@triton.jit
def pixel_addresses(images, sample, pixels, stride_b, stride_p):
    """Of the pixels of a sample's first channel."""
    return images + sample * stride_b + pixels.to(tl.int64) * stride_p


@triton.jit
def cell_centres(pixels, width, ACC: tl.constexpr):
    """(x, y) in cells."""
    return (pixels % width).to(ACC) + 0.5, (pixels // width).to(ACC) + 0.5


@triton.jit
def load_pairs(pairs, index, valid, ACC: tl.constexpr):
    """The two numbers at each index of [..., 2]; 1, a safe divisor, where not valid."""
    first = tl.load(pairs + 2 * index, mask=valid, other=1.0).to(ACC)
    return first, tl.load(pairs + 2 * index + 1, mask=valid, other=1.0).to(ACC)


@triton.jit
def store_pairs(pairs, index, first, second, valid):
    tl.store(pairs + 2 * index, first, mask=valid)
    tl.store(pairs + 2 * index + 1, second, mask=valid)
