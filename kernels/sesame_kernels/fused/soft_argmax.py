"""Soft-argmax in Triton: one read of the logits forward, one read and one write backward.

Second moments come from the same pass: moments about the mean of each tile, merged as Chan, Golub
and LeVeque do ("Updating formulae and a pairwise algorithm for computing sample variances", 1979),
so that a sharp peak far from the corner keeps its digits.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, map_tile
from sesame_kernels.layout import accumulation_dtype, empty_gradient, flat_pixels

__all__ = [
    "expectation",
    "soft_argmax",
    "soft_argmax_backward",
    "soft_argmax_moments",
    "soft_argmax_moments_backward",
]


@triton.jit
def _nonzero(total):
    """A divisor: 1 instead of the sum of a tile that adds nothing; NaN stays."""
    return tl.where(total == 0.0, 1.0, total)


@triton.jit
def expectation(
    rows,
    is_map,
    num_pixels,
    width,
    stride_p,
    scale,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    """(max, sum, x, y, xx, yy, xy) of exp(scale * logits - max) for MAPS maps, in cells.

    x and y are weighted by the exponentials, not yet divided by their sum. xx, yy and xy are taken
    about the mean, and 0 without MOMENTS.
    """
    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    total_x = tl.zeros([MAPS], ACC)
    total_y = tl.zeros([MAPS], ACC)
    total_xx = tl.zeros([MAPS], ACC)
    total_yy = tl.zeros([MAPS], ACC)
    total_xy = tl.zeros([MAPS], ACC)
    for start in range(0, num_pixels, PIXELS):
        pixels = start + tl.arange(0, PIXELS)
        valid = is_map[:, None] & (pixels < num_pixels)[None, :]
        addresses = rows[:, None] + pixels.to(tl.int64)[None, :] * stride_p
        z = tl.load(addresses, mask=valid, other=float("-inf")).to(ACC) * scale
        new_peak = tl.maximum(peak, tl.max(z, axis=1))
        # A tile of -inf alone must add nothing, where -inf - -inf would be NaN.
        shift = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        e = tl.exp(z - shift[:, None])
        decay = tl.exp(peak - shift)
        column = (pixels % width).to(ACC) + 0.5
        row = (pixels // width).to(ACC) + 0.5
        tile = tl.sum(e, axis=1)
        tile_x = tl.sum(e * column[None, :], axis=1)
        tile_y = tl.sum(e * row[None, :], axis=1)
        if MOMENTS:
            mean_x = tile_x / _nonzero(tile)
            mean_y = tile_y / _nonzero(tile)
            away_x = column[None, :] - mean_x[:, None]
            away_y = row[None, :] - mean_y[:, None]
            gap_x = mean_x - total_x / _nonzero(total)
            gap_y = mean_y - total_y / _nonzero(total)
            joint = total * decay * tile / _nonzero(total * decay + tile)
            tile_xx = tl.sum(e * away_x * away_x, axis=1)
            tile_yy = tl.sum(e * away_y * away_y, axis=1)
            tile_xy = tl.sum(e * away_x * away_y, axis=1)
            total_xx = total_xx * decay + tile_xx + joint * gap_x * gap_x
            total_yy = total_yy * decay + tile_yy + joint * gap_y * gap_y
            total_xy = total_xy * decay + tile_xy + joint * gap_x * gap_y
        total = total * decay + tile
        total_x = total_x * decay + tile_x
        total_y = total_y * decay + tile_y
        peak = new_peak
    return peak, total, total_x, total_y, total_xx, total_yy, total_xy


@triton.jit
def soft_argmax_kernel(
    logits,
    coordinates,
    moments,
    statistics,
    num_maps,
    num_pixels,
    height,
    width,
    stride_b,
    stride_k,
    stride_p,
    beta: tl.float64,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    groups = tl.cdiv(num_maps, MAPS)
    sample = (tl.program_id(0) // groups).to(tl.int64)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    is_map = maps < num_maps
    rows = logits + sample * stride_b + maps.to(tl.int64) * stride_k
    scale = tl.cast(beta, ACC)

    peak, total, total_x, total_y, total_xx, total_yy, total_xy = expectation(
        rows, is_map, num_pixels, width, stride_p, scale, ACC, MAPS, PIXELS, MOMENTS
    )
    pairs = (sample * num_maps + maps) * 2
    tl.store(coordinates + pairs, total_x / (total * width), mask=is_map)
    tl.store(coordinates + pairs + 1, total_y / (total * height), mask=is_map)
    tl.store(statistics + pairs, peak, mask=is_map)
    tl.store(statistics + pairs + 1, total, mask=is_map)
    if MOMENTS:
        triples = (sample * num_maps + maps) * 3
        tl.store(moments + triples, total_xx / (total * width) / width, mask=is_map)
        tl.store(moments + triples + 1, total_yy / (total * height) / height, mask=is_map)
        tl.store(moments + triples + 2, total_xy / (total * width) / height, mask=is_map)


@triton.jit
def soft_argmax_backward_kernel(
    grad_coordinates,
    grad_moments,
    logits,
    coordinates,
    moments,
    statistics,
    grad_logits,
    num_maps,
    num_pixels,
    height,
    width,
    stride_b,
    stride_k,
    stride_p,
    grad_stride_b,
    grad_stride_k,
    grad_stride_p,
    beta: tl.float64,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    MOMENTS: tl.constexpr,
):
    groups = tl.cdiv(num_maps, MAPS)
    sample = (tl.program_id(0) // groups).to(tl.int64)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    pixels = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    is_map = maps < num_maps
    valid = is_map[:, None] & (pixels < num_pixels)[None, :]
    scale = tl.cast(beta, ACC)

    pairs = (sample * num_maps + maps) * 2
    x = tl.load(coordinates + pairs, mask=is_map, other=0.0)
    y = tl.load(coordinates + pairs + 1, mask=is_map, other=0.0)
    peak = tl.load(statistics + pairs, mask=is_map, other=0.0)
    total = tl.load(statistics + pairs + 1, mask=is_map, other=1.0)
    grad_x = tl.load(grad_coordinates + pairs, mask=is_map, other=0.0) * scale
    grad_y = tl.load(grad_coordinates + pairs + 1, mask=is_map, other=0.0) * scale

    addresses = sample * stride_b + maps.to(tl.int64)[:, None] * stride_k
    addresses += pixels.to(tl.int64)[None, :] * stride_p
    z = tl.load(logits + addresses, mask=valid, other=0.0).to(ACC) * scale
    probability = tl.exp(z - peak[:, None]) / total[:, None]
    away_x = ((pixels % width).to(ACC) + 0.5)[None, :] / width - x[:, None]
    away_y = ((pixels // width).to(ACC) + 0.5)[None, :] / height - y[:, None]
    slope = grad_x[:, None] * away_x + grad_y[:, None] * away_y
    if MOMENTS:
        triples = (sample * num_maps + maps) * 3
        variance_x = tl.load(moments + triples, mask=is_map, other=0.0)
        variance_y = tl.load(moments + triples + 1, mask=is_map, other=0.0)
        covariance = tl.load(moments + triples + 2, mask=is_map, other=0.0)
        grad_xx = tl.load(grad_moments + triples, mask=is_map, other=0.0) * scale
        grad_yy = tl.load(grad_moments + triples + 1, mask=is_map, other=0.0) * scale
        grad_xy = tl.load(grad_moments + triples + 2, mask=is_map, other=0.0) * scale
        slope += grad_xx[:, None] * (away_x * away_x - variance_x[:, None])
        slope += grad_yy[:, None] * (away_y * away_y - variance_y[:, None])
        slope += grad_xy[:, None] * (away_x * away_y - covariance[:, None])

    addresses = sample * grad_stride_b + maps.to(tl.int64)[:, None] * grad_stride_k
    addresses += pixels.to(tl.int64)[None, :] * grad_stride_p
    tl.store(grad_logits + addresses, probability * slope, mask=valid)


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], statistics [B, K, 2] = maximum and sum of exp(beta * logits))."""
    shape, dtype = logits.shape, accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((shape[0], shape[1], 2), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    _launch_forward(logits, beta, coordinates, None, statistics)
    return coordinates, statistics


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], moments [B, K, 3], statistics [B, K, 2])."""
    shape, dtype = logits.shape, accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((shape[0], shape[1], 2), dtype=dtype)
    moments = logits.new_empty((shape[0], shape[1], 3), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    _launch_forward(logits, beta, coordinates, moments, statistics)
    return coordinates, moments, statistics


def _launch_forward(
    logits: Tensor, beta: float, coordinates: Tensor, moments: Tensor | None, statistics: Tensor
) -> None:
    batch, num_maps, height, width = logits.shape
    if coordinates.numel() == 0:
        return
    rows = flat_pixels(logits)
    maps, pixels, warps = map_tile(rows)
    soft_argmax_kernel[(batch * triton.cdiv(num_maps, maps),)](
        rows,
        coordinates,
        moments,
        statistics,
        num_maps,
        height * width,
        height,
        width,
        *rows.stride(),
        beta,
        ACC=TRITON_DTYPE[coordinates.dtype],
        MAPS=maps,
        PIXELS=pixels,
        MOMENTS=moments is not None,
        num_warps=warps,
    )


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    return _backward(grad_coordinates, None, logits, coordinates, None, statistics, beta)


def soft_argmax_moments_backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    return _backward(
        grad_coordinates,
        grad_moments.contiguous(),
        logits,
        coordinates,
        moments.contiguous(),
        statistics,
        beta,
    )


def _backward(
    grad_coordinates: Tensor,
    grad_moments: Tensor | None,
    logits: Tensor,
    coordinates: Tensor,
    moments: Tensor | None,
    statistics: Tensor,
    beta: float,
) -> Tensor:
    batch, num_maps, height, width = logits.shape
    grad_logits = empty_gradient(logits)
    if grad_logits.numel() == 0:
        return grad_logits
    rows, grad_rows = flat_pixels(logits), flat_pixels(grad_logits)
    maps, pixels, warps = map_tile(rows)
    grid = (batch * triton.cdiv(num_maps, maps), triton.cdiv(height * width, pixels))
    soft_argmax_backward_kernel[grid](
        grad_coordinates.contiguous(),
        grad_moments,
        rows,
        coordinates.contiguous(),
        moments,
        statistics.contiguous(),
        grad_rows,
        num_maps,
        height * width,
        height,
        width,
        *rows.stride(),
        *grad_rows.stride(),
        beta,
        ACC=TRITON_DTYPE[coordinates.dtype],
        MAPS=maps,
        PIXELS=pixels,
        MOMENTS=moments is not None,
        num_warps=warps,
    )
    return grad_logits
