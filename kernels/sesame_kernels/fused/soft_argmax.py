"""Soft-argmax in Triton: one read of the logits forward, one read and one write backward.

Second moments come from the same pass: moments about the mean of each tile, merged as Chan, Golub
and LeVeque do ("Updating formulae and a pairwise algorithm for computing sample variances", 1979),
so that a sharp peak far from the corner does not lose precision.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, map_tile
from sesame_kernels.fused.tiles import (
    cell_centres,
    load_pairs,
    maps_of_program,
    running_softmax,
    softmax_and_offsets,
    store_pairs,
)
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
    """A divisor: 1 instead of the sum of a tile that adds nothing; NaN is kept."""
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
        peak, e, decay = running_softmax(peak, z)
        column, row = cell_centres(pixels, width, ACC)
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
    sample, maps, is_map = maps_of_program(num_maps, MAPS)
    rows = logits + sample * stride_b + maps.to(tl.int64) * stride_k
    peak, total, total_x, total_y, total_xx, total_yy, total_xy = expectation(
        rows, is_map, num_pixels, width, stride_p, tl.cast(beta, ACC), ACC, MAPS, PIXELS, MOMENTS
    )
    index = sample * num_maps + maps
    x, y = total_x / (total * width), total_y / (total * height)
    store_pairs(coordinates, index, x, y, is_map)
    store_pairs(statistics, index, peak, total, is_map)
    if MOMENTS:
        tl.store(moments + 3 * index, total_xx / (total * width) / width, mask=is_map)
        tl.store(moments + 3 * index + 1, total_yy / (total * height) / height, mask=is_map)
        tl.store(moments + 3 * index + 2, total_xy / (total * width) / height, mask=is_map)


@triton.jit
def _load_triples(triples, index, valid):
    first = tl.load(triples + 3 * index, mask=valid, other=0.0)
    second = tl.load(triples + 3 * index + 1, mask=valid, other=0.0)
    return first, second, tl.load(triples + 3 * index + 2, mask=valid, other=0.0)


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
    sample, maps, is_map = maps_of_program(num_maps, MAPS)
    pixels = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    valid = is_map[:, None] & (pixels < num_pixels)[None, :]
    scale = tl.cast(beta, ACC)

    index = sample * num_maps + maps
    x, y = load_pairs(coordinates, index, is_map, ACC)
    peak, total = load_pairs(statistics, index, is_map, ACC)
    grad_x, grad_y = load_pairs(grad_coordinates, index, is_map, ACC)

    addresses = sample * stride_b + maps.to(tl.int64)[:, None] * stride_k
    addresses += pixels.to(tl.int64)[None, :] * stride_p
    z = tl.load(logits + addresses, mask=valid, other=0.0).to(ACC) * scale
    probability, away_x, away_y = softmax_and_offsets(
        z, peak, total, x, y, pixels, height, width, ACC
    )
    slope = grad_x[:, None] * away_x + grad_y[:, None] * away_y
    if MOMENTS:
        grad_xx, grad_yy, grad_xy = _load_triples(grad_moments, index, is_map)
        variance_x, variance_y, covariance = _load_triples(moments, index, is_map)
        slope += grad_xx[:, None] * (away_x * away_x - variance_x[:, None])
        slope += grad_yy[:, None] * (away_y * away_y - variance_y[:, None])
        slope += grad_xy[:, None] * (away_x * away_y - covariance[:, None])

    addresses = sample * grad_stride_b + maps.to(tl.int64)[:, None] * grad_stride_k
    addresses += pixels.to(tl.int64)[None, :] * grad_stride_p
    tl.store(grad_logits + addresses, probability * (scale * slope), mask=valid)


def soft_argmax(logits: Tensor, beta: float, reuse: bool) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], statistics [B, K, 2] = maximum and sum of exp(beta * logits))."""
    coordinates, statistics, _ = _forward(logits, beta, with_moments=False)
    return coordinates, statistics


def soft_argmax_moments(logits: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(coordinates [B, K, 2], moments [B, K, 3], statistics [B, K, 2])."""
    coordinates, statistics, moments = _forward(logits, beta, with_moments=True)
    assert moments is not None
    return coordinates, moments, statistics


def _forward(
    logits: Tensor, beta: float, with_moments: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((batch, num_maps, 2), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    moments = logits.new_empty((batch, num_maps, 3), dtype=dtype) if with_moments else None
    if coordinates.numel() > 0:
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
            ACC=TRITON_DTYPE[dtype],
            MAPS=maps,
            PIXELS=pixels,
            MOMENTS=with_moments,
            num_warps=warps,
        )
    return coordinates, statistics, moments


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
    grad_moments, moments = grad_moments.contiguous(), moments.contiguous()
    return _backward(grad_coordinates, grad_moments, logits, coordinates, moments, statistics, beta)


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
