"""Masked mean squared error in Triton: a two-stage sum in a fixed order, without atomics."""

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import TRITON_DTYPE
from sesame_kernels.fused.sums import mean
from sesame_kernels.layout import accumulation_dtype, empty_gradient, flat_pixels

__all__ = ["masked_mse", "masked_mse_backward"]

_PIXELS = 1024


@triton.jit
def partial_sums_kernel(
    prediction,
    target,
    mask,
    partials,
    channels,
    num_pixels,
    prediction_stride_b,
    prediction_stride_c,
    prediction_stride_p,
    target_stride_b,
    target_stride_c,
    target_stride_p,
    mask_stride_b,
    mask_stride_p,
    outside_weight: tl.float64,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
):
    tiles = tl.cdiv(num_pixels, PIXELS)
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    pixels = (tl.program_id(0) % tiles * PIXELS + tl.arange(0, PIXELS)).to(tl.int64)
    valid = pixels < num_pixels
    outside = tl.cast(outside_weight, ACC)

    inside = tl.load(mask + sample * mask_stride_b + pixels * mask_stride_p, mask=valid, other=0.0)
    weight = inside.to(ACC) * (1.0 - outside) + outside
    predictions = prediction + sample * prediction_stride_b + pixels * prediction_stride_p
    targets = target + sample * target_stride_b + pixels * target_stride_p
    total = tl.zeros([PIXELS], ACC)
    for _channel in range(channels):
        p = tl.load(predictions, mask=valid, other=0.0).to(ACC)
        t = tl.load(targets, mask=valid, other=0.0).to(ACC)
        total += (t - p) * (t - p)
        predictions += prediction_stride_c
        targets += target_stride_c
    tl.store(partials + tl.program_id(0), tl.sum(tl.where(valid, total * weight, 0.0)))


@triton.jit
def masked_mse_backward_kernel(
    grad_loss,
    prediction,
    target,
    mask,
    grad_prediction,
    channels,
    num_pixels,
    numel,
    prediction_stride_b,
    prediction_stride_c,
    prediction_stride_p,
    target_stride_b,
    target_stride_c,
    target_stride_p,
    mask_stride_b,
    mask_stride_p,
    grad_stride_b,
    grad_stride_c,
    grad_stride_p,
    outside_weight: tl.float64,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
):
    tiles = tl.cdiv(num_pixels, PIXELS)
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    pixels = (tl.program_id(0) % tiles * PIXELS + tl.arange(0, PIXELS)).to(tl.int64)
    valid = pixels < num_pixels
    outside = tl.cast(outside_weight, ACC)

    inside = tl.load(mask + sample * mask_stride_b + pixels * mask_stride_p, mask=valid, other=0.0)
    weight = inside.to(ACC) * (1.0 - outside) + outside
    factor = weight * (tl.load(grad_loss).to(ACC) * 2.0 / numel)
    predictions = prediction + sample * prediction_stride_b + pixels * prediction_stride_p
    targets = target + sample * target_stride_b + pixels * target_stride_p
    grads = grad_prediction + sample * grad_stride_b + pixels * grad_stride_p
    for _channel in range(channels):
        p = tl.load(predictions, mask=valid, other=0.0).to(ACC)
        t = tl.load(targets, mask=valid, other=0.0).to(ACC)
        tl.store(grads, factor * (p - t), mask=valid)
        predictions += prediction_stride_c
        targets += target_stride_c
        grads += grad_stride_c


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float) -> Tensor:
    """Equation 2 as a scalar; NaN for an empty batch, as torch's own mean."""
    batch, channels, height, width = prediction.shape
    dtype = accumulation_dtype(prediction.dtype)
    if prediction.numel() == 0:
        return prediction.new_full((), float("nan"), dtype=dtype)
    predictions, targets, masks = map(flat_pixels, (prediction, target, mask))
    pixels = min(_PIXELS, triton.next_power_of_2(height * width))
    num_partials = batch * triton.cdiv(height * width, pixels)
    partials = prediction.new_empty((num_partials,), dtype=dtype)
    partial_sums_kernel[(num_partials,)](
        predictions,
        targets,
        masks,
        partials,
        channels,
        height * width,
        *predictions.stride(),
        *targets.stride(),
        masks.stride(0),
        masks.stride(2),
        outside_weight,
        ACC=TRITON_DTYPE[dtype],
        PIXELS=pixels,
        num_warps=4,
    )
    return mean(partials, prediction.numel())


def masked_mse_backward(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    """The gradient of the prediction, in its dtype and memory format."""
    batch, channels, height, width = prediction.shape
    dtype = accumulation_dtype(prediction.dtype)
    grad_prediction = empty_gradient(prediction)
    if prediction.numel() == 0:
        return grad_prediction
    predictions, targets, masks = map(flat_pixels, (prediction, target, mask))
    grads = flat_pixels(grad_prediction)
    pixels = min(_PIXELS, triton.next_power_of_2(height * width))
    masked_mse_backward_kernel[(batch * triton.cdiv(height * width, pixels),)](
        grad_loss,
        predictions,
        targets,
        masks,
        grads,
        channels,
        height * width,
        prediction.numel(),
        *predictions.stride(),
        *targets.stride(),
        masks.stride(0),
        masks.stride(2),
        *grads.stride(),
        outside_weight,
        ACC=TRITON_DTYPE[dtype],
        PIXELS=pixels,
        num_warps=4,
    )
    return grad_prediction
