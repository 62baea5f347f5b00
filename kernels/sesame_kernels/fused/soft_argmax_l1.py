"""Soft-argmax, its L1 loss and the loss's gradient in Triton: one read and one write of the maps.

A program reads its map twice, the second time from the cache, to write the gradient once the
coordinates are known.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE, map_tile
from sesame_kernels.fused.soft_argmax import expectation
from sesame_kernels.fused.sums import mean
from sesame_kernels.fused.tiles import (
    load_pairs,
    maps_of_program,
    softmax_and_offsets,
    store_pairs,
)
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    empty_unit_gradient,
    flat_pixels,
)

__all__ = ["soft_argmax_l1", "soft_argmax_l1_backward", "soft_argmax_l1_rescale_"]

_ELEMENTS = 4096


@triton.jit
def _sign(value):
    return tl.where(value > 0.0, 1.0, tl.where(value < 0.0, -1.0, value))


@triton.jit
def soft_argmax_l1_kernel(
    logits,
    target,
    weight,
    coordinates,
    errors,
    gradient,
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
    unit: tl.float64,
    ACC: tl.constexpr,
    MAPS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    sample, maps, is_map = maps_of_program(num_maps, MAPS)
    rows = logits + sample * stride_b + maps.to(tl.int64) * stride_k
    scale = tl.cast(beta, ACC)
    peak, total, total_x, total_y, _xx, _yy, _xy = expectation(
        rows, is_map, num_pixels, width, stride_p, scale, ACC, MAPS, PIXELS, False
    )
    x, y = total_x / (total * width), total_y / (total * height)
    index = sample * num_maps + maps
    store_pairs(coordinates, index, x, y, is_map)

    target_x, target_y = load_pairs(target, index, is_map, ACC)
    error_x, error_y = x - target_x, y - target_y
    importance = tl.full([MAPS], 1.0, ACC)
    if weight is not None:
        importance = tl.load(weight + index, mask=is_map, other=0.0).to(ACC)
    tl.store(errors + index, importance * (tl.abs(error_x) + tl.abs(error_y)), mask=is_map)

    if gradient is not None:
        factor = importance * scale * tl.cast(unit, ACC)
        grad_x = factor * _sign(error_x)
        grad_y = factor * _sign(error_y)
        grad_rows = gradient + sample * grad_stride_b + maps.to(tl.int64) * grad_stride_k
        for start in range(0, num_pixels, PIXELS):
            pixels = start + tl.arange(0, PIXELS)
            valid = is_map[:, None] & (pixels < num_pixels)[None, :]
            offsets = pixels.to(tl.int64)[None, :]
            z = tl.load(rows[:, None] + offsets * stride_p, mask=valid, other=0.0).to(ACC) * scale
            probability, away_x, away_y = softmax_and_offsets(
                z, peak, total, x, y, pixels, height, width, ACC
            )
            slope = grad_x[:, None] * away_x + grad_y[:, None] * away_y
            tl.store(grad_rows[:, None] + offsets * grad_stride_p, probability * slope, mask=valid)


@triton.jit
def rescale_kernel(
    source,
    result,
    factor,
    numel,
    ACC: tl.constexpr,
    ELEMENTS: tl.constexpr,
    IN_PLACE: tl.constexpr,
):
    """result = factor * source; in place, a factor of 1 does nothing."""
    scale = tl.load(factor).to(ACC)
    if (scale != 1.0) | (not IN_PLACE):
        index = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
        valid = index < numel
        value = tl.load(source + index, mask=valid, other=0.0).to(ACC)
        tl.store(result + index, value * scale, mask=valid)


def soft_argmax_l1(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: float,
    with_gradient: bool,
    reuse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, coordinates [B, K, 2], the logits' gradient for an upstream gradient of 1)."""
    batch, num_maps, height, width = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    coordinates = logits.new_empty((batch, num_maps, 2), dtype=dtype)
    errors = logits.new_empty((batch, num_maps), dtype=dtype)
    gradient = empty_unit_gradient(logits) if with_gradient else None
    if errors.numel() > 0:
        rows = flat_pixels(logits)
        grad_rows = rows if gradient is None else flat_pixels(gradient)
        maps, pixels, warps = map_tile(rows)
        soft_argmax_l1_kernel[(batch * triton.cdiv(num_maps, maps),)](
            rows,
            target.contiguous(),
            None if weight is None else weight.contiguous(),
            coordinates,
            errors,
            None if gradient is None else grad_rows,
            num_maps,
            height * width,
            height,
            width,
            *rows.stride(),
            *grad_rows.stride(),
            beta,
            1.0 / (2 * errors.numel()),
            ACC=TRITON_DTYPE[dtype],
            MAPS=maps,
            PIXELS=pixels,
            num_warps=warps,
        )
    loss = mean(errors, 2 * errors.numel()) if errors.numel() else errors.new_full((), torch.nan)
    return loss, coordinates, logits.new_empty(0) if gradient is None else gradient


def soft_argmax_l1_backward(grad_loss: Tensor, unit_gradient: Tensor, dtype: torch.dtype) -> Tensor:
    """The unit gradient times the loss's, as a new tensor of `dtype`."""
    result = empty_gradient(unit_gradient, dtype)
    _rescale(grad_loss, unit_gradient, result)
    return result


def soft_argmax_l1_rescale_(grad_loss: Tensor, unit_gradient: Tensor) -> None:
    """Multiply the unit gradient by the loss's, in place."""
    _rescale(grad_loss, unit_gradient, unit_gradient)


def _rescale(factor: Tensor, source: Tensor, result: Tensor) -> None:
    if source.numel() == 0:
        return
    rescale_kernel[(triton.cdiv(source.numel(), _ELEMENTS),)](
        source,
        result,
        factor,
        source.numel(),
        ACC=TRITON_DTYPE[accumulation_dtype(source.dtype)],
        ELEMENTS=_ELEMENTS,
        IN_PLACE=source is result,
        num_warps=8,
    )
