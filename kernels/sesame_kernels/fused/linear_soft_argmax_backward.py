"""Gradients of `linear_soft_argmax` in Triton: the logits are recomputed a tile at a time.

The features' gradient has one program per tile of pixels, the weight's one per run of such tiles;
what the runs find is then added in order.
"""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, matmul_tiles
from sesame_kernels.fused.linear_soft_argmax import logits_tile, weight_tile
from sesame_kernels.fused.sums import sum_of_parts
from sesame_kernels.layout import empty_gradient, flat_pixels

__all__ = ["linear_soft_argmax_backward"]

_MOST_PARTS = 256


@triton.jit
def _logits_gradient(
    z,
    grad_coordinates,
    coordinates,
    statistics,
    sample,
    maps,
    pixels,
    num_maps,
    num_pixels,
    height,
    width,
    scale,
    ACC: tl.constexpr,
):
    """beta p (g_x (c_x - x) + g_y (c_y - y)), [MAPS, PIXELS]; 0 outside the maps."""
    is_map = maps < num_maps
    pairs = (sample * num_maps + maps) * 2
    x = tl.load(coordinates + pairs, mask=is_map, other=0.0)
    y = tl.load(coordinates + pairs + 1, mask=is_map, other=0.0)
    peak = tl.load(statistics + pairs, mask=is_map, other=0.0)
    total = tl.load(statistics + pairs + 1, mask=is_map, other=1.0)
    grad_x = tl.load(grad_coordinates + pairs, mask=is_map, other=0.0) * scale
    grad_y = tl.load(grad_coordinates + pairs + 1, mask=is_map, other=0.0) * scale
    probability = tl.exp(z * scale - peak[:, None]) / total[:, None]
    away_x = ((pixels % width).to(ACC) + 0.5)[None, :] / width - x[:, None]
    away_y = ((pixels // width).to(ACC) + 0.5)[None, :] / height - y[:, None]
    grad = probability * (grad_x[:, None] * away_x + grad_y[:, None] * away_y)
    return tl.where(is_map[:, None] & (pixels < num_pixels)[None, :], grad, 0.0)


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
    rows = features + sample * stride_b
    scale = tl.cast(beta, ACC)
    result = tl.zeros([OUT_CHANNELS, PIXELS], ACC)
    for first_map in range(0, num_maps, MAPS):
        maps = first_map + tl.arange(0, MAPS)
        z = logits_tile(
            rows,
            weight,
            None,
            maps,
            pixels,
            num_maps,
            num_channels,
            num_pixels,
            stride_c,
            stride_p,
            ACC,
            DOT,
            PRECISION,
            MAPS,
            CHANNELS,
            PIXELS,
            False,
        )
        grad = _logits_gradient(
            z,
            grad_coordinates,
            coordinates,
            statistics,
            sample,
            maps,
            pixels,
            num_maps,
            num_pixels,
            height,
            width,
            scale,
            ACC,
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
    scale = tl.cast(beta, ACC)
    result = tl.zeros([MAPS, OUT_CHANNELS], ACC)
    for tile in range(part * part_tiles, tl.minimum((part + 1) * part_tiles, num_tiles)):
        sample = tl.cast(tile // sample_tiles, tl.int64)
        pixels = tile % sample_tiles * PIXELS + tl.arange(0, PIXELS)
        rows = features + sample * stride_b
        z = logits_tile(
            rows,
            weight,
            None,
            maps,
            pixels,
            num_maps,
            num_channels,
            num_pixels,
            stride_c,
            stride_p,
            ACC,
            DOT,
            PRECISION,
            MAPS,
            CHANNELS,
            PIXELS,
            False,
        )
        grad = _logits_gradient(
            z,
            grad_coordinates,
            coordinates,
            statistics,
            sample,
            maps,
            pixels,
            num_maps,
            num_pixels,
            height,
            width,
            scale,
            ACC,
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
    constants = {
        "ACC": TRITON_DTYPE[coordinates.dtype],
        "DOT": tiles.dot,
        "PRECISION": tiles.precision,
        "MAPS": tiles.maps,
        "CHANNELS": tiles.channels,
        "PIXELS": tiles.pixels,
        "OUT_CHANNELS": tiles.out_channels,
        "num_warps": 8,
        "num_stages": tiles.stages,
    }
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
