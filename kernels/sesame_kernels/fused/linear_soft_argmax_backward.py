"""Gradients of `linear_soft_argmax`: Triton recomputes the logits and writes their gradient, in
the features' dtype; two products of it, with the weight and with the features, are cuBLAS's.

The gradient has landmarks of zeros up to a multiple of 8: cuBLAS's fast kernels need rows of whole
16 bytes.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import matmul_tiles, quotient_up, strides, tile_part
from sesame_kernels.fused.linear_soft_argmax import (
    cells_of_tile,
    constants_of,
    logits_tile,
    weight_tile,
)
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.runs import LOG2_E, exponentials
from sesame_kernels.fused.strided_soft_argmax import common_unit, strided_by
from sesame_kernels.fused.tiles import load_pairs
from sesame_kernels.layout import empty_gradient, empty_maps, flat_pixels

__all__ = ["linear_soft_argmax_backward"]

_ROWS = 8
_SCRATCH = 16_384  # bytes in which a tile of the result is arranged before it is stored


@triton.jit
def logits_gradient_kernel(
    grad_coordinates,
    features,
    weight,
    coordinates,
    statistics,
    grad_logits,
    num_maps,
    num_channels,
    row_units,
    stride_b,
    stride_c,
    stride_p,
    grad_stride_b,
    grad_stride_k,
    grad_pixel_units,
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
    ROWS: tl.constexpr,
    UNIT: tl.constexpr,
):
    """beta p (g_x (c_x - x) + g_y (c_y - y)) for MAPS maps and one part of a sample's pixels.

    The gradient has ROWS * row_units rows; its pixels are UNIT * grad_pixel_units apart.
    """
    NUM_PIXELS: tl.constexpr = HEIGHT * WIDTH
    NUM_PARTS: tl.constexpr = (NUM_PIXELS + PART - 1) // PART
    groups = tl.cdiv(num_maps, MAPS)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    part = tl.program_id(0) // groups
    sample = (part // NUM_PARTS).to(tl.int64)
    rows = features + sample * stride_b
    first = part % NUM_PARTS * PART
    last = tl.minimum(first + PART, NUM_PIXELS)
    is_map = maps < num_maps
    index = sample * num_maps + maps
    x, y = load_pairs(coordinates, index, is_map, ACC)
    peak, total = load_pairs(statistics, index, is_map, ACC)
    grad_x, grad_y = load_pairs(grad_coordinates, index, is_map, ACC)
    factor = tl.where(is_map, tl.cast(beta, ACC) / total, 0.0)
    along_x, along_y = grad_x * factor / WIDTH, grad_y * factor / HEIGHT
    constant = -factor * (grad_x * x + grad_y * y)
    scale = tl.cast(beta * LOG2_E, ACC)
    whole_weight = weight_tile(weight, maps, 0, num_maps, num_channels, DOT, CHANNELS, EVEN)
    slots = tl.arange(0, PIXELS)
    offsets = maps.to(OFFSET)[:, None] * grad_stride_k
    offsets += slots.to(OFFSET)[None, :] * (grad_pixel_units * UNIT)
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
        column, row, first_column, first_row = cells_of_tile(start, WIDTH, PIXELS, ACC, WHOLE)
        first_slope = constant + along_x * first_column + along_y * first_row
        slope = tl.fma(column[None, :], along_x[:, None], first_slope[:, None])
        if not WHOLE or WIDTH % PIXELS != 0:
            slope = tl.fma(row[None, :], along_y[:, None], slope)
        grad = exponentials(z, peak[:, None], scale) * slope
        mask = (maps < row_units * ROWS)[:, None]
        # Where it is always true as well, with float32: for sm_90 ptxas then needs registers for
        # two blocks on a multiprocessor instead of one.
        if not WHOLE or NUM_PIXELS % PIXELS != 0:
            mask &= (start + slots < last)[None, :]
        away = tl.cast(start, tl.int64) * (grad_pixel_units * UNIT)
        tl.store(grad_logits + sample * grad_stride_b + away + offsets, grad, mask=mask)


def linear_soft_argmax_backward(
    grad_coordinates: Tensor,
    features: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of features (in their memory format) and weight, each in its dtype.

    The weight is [K, C] or [K, C, 1, 1].
    """
    if coordinates.numel() == 0 or features.numel() == 0:
        return empty_gradient(features).zero_(), torch.zeros_like(weight)
    rows = flat_pixels(features)
    grad_logits = _logits_gradient(
        grad_coordinates, features, rows, weight, coordinates, statistics, beta
    )
    grad_features = empty_gradient(features)
    tensors = (grad_logits, rows, weight, flat_pixels(grad_features))
    device = "cuda" if features.is_cuda else "cpu"
    if not torch.is_autocast_enabled(device):
        return grad_features, _products(*tensors, coordinates.dtype)
    with torch.autocast(device, enabled=False):
        return grad_features, _products(*tensors, coordinates.dtype)


def _products(
    grad_logits: Tensor,
    rows: Tensor,
    weight: Tensor,
    grad_rows: Tensor,
    accumulation: torch.dtype,
) -> Tensor:
    """The gradient of the weight; that of the features [B, C, P] is written to `grad_rows`."""
    batch, num_maps, matrix = rows.shape[0], weight.shape[0], weight.flatten(1)
    padding = grad_logits.shape[1] - num_maps
    if padding:
        matrix = torch.constant_pad_nd(matrix, (0, 0, 0, padding))
    weights = matrix.expand(batch, -1, -1)
    if grad_rows.stride(1) == 1:
        torch.bmm(grad_logits.transpose(1, 2), weights, out=grad_rows.transpose(1, 2))
    else:
        torch.bmm(weights.transpose(1, 2), grad_logits, out=grad_rows)
    grad_weight = torch.bmm(grad_logits, rows.transpose(1, 2)).sum(0, dtype=accumulation)
    if padding:
        grad_weight = grad_weight[:num_maps]
    return grad_weight.view(weight.shape).to(weight.dtype)


def _logits_gradient(
    grad_coordinates: Tensor,
    features: Tensor,
    rows: Tensor,
    weight: Tensor,
    coordinates: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """[B, K rounded up, P], in the features' dtype and memory format."""
    height, width = features.shape[2:]
    maps = quotient_up(weight.shape[0], _ROWS) * _ROWS
    grad_logits = flat_pixels(empty_maps(features, maps, features.dtype))
    tensors = (
        grad_coordinates.contiguous(),
        rows,
        weight.contiguous(),
        coordinates.contiguous(),
        statistics.contiguous(),
        grad_logits,
    )
    launch(_plan, tensors, (beta,), (height, width), features.device)
    return grad_logits


def _plan(*arguments: Any) -> Plan:
    """Of the kernel's tensors, the size (H, W) of the maps, and the features' device."""
    _, features, weight, coordinates, _, grad_logits, size, device = arguments
    batch, num_channels, num_pixels = features.shape
    num_maps, dtype = len(weight), features.dtype
    tiles = matmul_tiles(device, dtype, num_maps, num_channels, num_pixels, scratch=_SCRATCH)
    parts = quotient_up(num_pixels, tile_part(dtype))
    rows, unit = grad_logits.shape[1], common_unit(grad_logits)
    return Plan(
        logits_gradient_kernel,
        (batch * parts * quotient_up(num_maps, tiles.maps),),
        (num_maps, num_channels, rows // _ROWS, *strides(features), *strided_by(grad_logits, unit)),
        constants_of(size, tiles, coordinates.dtype, features, grad_logits)
        | {"ROWS": _ROWS, "UNIT": unit},
    )
