"""A 1x1 convolution and its soft-argmax as one attention in Triton: heat-maps are never written.

The rows of the convolution's weight are the queries, pixels the keys, cell centres the values. A
program processes a tile of landmarks and one part of the pixels of a sample, with an online softmax
over the tile's second axis; a second kernel merges the parts in order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import matmul_tiles, quotient_up, strides, tile_part
from sesame_kernels.fused.parts import merge_plan, store_part
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import LOG2_E, exponentials, safe_shift
from sesame_kernels.fused.tiles import cell_centres
from sesame_kernels.layout import accumulation_dtype, flat_pixels

__all__ = ["linear_soft_argmax", "logits_tile", "weight_tile"]


@triton.jit
def weight_tile(weight, maps, channels, num_maps, num_channels, DOT: tl.constexpr):
    """[MAPS, CHANNELS] of a contiguous weight [K, C]."""
    valid = (maps < num_maps)[:, None] & (channels < num_channels)[None, :]
    return tl.load(weight + maps[:, None] * num_channels + channels[None, :], valid, 0.0).to(DOT)


@triton.jit
def _feature_tile(rows, channels, pixels, num_channels, num_pixels, strides, DOT: tl.constexpr):
    """[CHANNELS, PIXELS] of one sample's features."""
    stride_c, stride_p = strides
    valid = (channels < num_channels)[:, None] & (pixels < num_pixels)[None, :]
    offsets = channels.to(tl.int64)[:, None] * stride_c + pixels.to(tl.int64)[None, :] * stride_p
    return tl.load(rows + offsets, valid, 0.0).to(DOT)


@triton.jit
def logits_tile(
    rows,
    weight,
    whole_weight,
    maps,
    pixels,
    shape,
    strides,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    CHANNELS: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """weight @ features, [MAPS, PIXELS]; with WHOLE all channels are one tile, loaded in advance.

    `shape` is (K, C, H * W), `strides` those of channels and pixels.
    """
    num_maps, num_channels, num_pixels = shape
    z = tl.zeros([maps.shape[0], pixels.shape[0]], ACC)
    if WHOLE:
        channels = tl.arange(0, CHANNELS)
        f = _feature_tile(rows, channels, pixels, num_channels, num_pixels, strides, DOT)
        z = tl.dot(whole_weight, f, z, input_precision=PRECISION, out_dtype=ACC)
    else:
        for start in range(0, num_channels, CHANNELS):
            channels = start + tl.arange(0, CHANNELS)
            w = weight_tile(weight, maps, channels, num_maps, num_channels, DOT)
            f = _feature_tile(rows, channels, pixels, num_channels, num_pixels, strides, DOT)
            z = tl.dot(w, f, z, input_precision=PRECISION, out_dtype=ACC)
    return z


@triton.jit
def linear_soft_argmax_kernel(
    features,
    weight,
    partials,
    num_maps,
    num_channels,
    num_pixels,
    num_parts,
    part_pixels,
    stride_b,
    stride_c,
    stride_p,
    beta: tl.float64,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    MAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    WHOLE: tl.constexpr,
):
    groups = tl.cdiv(num_maps, MAPS)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    part = tl.program_id(0) // groups
    rows = features + (part // num_parts).to(tl.int64) * stride_b
    first = part % num_parts * part_pixels
    last = tl.minimum(first + part_pixels, num_pixels)
    scale = tl.cast(beta * LOG2_E, ACC)
    whole_weight = weight_tile(weight, maps, tl.arange(0, CHANNELS), num_maps, num_channels, DOT)
    shape = (num_maps, num_channels, num_pixels)
    strides = (stride_c, stride_p)

    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    total_x = tl.zeros([MAPS], ACC)
    total_y = tl.zeros([MAPS], ACC)
    for start in range(first, last, PIXELS):
        pixels = start + tl.arange(0, PIXELS)
        z = logits_tile(
            rows,
            weight,
            whole_weight,
            maps,
            pixels,
            shape,
            strides,
            ACC,
            DOT,
            PRECISION,
            CHANNELS,
            WHOLE,
        )
        z = tl.where((pixels < last)[None, :], z, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(z, axis=1))
        shift = safe_shift(new_peak)
        decay = exponentials(peak, shift, scale)
        e = exponentials(z, shift[:, None], scale)
        column, row = cell_centres(pixels, WIDTH, ACC)
        total = total * decay + tl.sum(e, axis=1)
        total_x = total_x * decay + tl.sum(e * column[None, :], axis=1)
        total_y = total_y * decay + tl.sum(e * row[None, :], axis=1)
        peak = new_peak

    index = part.to(tl.int64) * num_maps + maps
    store_part(partials, index, peak, total, total_x, total_y, maps < num_maps)


def _parts_plan(
    features: Tensor, weight: Tensor, partials: Tensor, width: int, device: torch.device
) -> Plan:
    batch, num_channels, num_pixels = features.shape
    num_maps = len(weight)
    tiles = matmul_tiles(device, features.dtype, num_maps, num_channels, num_pixels)
    parts = len(partials) // batch
    constants = {"WIDTH": width, "WHOLE": tiles.channels >= num_channels}
    return Plan(
        linear_soft_argmax_kernel,
        (len(partials) * quotient_up(num_maps, tiles.maps),),
        (num_maps, num_channels, num_pixels, parts, tile_part(features.dtype), *strides(features)),
        constants | tiles.constants(partials.dtype),
    )


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
    launch(_parts_plan, tensors, (beta,), width, features.device)
    launch(merge_plan, (partials, coordinates, statistics), (beta,), parts, (height, width), 0)
    return coordinates, statistics
