"""Shared by the kernels: the elements of a program, the softmax of a tile, and its derivative."""

import triton
import triton.language as tl

__all__ = [
    "cell_centres",
    "load_pairs",
    "maps_of_program",
    "pixel_addresses",
    "pixels_of_program",
    "rescaled",
    "running_softmax",
    "softmax_and_offsets",
    "store_pairs",
]


@triton.jit
def maps_of_program(num_maps, MAPS: tl.constexpr):
    """(sample, maps [MAPS], whether they exist) of a program on one group of a sample's maps."""
    groups = tl.cdiv(num_maps, MAPS)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    return (tl.program_id(0) // groups).to(tl.int64), maps, maps < num_maps


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


@triton.jit
def rescaled(peak, other_peak):
    """(the larger maximum, what to subtract in exponents): 0 for -inf, since -inf - -inf is NaN."""
    new_peak = tl.maximum(peak, other_peak)
    return new_peak, tl.where(new_peak == float("-inf"), 0.0, new_peak)


@triton.jit
def running_softmax(peak, z):
    """(new maximum [MAPS], exp(z - it) [MAPS, PIXELS], the factor of earlier sums [MAPS])."""
    new_peak, shift = rescaled(peak, tl.max(z, axis=1))
    return new_peak, tl.exp(z - shift[:, None]), tl.exp(peak - shift)


@triton.jit
def softmax_and_offsets(z, peak, total, x, y, pixels, height, width, ACC: tl.constexpr):
    """(softmax of z, cell centres minus x, minus y), each [MAPS, PIXELS]."""
    probability = tl.exp(z - peak[:, None]) / total[:, None]
    column, row = cell_centres(pixels, width, ACC)
    return probability, column[None, :] / width - x[:, None], row[None, :] / height - y[:, None]
