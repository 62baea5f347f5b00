"""Gaussian masks and the blend with Philox noise in Triton: one read, one write of the images."""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.constants import CUTOFF
from sesame_kernels.fused.launch import TRITON_DTYPE, elements_of, pixel_tiles, strides
from sesame_kernels.fused.plans import Plan, launch
from sesame_kernels.fused.tiles import cell_centres, pixel_addresses, pixels_of_program
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    flat_pixels,
    with_rows_joined,
)

__all__ = ["noise_mask", "noise_mask_backward"]

_PIXELS = 1024
_CUTOFF = tl.constexpr(CUTOFF)


@triton.jit
def _coverage(anchors, sigma, count, num_anchors, sample, x, y, ACC: tl.constexpr):
    """lambda at (x, y): exp of minus the least r^2 / (2 sigma^2) over the first `count` anchors."""
    least = tl.full(x.shape, float("inf"), ACC)
    for anchor in range(count):
        index = sample * num_anchors + anchor
        dx = x - tl.load(anchors + 2 * index).to(ACC)
        dy = y - tl.load(anchors + 2 * index + 1).to(ACC)
        spread = tl.load(sigma + index).to(ACC)
        distance = (dx * dx + dy * dy) * (0.5 / (spread * spread))
        distance = tl.where(spread <= 0.0, float("inf"), distance)
        least = tl.minimum(least, distance, propagate_nan=tl.PropagateNan.ALL)
    return tl.where(least > _CUTOFF, 0.0, tl.exp(-least))


@triton.jit
def _box_muller(first, second):
    """`tl.pair_uniform_to_normal` up to rounding, without the large-angle path of cos and sin.

    2 pi u is `turn` quarter turns and an angle of at most pi / 4, for which short Taylor series
    are sufficient.
    """
    turn = (4.0 * second + 0.5).to(tl.int32)
    angle = (4.0 * second - turn.to(tl.float32)) * 1.5707963267948966
    a2 = angle * angle
    sine = angle * (1 + a2 * (-1 / 6 + a2 * (1 / 120 + a2 * (-1 / 5040 + a2 * (1 / 362880)))))
    cosine = 1 + a2 * (-1 / 2 + a2 * (1 / 24 + a2 * (-1 / 720 + a2 * (1 / 40320))))
    radius = tl.sqrt(-2.0 * tl.log(tl.maximum(first, 1.0e-7)))
    is_odd = (turn & 1) == 1
    x = tl.where(is_odd, sine, cosine) * tl.where(((turn + 1) & 2) == 2, -radius, radius)
    y = tl.where(is_odd, cosine, sine) * tl.where((turn & 2) == 2, -radius, radius)
    return x, y


@triton.jit(do_not_specialize=["num_anchors", "seed"])
def noise_mask_kernel(
    images,
    anchors,
    sigma,
    counts,
    sample_ids,
    masked,
    coverage,
    num_anchors,
    images_stride_b,
    images_stride_c,
    images_stride_p,
    masked_stride_b,
    masked_stride_c,
    masked_stride_p,
    seed: tl.int64,
    noise_mean: tl.float64,
    noise_std: tl.float64,
    CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
):
    num_pixels: tl.constexpr = HEIGHT * WIDTH
    sample, pixels, valid = pixels_of_program(num_pixels, PIXELS)
    column, row = cell_centres(pixels, WIDTH, ACC)
    count = tl.minimum(tl.load(counts + sample).to(tl.int32), num_anchors)
    lam = _coverage(anchors, sigma, count, num_anchors, sample, column / WIDTH, row / HEIGHT, ACC)
    tl.store(coverage + sample * num_pixels + pixels, lam, mask=valid)

    sample_id = tl.load(sample_ids + sample).to(tl.int64)
    id_low = (sample_id & 0xFFFFFFFF).to(tl.uint32)
    id_high = ((sample_id >> 32) & 0xFFFFFFFF).to(tl.uint32)
    mean = tl.cast(noise_mean, ACC)
    std = tl.cast(noise_std, ACC)
    source = pixel_addresses(images, sample, pixels, images_stride_b, images_stride_p)
    result = pixel_addresses(masked, sample, pixels, masked_stride_b, masked_stride_p)
    zero = pixels.to(tl.uint32) * 0
    is_covered = tl.max((lam != 0.0).to(tl.int32), axis=0) > 0
    for group in range(0, (CHANNELS + 3) // 4):
        n0 = tl.zeros([PIXELS], tl.float32)
        n1, n2, n3 = n0, n0, n0
        if is_covered:
            w0, w1, w2, w3 = tl.philox(
                seed, pixels.to(tl.uint32), zero + group, zero + id_low, zero + id_high
            )
            u0, u1 = tl.uint_to_uniform_float(w0), tl.uint_to_uniform_float(w1)
            u2, u3 = tl.uint_to_uniform_float(w2), tl.uint_to_uniform_float(w3)
            n0, n1 = _box_muller(u0, u1)
            n2, n3 = _box_muller(u2, u3)
        for lane in tl.static_range(4 if CHANNELS > 3 else CHANNELS):
            normal = n0 if lane == 0 else (n1 if lane == 1 else (n2 if lane == 2 else n3))
            active = valid
            if CHANNELS % 4 != 0 and CHANNELS > 4:
                # A comparison of scalars would not be a tensor in the interpreter of Triton 3.9.
                active = valid & (tl.full([PIXELS], lane, tl.int32) + group * 4 < CHANNELS)
            value = tl.load(source, mask=active, other=0.0).to(ACC)
            blend = (1.0 - lam) * value + lam * (mean + std * normal.to(ACC))
            tl.store(result, blend, mask=active)
            source += images_stride_c
            result += masked_stride_c


@triton.jit
def noise_mask_backward_kernel(
    grad_masked,
    coverage,
    grad_images,
    channels,
    num_pixels,
    stride_b,
    stride_c,
    stride_p,
    grad_stride_b,
    grad_stride_c,
    grad_stride_p,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """(1 - lambda) times the gradient; GROUP elements belong to one pixel of the coverage."""
    sample, pixels, valid = pixels_of_program(num_pixels, PIXELS)
    covered = coverage + sample * (num_pixels // GROUP) + pixels // GROUP
    kept = 1.0 - tl.load(covered, mask=valid, other=1.0)
    source = pixel_addresses(grad_masked, sample, pixels, stride_b, stride_p)
    result = pixel_addresses(grad_images, sample, pixels, grad_stride_b, grad_stride_p)
    for _channel in range(channels):
        grad = tl.load(source, mask=valid, other=0.0).to(ACC)
        tl.store(result, kept * grad, mask=valid)
        source += stride_c
        result += grad_stride_c


def _forward_plan(
    images: Tensor,
    anchors: Tensor,
    sigma: Tensor,
    counts: Tensor,
    sample_ids: Tensor,
    masked: Tensor,
    coverage: Tensor,
) -> Plan:
    images, masked = flat_pixels(images), flat_pixels(masked)
    batch, channels, num_pixels = images.shape
    height, width = coverage.shape[2:]
    programs, pixels = pixel_tiles(batch, num_pixels, _PIXELS)
    constants = {
        "CHANNELS": channels,
        "HEIGHT": height,
        "WIDTH": width,
        "ACC": TRITON_DTYPE[coverage.dtype],
        "PIXELS": pixels,
        "num_warps": 4,
    }
    integers = (sigma.shape[1], *strides(images), *strides(masked))
    return Plan(noise_mask_kernel, (programs,), integers, constants)


def _backward_plan(grad_masked: Tensor, coverage: Tensor, grad_images: Tensor) -> Plan:
    grad_masked, grad_images = flat_pixels(grad_masked), flat_pixels(grad_images)
    elements = elements_of(grad_masked, grad_images)
    programs, pixels = pixel_tiles(len(grad_masked), elements.pixels, _PIXELS)
    constants = {
        "ACC": TRITON_DTYPE[coverage.dtype],
        "PIXELS": pixels,
        "GROUP": elements.group,
        "num_warps": 4,
    }
    by_strides = (*elements.strides_of(grad_masked), *elements.strides_of(grad_images))
    return Plan(noise_mask_backward_kernel, (programs,), (*elements.counts, *by_strides), constants)


def noise_mask(
    images: Tensor,
    anchors: Tensor,
    sigma: Tensor,
    counts: Tensor,
    seed: int,
    sample_ids: Tensor,
    noise_mean: float,
    noise_std: float,
) -> tuple[Tensor, Tensor]:
    """(masked images [B, C, H, W] in the images' dtype and format, lambda [B, 1, H, W])."""
    batch, _, height, width = images.shape
    masked = empty_gradient(images)
    coverage = images.new_empty((batch, 1, height, width), dtype=accumulation_dtype(images.dtype))
    if coverage.numel() == 0:
        return masked, coverage
    small = (tensor.contiguous() for tensor in (anchors, sigma, counts, sample_ids))
    tensors = (with_rows_joined(images), *small, masked, coverage)
    launch(_forward_plan, tensors, (seed, noise_mean, noise_std))
    return masked, coverage


def noise_mask_backward(grad_masked: Tensor, coverage: Tensor) -> Tensor:
    """The gradient of the images: (1 - lambda) times that of the masked images."""
    grad_images = empty_gradient(grad_masked)
    if grad_images.numel() == 0:
        return grad_images
    tensors = (with_rows_joined(grad_masked), coverage.contiguous(), grad_images)
    launch(_backward_plan, tensors, ())
    return grad_images
