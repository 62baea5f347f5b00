"""A 1x1 convolution and its soft-argmax as one attention in Triton: heat-maps are never written.

The rows of the convolution's weight are the queries, pixels the keys, cell centres the values. A
program processes a tile of landmarks and one part of the pixels of a sample, with an online softmax
over the tile's second axis; a second kernel merges the parts in order.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    MatmulTiles,
    matmul_tiles,
    offset_type,
    quotient_up,
    strides,
    tile_part,
)
from sesame_kernels.fused.parts import merge_plan, store_part
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.tiles import cell_centres
from sesame_kernels.layout import accumulation_dtype, flat_pixels

__all__ = [
    "cells_of_tile",
    "constants_of",
    "linear_soft_argmax",
    "logits_tile",
    "weight_tile",
]


@triton.jit
def weight_tile(
    weight,
    maps,
    first,
    num_maps,
    num_channels,
    DOT: tl.constexpr,
    CHANNELS: tl.constexpr,
    EVEN: tl.constexpr,
):
    """[MAPS, CHANNELS] of a contiguous weight [K, C], from channel `first` on; 0 outside of it.

    EVEN says that no tile ends after the last channel.
    """
    channels = first + tl.arange(0, CHANNELS)
    valid = (maps < num_maps)[:, None]
    if not EVEN:
        valid = valid & (channels < num_channels)[None, :]
    return tl.load(weight + maps[:, None] * num_channels + channels[None, :], valid, 0.0).to(DOT)


@triton.jit
def _feature_tile(
    rows,
    start,
    first,
    num_channels,
    stride_c,
    stride_p,
    NUM_PIXELS: tl.constexpr,
    DOT: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    OFFSET: tl.constexpr,
    EVEN: tl.constexpr,
):
    """[CHANNELS, PIXELS] of a sample's features, from `first` and `start` on; 0 outside of them."""
    slots, channels = tl.arange(0, PIXELS), first + tl.arange(0, CHANNELS)
    offsets = channels.to(OFFSET)[:, None] * stride_c + slots.to(OFFSET)[None, :] * stride_p
    addresses = rows + tl.cast(start, tl.int64) * stride_p + offsets
    if NUM_PIXELS % PIXELS == 0:
        if EVEN:
            return tl.load(addresses).to(DOT)
        return tl.load(addresses, (channels < num_channels)[:, None], 0.0).to(DOT)
    valid = (channels < num_channels)[:, None] & (start + slots < NUM_PIXELS)[None, :]
    return tl.load(addresses, valid, 0.0).to(DOT)


@triton.jit
def logits_tile(
    rows,
    start,
    weight,
    whole_weight,
    maps,
    num_maps,
    num_channels,
    stride_c,
    stride_p,
    NUM_PIXELS: tl.constexpr,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    OFFSET: tl.constexpr,
    WHOLE: tl.constexpr,
    EVEN: tl.constexpr,
):
    """weight @ features, [MAPS, PIXELS]; with WHOLE all channels are one tile, `whole_weight`."""
    z = tl.zeros([maps.shape[0], PIXELS], ACC)
    if WHOLE:
        f = _feature_tile(
            rows,
            start,
            0,
            num_channels,
            stride_c,
            stride_p,
            NUM_PIXELS,
            DOT,
            CHANNELS,
            PIXELS,
            OFFSET,
            EVEN,
        )
        z = tl.dot(whole_weight, f, z, input_precision=PRECISION, out_dtype=ACC)
    else:
        for first in range(0, num_channels, CHANNELS):
            w = weight_tile(weight, maps, first, num_maps, num_channels, DOT, CHANNELS, EVEN)
            f = _feature_tile(
                rows,
                start,
                first,
                num_channels,
                stride_c,
                stride_p,
                NUM_PIXELS,
                DOT,
                CHANNELS,
                PIXELS,
                OFFSET,
                EVEN,
            )
            z = tl.dot(w, f, z, input_precision=PRECISION, out_dtype=ACC)
    return z


@triton.jit
def cells_of_tile(
    start, WIDTH: tl.constexpr, PIXELS: tl.constexpr, ACC: tl.constexpr, WHOLE: tl.constexpr
):
    """(x, y) [PIXELS] in cells, and what is to be added to each; `start` is a multiple of PIXELS.

    With WHOLE, only what is added depends on `start`, if tiles consist of whole rows or are in one,
    which is y then. Without it registers are scarcer than instructions.
    """
    slots = tl.arange(0, PIXELS)
    if WHOLE and WIDTH % PIXELS == 0:
        first_column, first_row = tl.cast(start % WIDTH, ACC), tl.cast(start // WIDTH, ACC) + 0.5
        return slots.to(ACC) + 0.5, tl.zeros([PIXELS], ACC), first_column, first_row
    if WHOLE and PIXELS % WIDTH == 0:
        first_row = tl.cast(start // WIDTH, ACC)
    else:
        first_row = tl.zeros([], ACC)
        slots += start
    column, row = cell_centres(slots, WIDTH, ACC)
    return column, row, tl.zeros([], ACC), first_row


@triton.jit
def linear_soft_argmax_kernel(
    features,
    weight,
    partials,
    num_maps,
    num_channels,
    stride_b,
    stride_c,
    stride_p,
    beta: tl.float64,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    PART: tl.constexpr,
    OFFSET: tl.constexpr,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    MAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    WHOLE: tl.constexpr,
    EVEN: tl.constexpr,
):
    """The numbers of MAPS maps and of one part, of PART pixels, of a sample."""
    NUM_PIXELS: tl.constexpr = HEIGHT * WIDTH
    NUM_PARTS: tl.constexpr = (NUM_PIXELS + PART - 1) // PART
    groups = tl.cdiv(num_maps, MAPS)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    part = tl.program_id(0) // groups
    rows = features + (part // NUM_PARTS).to(tl.int64) * stride_b
    first = part % NUM_PARTS * PART
    last = tl.minimum(first + PART, NUM_PIXELS)
    scale = tl.cast(beta * LOG2_E, ACC)
    whole_weight = weight_tile(weight, maps, 0, num_maps, num_channels, DOT, CHANNELS, EVEN)

    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    total_x = tl.zeros([MAPS], ACC)
    total_y = tl.zeros([MAPS], ACC)
    for start in range(first, last, PIXELS):
        z = logits_tile(
            rows,
            start,
            weight,
            whole_weight,
            maps,
            num_maps,
            num_channels,
            stride_c,
            stride_p,
            NUM_PIXELS,
            ACC,
            DOT,
            PRECISION,
            CHANNELS,
            PIXELS,
            OFFSET,
            WHOLE,
            EVEN,
        )
        if NUM_PIXELS % PIXELS != 0:
            z = tl.where((start + tl.arange(0, PIXELS) < last)[None, :], z, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(z, axis=1))
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        e = exponentials(z, shift[:, None], scale)
        column, row, first_column, first_row = cells_of_tile(start, WIDTH, PIXELS, ACC, WHOLE)
        sums = tl.sum(e, axis=1)
        sums_x = tl.sum(e * column[None, :], axis=1) + sums * first_column
        if WHOLE and WIDTH % PIXELS == 0:
            sums_y = sums * first_row
        else:
            sums_y = tl.sum(e * row[None, :], axis=1) + sums * first_row
        total = total * decay + sums
        total_x = total_x * decay + sums_x
        total_y = total_y * decay + sums_y
        peak = new_peak

    index = part.to(tl.int64) * num_maps + maps
    store_part(partials, index, peak, total, total_x, total_y, maps < num_maps)


def _parts_plan(
    features: Tensor, weight: Tensor, partials: Tensor, size: tuple[int, int], device: torch.device
) -> Plan:
    _, num_channels, num_pixels = features.shape
    num_maps = len(weight)
    tiles = matmul_tiles(device, features.dtype, num_maps, num_channels, num_pixels)
    return Plan(
        linear_soft_argmax_kernel,
        (len(partials) * quotient_up(num_maps, tiles.maps),),
        (num_maps, num_channels, *strides(features)),
        constants_of(size, tiles, partials.dtype, features),
    )


def constants_of(
    size: tuple[int, int], tiles: MatmulTiles, accumulation: torch.dtype, *images: Tensor
) -> dict[str, Any]:
    """Of both kernels, for maps of `size` (H, W); `images` [B, C, P] begin with the features."""
    num_channels = images[0].shape[1]
    return {
        "HEIGHT": size[0],
        "WIDTH": size[1],
        "PART": tile_part(images[0].dtype),
        "OFFSET": offset_type(*images),
        "WHOLE": tiles.channels >= num_channels,
        "EVEN": num_channels % tiles.channels == 0,
        **tiles.constants(accumulation),
    }


def linear_soft_argmax(
    features: Tensor, weight: Tensor, beta: float, reuse: bool
) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], statistics [B, K, 2]), as of `soft_argmax`.

    The weight is [K, C] or [K, C, 1, 1].
    """
    batch, _, height, width = features.shape
    num_maps, dtype = weight.shape[0], accumulation_dtype(features.dtype)
    coordinates = features.new_empty((batch, num_maps, 2), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    if coordinates.numel() == 0:
        return coordinates, statistics
    parts = quotient_up(height * width, tile_part(features.dtype))
    partials = features.new_empty((batch * parts, num_maps, 4), dtype=dtype)
    tensors = (flat_pixels(features), weight.contiguous(), partials)
    launch(_parts_plan, tensors, (beta,), (height, width), features.device)
    launch(merge_plan, (partials, coordinates, statistics), (beta,), parts, (height, width), 0)
    return coordinates, statistics
