"""Soft-argmax of maps whose pixels are apart in memory: channels-last, and any other strides.

A program processes a group of maps of one sample. Every element of a tile keeps a softmax of its
own over the tiles, so that threads meet once, at the end. Second moments need the
mean first, and read the maps again, from the cache.
"""

import math
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    offset_type,
    power_of_2_from,
    quotient_up,
    strides,
)
from sesame_kernels.fused.plans import Plan
from sesame_kernels.fused.runs import (
    LOG2_E,
    entropy_of_sums,
    entropy_slope,
    exponentials,
    exponents,
    largest_probability,
    safe_shift,
)
from sesame_kernels.fused.tiles import load_pairs, store_pairs

__all__ = ["common_unit", "strided_backward_plan", "strided_by", "strided_forward_plan"]


@dataclass(frozen=True)
class StridedTiles:
    """A program's maps and the pixels of a tile; strides and K are multiples of `unit`.

    `offset` is the integer type that holds the offsets within a sample.
    """

    maps: int
    pixels: int
    unit: int
    warps: int
    offset: tl.dtype


def strided_tiles(*tensors: Tensor, writes: bool) -> StridedTiles:
    """Tiles for [B, K, P] tensors that are read or written together.

    As measured on an H200: whole rows of maps pay where a gradient is written.
    """
    num_maps, unit = tensors[0].shape[1], common_unit(*tensors)
    offset = offset_type(*tensors)
    if not writes:
        return StridedTiles(maps=16, pixels=32, unit=unit, warps=4, offset=offset)
    maps = min(128, max(16, power_of_2_from(num_maps)))
    return StridedTiles(maps=maps, pixels=1024 // maps, unit=unit, warps=4, offset=offset)


_WRITTEN_TILES = 8  # of a program, which needs a dozen numbers of each of its maps


def common_unit(*tensors: Tensor) -> int:
    """What K and the strides of pixels of [B, K, P] tensors are multiples of, as far as it pays."""
    if any(tensor.stride(1) != 1 for tensor in tensors):
        return 1
    return math.gcd(8, tensors[0].shape[1], *(tensor.stride(2) for tensor in tensors))


def strided_by(rows: Tensor, unit: int) -> tuple[int, int, int]:
    """Strides of [B, K, P], that of pixels in units."""
    batch, maps, pixels = strides(rows)
    return batch, maps, pixels // unit


@triton.jit
def group_of_program(map_units, UNIT: tl.constexpr, MAPS: tl.constexpr):
    """(sample, maps [MAPS], whether they exist) of a program on a group of maps of a sample."""
    groups = tl.cdiv(map_units * UNIT, MAPS)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    return (tl.program_id(0) // groups).to(tl.int64), maps, maps < map_units * UNIT


@triton.jit
def load_pixels(
    start,
    maps,
    is_map,
    pixels,
    stride_k,
    pixel_units,
    NUM_PIXELS: tl.constexpr,
    UNIT: tl.constexpr,
    ACC: tl.constexpr,
    OFFSET: tl.constexpr,
):
    """Elements [PIXELS, MAPS] as ACC; -inf outside of the maps."""
    offsets = pixels.to(OFFSET)[:, None] * (pixel_units * UNIT)
    offsets += maps.to(OFFSET)[None, :] * stride_k
    mask = (pixels < NUM_PIXELS)[:, None] & is_map[None, :]
    return tl.load(start + offsets, mask=mask, other=float("-inf")).to(ACC)


@triton.jit
def cells_of_pixels(pixels, WIDTH: tl.constexpr, ACC: tl.constexpr):
    """(x, y) of the cells' centres [PIXELS, 1], in cells."""
    return ((pixels % WIDTH).to(ACC) + 0.5)[:, None], ((pixels // WIDTH).to(ACC) + 0.5)[:, None]


@triton.jit
def strided_expectation(
    start,
    maps,
    is_map,
    stride_k,
    pixel_units,
    scale,
    NUM_PIXELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    UNIT: tl.constexpr,
    OFFSET: tl.constexpr,
):
    """(peak, sum, x, y) of e = 2^(scale (z - peak)), each [MAPS]; x and y weighted, in cells."""
    slots = tl.arange(0, PIXELS)
    peak = tl.full([PIXELS, MAPS], float("-inf"), ACC)
    total = tl.zeros([PIXELS, MAPS], ACC)
    total_x = tl.zeros([PIXELS, MAPS], ACC)
    total_y = tl.zeros([PIXELS, MAPS], ACC)
    for first in range(0, NUM_PIXELS, 4 * PIXELS):
        p0 = first + slots
        p1 = p0 + PIXELS
        p2 = p1 + PIXELS
        p3 = p2 + PIXELS
        z0 = load_pixels(
            start, maps, is_map, p0, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
        )
        z1 = load_pixels(
            start, maps, is_map, p1, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
        )
        z2 = load_pixels(
            start, maps, is_map, p2, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
        )
        z3 = load_pixels(
            start, maps, is_map, p3, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
        )
        new_peak = tl.maximum(tl.maximum(peak, tl.maximum(z0, z1)), tl.maximum(z2, z3))
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        e0, e1 = exponentials(z0, shift, scale), exponentials(z1, shift, scale)
        e2, e3 = exponentials(z2, shift, scale), exponentials(z3, shift, scale)
        x0, y0 = cells_of_pixels(p0, WIDTH, ACC)
        x1, y1 = cells_of_pixels(p1, WIDTH, ACC)
        x2, y2 = cells_of_pixels(p2, WIDTH, ACC)
        x3, y3 = cells_of_pixels(p3, WIDTH, ACC)
        total = total * decay + e0 + e1 + e2 + e3
        total_x = total_x * decay + e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
        total_y = total_y * decay + e0 * y0 + e1 * y1 + e2 * y2 + e3 * y3
        peak = new_peak
    highest = tl.max(peak, axis=0)
    share = exponentials(peak, safe_shift(highest)[None, :], scale)
    sums = tl.sum(total * share, axis=0)
    return highest, sums, tl.sum(total_x * share, axis=0), tl.sum(total_y * share, axis=0)


@triton.jit(do_not_specialize=["first_sample"])
def strided_kernel(
    logits,
    coordinates,
    moments,
    statistics,
    map_units,
    stride_b,
    stride_k,
    pixel_units,
    first_sample,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    UNIT: tl.constexpr,
    OFFSET: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    """Coordinates, and as many `moments` as MOMENTS says: none, 3, or 5 with entropy and peak.

    The results of the first sample are those of `first_sample` in their tensors.
    """
    sample, maps, is_map = group_of_program(map_units, UNIT, MAPS)
    start = logits + sample * stride_b
    scale = tl.cast(beta * LOG2_E, ACC)
    NUM_PIXELS: tl.constexpr = HEIGHT * WIDTH
    peak, total, total_x, total_y = strided_expectation(
        start,
        maps,
        is_map,
        stride_k,
        pixel_units,
        scale,
        NUM_PIXELS,
        WIDTH,
        ACC,
        MAPS,
        PIXELS,
        UNIT,
        OFFSET,
    )
    index = (first_sample + sample) * (map_units * UNIT) + maps
    store_pairs(coordinates, index, total_x / (total * WIDTH), total_y / (total * HEIGHT), is_map)
    store_pairs(statistics, index, peak, total, is_map)
    if MOMENTS:
        mean_x, mean_y, shift = total_x / total, total_y / total, safe_shift(peak)
        xx = tl.zeros([PIXELS, MAPS], ACC)
        yy = tl.zeros([PIXELS, MAPS], ACC)
        xy = tl.zeros([PIXELS, MAPS], ACC)
        et = tl.zeros([PIXELS, MAPS], ACC)
        for first in range(0, NUM_PIXELS, PIXELS):
            pixels = first + tl.arange(0, PIXELS)
            z = load_pixels(
                start, maps, is_map, pixels, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
            )
            e = exponentials(z, shift[None, :], scale)
            x, y = cells_of_pixels(pixels, WIDTH, ACC)
            away_x, away_y = x - mean_x[None, :], y - mean_y[None, :]
            xx += e * away_x * away_x
            yy += e * away_y * away_y
            xy += e * away_x * away_y
            if MOMENTS == 5:
                et += e * exponents(z, shift[None, :], scale)
        result = moments + MOMENTS * index
        tl.store(result, tl.sum(xx, axis=0) / (total * WIDTH) / WIDTH, mask=is_map)
        tl.store(result + 1, tl.sum(yy, axis=0) / (total * HEIGHT) / HEIGHT, mask=is_map)
        tl.store(result + 2, tl.sum(xy, axis=0) / (total * WIDTH) / HEIGHT, mask=is_map)
        if MOMENTS == 5:
            tl.store(result + 3, entropy_of_sums(total, tl.sum(et, axis=0)), mask=is_map)
            tl.store(result + 4, largest_probability(total), mask=is_map)


@triton.jit
def _triples(addresses, is_map, factor):
    first = tl.load(addresses, mask=is_map, other=0.0) * factor
    second = tl.load(addresses + 1, mask=is_map, other=0.0) * factor
    third = tl.load(addresses + 2, mask=is_map, other=0.0) * factor
    return first[None, :], second[None, :], third[None, :]


@triton.jit(do_not_specialize=["first_sample"])
def strided_backward_kernel(
    grad_coordinates,
    grad_moments,
    logits,
    coordinates,
    moments,
    statistics,
    grad_logits,
    map_units,
    stride_b,
    stride_k,
    pixel_units,
    grad_stride_b,
    grad_stride_k,
    grad_pixel_units,
    first_sample,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    UNIT: tl.constexpr,
    OFFSET: tl.constexpr,
    MOMENTS: tl.constexpr,
    FOLD: tl.constexpr,
    TILES: tl.constexpr,
):
    """All but the logits begin with other samples, before `first_sample`.

    The maps are FOLD parts of each map (`folded_moments`); coordinates, moments, statistics and
    their gradients are those of whole maps.
    """
    NUM_PIXELS: tl.constexpr = HEIGHT * WIDTH // FOLD
    sample, maps, is_map = group_of_program(map_units, UNIT, MAPS)
    result = first_sample + sample
    if FOLD == 1:
        index = result * (map_units * UNIT) + maps
    else:
        num_maps = map_units * UNIT // FOLD
        index = result * num_maps + maps % num_maps
    mean_x, mean_y = load_pairs(coordinates, index, is_map, ACC)
    peak, total = load_pairs(statistics, index, is_map, ACC)
    grad_x, grad_y = load_pairs(grad_coordinates, index, is_map, ACC)
    factor = tl.cast(beta, ACC) / total
    grad_x, grad_y = grad_x * factor, grad_y * factor
    if FOLD > 1:
        mean_x -= ((maps // num_maps).to(ACC) + (0.5 - FOLD / 2)) / WIDTH
    if MOMENTS:
        upstream, saved = grad_moments + MOMENTS * index, moments + MOMENTS * index
        grad_xx, grad_yy, grad_xy = _triples(upstream, is_map, factor)
        variance_x, variance_y, covariance = _triples(saved, is_map, 1.0)
        constant = grad_xx * variance_x + grad_yy * variance_y + grad_xy * covariance
    if MOMENTS == 5:
        grad_entropy = (tl.load(upstream + 3, mask=is_map, other=0.0) * factor)[None, :]
        entropy = tl.load(saved + 3, mask=is_map, other=0.0)[None, :]

    start = logits + sample * stride_b
    target = grad_logits + result * grad_stride_b
    scale = tl.cast(beta * LOG2_E, ACC)
    first = tl.program_id(1) * (TILES * PIXELS)
    for tile in range(TILES):
        pixels = first + tile * PIXELS + tl.arange(0, PIXELS)
        z = load_pixels(
            start, maps, is_map, pixels, stride_k, pixel_units, NUM_PIXELS, UNIT, ACC, OFFSET
        )
        e = exponentials(z, peak[None, :], scale)
        x, y = cells_of_pixels(pixels, WIDTH // FOLD, ACC)
        away_x, away_y = x / (WIDTH // FOLD) - mean_x[None, :], y / HEIGHT - mean_y[None, :]
        if MOMENTS:
            slope = away_x * (grad_x[None, :] + grad_xx * away_x + grad_xy * away_y)
            slope += away_y * (grad_y[None, :] + grad_yy * away_y) - constant
            if MOMENTS == 5:
                t = exponents(z, peak[None, :], scale)
                slope += grad_entropy * entropy_slope(t, total[None, :], entropy)
        else:
            slope = grad_x[None, :] * away_x + grad_y[None, :] * away_y
        mask = (pixels < NUM_PIXELS)[:, None] & is_map[None, :]
        offsets = pixels.to(OFFSET)[:, None] * (grad_pixel_units * UNIT)
        offsets += maps.to(OFFSET)[None, :] * grad_stride_k
        tl.store(target + offsets, e * slope, mask=mask)


def strided_forward_plan(
    rows: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    size: tuple[int, int],
    first_sample: int,
    tiles: StridedTiles | None = None,
) -> Plan:
    """For maps [B, K, P] of `size` (H, W); the tensors are those of `soft_argmax`'s kernel."""
    batch, num_maps, _ = rows.shape
    tiles = tiles or strided_tiles(rows, writes=False)
    return Plan(
        strided_kernel,
        (batch * quotient_up(num_maps, tiles.maps),),
        (num_maps // tiles.unit, *strided_by(rows, tiles.unit), first_sample),
        _constants(tiles, coordinates, moments, size),
    )


def strided_backward_plan(
    rows: Tensor,
    grad_rows: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    size: tuple[int, int],
    first_sample: int,
) -> Plan:
    """Likewise for the gradient of the maps, or of parts of them: [B, K * parts, P / parts]."""
    batch, num_maps, num_pixels = rows.shape
    tiles = strided_tiles(rows, grad_rows, writes=True)
    by_strides = (*strided_by(rows, tiles.unit), *strided_by(grad_rows, tiles.unit))
    programs = quotient_up(num_pixels, _WRITTEN_TILES * tiles.pixels)
    return Plan(
        strided_backward_kernel,
        (batch * quotient_up(num_maps, tiles.maps), programs),
        (num_maps // tiles.unit, *by_strides, first_sample),
        _constants(tiles, coordinates, moments, size)
        | {"FOLD": num_maps // coordinates.shape[1], "TILES": _WRITTEN_TILES},
    )


def _constants(
    tiles: StridedTiles,
    coordinates: Tensor,
    moments: Tensor | None,
    size: tuple[int, int],
) -> dict[str, Any]:
    return {
        "HEIGHT": size[0],
        "WIDTH": size[1],
        "ACC": TRITON_DTYPE[coordinates.dtype],
        "MAPS": tiles.maps,
        "PIXELS": tiles.pixels,
        "UNIT": tiles.unit,
        "OFFSET": tiles.offset,
        "MOMENTS": 0 if moments is None else moments.shape[2],
        "num_warps": tiles.warps,
    }
