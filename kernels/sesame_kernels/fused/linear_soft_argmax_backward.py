"""Gradients of `linear_soft_argmax` in Triton: the logits are recomputed tile by tile.

The features' gradient has one program per tile of pixels, the weight's one per run of such tiles;
the results of the runs are then added in order.
"""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import matmul_tiles
from sesame_kernels.fused.linear_soft_argmax import logits_tile, weight_tile
from sesame_kernels.fused.sums import sum_of_parts
from sesame_kernels.fused.tiles import load_pairs, softmax_and_offsets
from sesame_kernels.layout import empty_gradient, flat_pixels

__all__ = ["linear_soft_argmax_backward"]

_MOST_PARTS = 256


@triton.jit
def _logits_gradient(
    saved,
    rows,
    weight,
    sample,
    maps,
    pixels,
    shape,
    size,
    strides,
    scale,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """beta p (g_x (c_x - x) + g_y (c_y - y)), [MAPS, PIXELS]; 0 outside the maps.

    `saved` is (gradient of the coordinates, coordinates, statistics), `size` (H, W).
    """
    grad_coordinates, coordinates, statistics = saved
    num_maps, _num_channels, num_pixels = shape
    height, width = size
    z = logits_tile(
        rows, weight, None, maps, pixels, shape, strides, ACC, DOT, PRECISION, CHANNELS, False
    )
    is_map = maps < num_maps
    index = sample * num_maps + maps
    x, y = load_pairs(coordinates, index, is_map, ACC)
    peak, total = load_pairs(statistics, index, is_map, ACC)
    grad_x, grad_y = load_pairs(grad_coordinates, index, is_map, ACC)
    probability, away_x, away_y = softmax_and_offsets(
        z * scale, peak, total, x, y, pixels, height, width, ACC
    )
    slope = (grad_x * scale)[:, None] * away_x + (grad_y * scale)[:, None] * away_y
    return tl.where(is_map[:, None] & (pixels < num_pixels)[None, :], probability * slope, 0.0)


@triton.jit
def features_gradient_kernel(
    grad_coordinates,
    features,
    weight,
    coordinates,
    statistics,
    grad_features,
    num_maps,
    num_channels,
    num_pixels,
    height,
    width,
    stride_b,
    stride_c,
    stride_p,
    grad_stride_b,
    grad_stride_c,
    grad_stride_p,
    beta: tl.float64,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    MAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr,
):
    channel_groups = tl.cdiv(num_channels, OUT_CHANNELS)
    outputs = tl.program_id(0) % channel_groups * OUT_CHANNELS + tl.arange(0, OUT_CHANNELS)
    tile = tl.program_id(0) // channel_groups
    tiles = tl.cdiv(num_pixels, PIXELS)
    sample = (tile // tiles).to(tl.int64)
    pixels = tile % tiles * PIXELS + tl.arange(0, PIXELS)
    result = tl.zeros([OUT_CHANNELS, PIXELS], ACC)
    for first_map in range(0, num_maps, MAPS):
        maps = first_map + tl.arange(0, MAPS)
        grad = _logits_gradient(
            (grad_coordinates, coordinates, statistics),
            features + sample * stride_b,
            weight,
            sample,
            maps,
            pixels,
            (num_maps, num_channels, num_pixels),
            (height, width),
            (stride_c, stride_p),
            tl.cast(beta, ACC),
            ACC,
            DOT,
            PRECISION,
            CHANNELS,
        )
        columns = weight_tile(weight, maps, outputs, num_maps, num_channels, DOT)
        result = tl.dot(
            tl.trans(columns), grad.to(DOT), result, input_precision=PRECISION, out_dtype=ACC
        )
    valid = (outputs < num_channels)[:, None] & (pixels < num_pixels)[None, :]
    offsets = outputs.to(tl.int64)[:, None] * grad_stride_c
    offsets += pixels.to(tl.int64)[None, :] * grad_stride_p
    tl.store(grad_features + sample * grad_stride_b + offsets, result, mask=valid)


@triton.jit
def weight_gradient_kernel(
    grad_coordinates,
    features,
    weight,
    coordinates,
    statistics,
    parts,
    num_tiles,
    part_tiles,
    num_maps,
    num_channels,
    num_pixels,
    height,
    width,
    stride_b,
    stride_c,
    stride_p,
    beta: tl.float64,
    ACC: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    MAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr,
):
    channel_groups = tl.cdiv(num_channels, OUT_CHANNELS)
    map_groups = tl.cdiv(num_maps, MAPS)
    outputs = tl.program_id(0) % channel_groups * OUT_CHANNELS + tl.arange(0, OUT_CHANNELS)
    maps = tl.program_id(0) // channel_groups % map_groups * MAPS + tl.arange(0, MAPS)
    part = tl.program_id(0) // (channel_groups * map_groups)
    sample_tiles = tl.cdiv(num_pixels, PIXELS)
    result = tl.zeros([MAPS, OUT_CHANNELS], ACC)
    for tile in range(part * part_tiles, tl.minimum((part + 1) * part_tiles, num_tiles)):
        sample = tl.cast(tile // sample_tiles, tl.int64)
        pixels = tile % sample_tiles * PIXELS + tl.arange(0, PIXELS)
        rows = features + sample * stride_b
        grad = _logits_gradient(
            (grad_coordinates, coordinates, statistics),
            rows,
            weight,
            sample,
            maps,
            pixels,
            (num_maps, num_channels, num_pixels),
            (height, width),
            (stride_c, stride_p),
            tl.cast(beta, ACC),
            ACC,
            DOT,
            PRECISION,
            CHANNELS,
        )
        valid = (pixels < num_pixels)[:, None] & (outputs < num_channels)[None, :]
        offsets = pixels.to(tl.int64)[:, None] * stride_p
        offsets += outputs.to(tl.int64)[None, :] * stride_c
        keys = tl.load(rows + offsets, mask=valid, other=0.0).to(DOT)
        result = tl.dot(grad.to(DOT), keys, result, input_precision=PRECISION, out_dtype=ACC)
    valid = (maps < num_maps)[:, None] & (outputs < num_channels)[None, :]
    rows = part.to(tl.int64) * num_maps + maps
    tl.store(parts + rows[:, None] * num_channels + outputs[None, :], result, mask=valid)


def linear_soft_argmax_backward(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of features (in their memory format) and weight, each in its dtype."""
    batch, num_channels, height, width = features.shape
    num_maps, num_pixels = weight.shape[0], height * width
    grad_features, grad_weight = empty_gradient(features), weight.new_empty(weight.shape)
    if coordinates.numel() == 0 or features.numel() == 0:
        return grad_features.zero_(), grad_weight.zero_()
    rows, grad_rows = flat_pixels(features), flat_pixels(grad_features)
    tiles = matmul_tiles(features.dtype, num_maps, num_channels, num_pixels, backward=True)
    constants = tiles.constants(coordinates.dtype) | {"OUT_CHANNELS": tiles.out_channels}
    inputs = (
        grad_coordinates.contiguous(),
        rows,
        weight.contiguous(),
        coordinates.contiguous(),
        statistics.contiguous(),
    )
    shape = (num_maps, num_channels, num_pixels, height, width)
    channel_groups = triton.cdiv(num_channels, tiles.out_channels)
    num_tiles = batch * triton.cdiv(num_pixels, tiles.pixels)
    features_gradient_kernel[(num_tiles * channel_groups,)](
        *inputs, grad_rows, *shape, *rows.stride(), *grad_rows.stride(), beta, **constants
    )
    part_tiles = max(4, triton.cdiv(num_tiles, _MOST_PARTS))
    num_parts = triton.cdiv(num_tiles, part_tiles)
    parts = features.new_empty((num_parts, num_maps, num_channels), dtype=coordinates.dtype)
    map_groups = triton.cdiv(num_maps, tiles.maps)
    weight_gradient_kernel[(num_parts * map_groups * channel_groups,)](
        *inputs, parts, num_tiles, part_tiles, *shape, *rows.stride(), beta, **constants
    )
    sum_of_parts(parts, grad_weight)
    return grad_features, grad_weight
