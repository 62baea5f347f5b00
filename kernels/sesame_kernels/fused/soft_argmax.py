"""Soft-argmax in Triton: one read of the logits forward, one read and one write backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.dtypes import TRITON_DTYPE
from sesame_kernels.layout import accumulation_dtype, empty_gradient, flat_pixels

__all__ = ["soft_argmax", "soft_argmax_backward"]


@triton.jit
def soft_argmax_kernel(
    logits,
    coordinates,
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
):
    groups = tl.cdiv(num_maps, MAPS)
    sample = (tl.program_id(0) // groups).to(tl.int64)
    maps = tl.program_id(0) % groups * MAPS + tl.arange(0, MAPS)
    is_map = maps < num_maps
    rows = logits + sample * stride_b + maps.to(tl.int64) * stride_k
    scale = tl.cast(beta, ACC)

    peak = tl.full([MAPS], float("-inf"), ACC)
    total = tl.zeros([MAPS], ACC)
    total_x = tl.zeros([MAPS], ACC)
    total_y = tl.zeros([MAPS], ACC)
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
        total = total * decay + tl.sum(e, axis=1)
        total_x = total_x * decay + tl.sum(e * column[None, :], axis=1)
        total_y = total_y * decay + tl.sum(e * row[None, :], axis=1)
        peak = new_peak

    pairs = (sample * num_maps + maps) * 2
    tl.store(coordinates + pairs, total_x / (total * width), mask=is_map)
    tl.store(coordinates + pairs + 1, total_y / (total * height), mask=is_map)
    tl.store(statistics + pairs, peak, mask=is_map)
    tl.store(statistics + pairs + 1, total, mask=is_map)


@triton.jit
def soft_argmax_backward_kernel(
    grad_coordinates,
    logits,
    coordinates,
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
    grad = probability * (grad_x[:, None] * away_x + grad_y[:, None] * away_y)

    addresses = sample * grad_stride_b + maps.to(tl.int64)[:, None] * grad_stride_k
    addresses += pixels.to(tl.int64)[None, :] * grad_stride_p
    tl.store(grad_logits + addresses, grad, mask=valid)


def _tile(rows: Tensor) -> tuple[int, int, int]:
    """(maps, pixels, warps) of one program: a map, or 16 maps where channels are last."""
    pixels = triton.next_power_of_2(rows.shape[2])
    if rows.stride(1) == 1 and rows.stride(2) != 1 and rows.shape[1] > 1:
        return 16, min(pixels, 256), 8
    pixels = min(pixels, 4096)
    return 1, pixels, min(8, max(1, pixels // 256))


def soft_argmax(logits: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2], statistics [B, K, 2] = maximum and sum of exp(beta * logits))."""
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((batch, num_maps, 2), dtype=dtype)
    statistics = torch.empty_like(coordinates)
    if coordinates.numel() == 0:
        return coordinates, statistics
    rows = flat_pixels(logits)
    maps, pixels, warps = _tile(rows)
    soft_argmax_kernel[(batch * triton.cdiv(num_maps, maps),)](
        rows,
        coordinates,
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
        num_warps=warps,
    )
    return coordinates, statistics


def soft_argmax_backward(
    grad_coordinates: Tensor, logits: Tensor, coordinates: Tensor, statistics: Tensor, beta: float
) -> Tensor:
    """The gradient of the logits, in their dtype and memory format."""
    batch, num_maps, height, width = logits.shape
    grad_logits = empty_gradient(logits)
    if grad_logits.numel() == 0:
        return grad_logits
    rows, grad_rows = flat_pixels(logits), flat_pixels(grad_logits)
    maps, pixels, warps = _tile(rows)
    grid = (batch * triton.cdiv(num_maps, maps), triton.cdiv(height * width, pixels))
    soft_argmax_backward_kernel[grid](
        grad_coordinates.contiguous(),
        rows,
        coordinates.contiguous(),
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
        num_warps=warps,
    )
    return grad_logits
