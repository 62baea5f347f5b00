"""Masked mean squared error in Triton: a two-stage sum in a fixed order, without atomics.

Where the channels of each pixel lie side by side in all images, as in channels-last, their elements
are taken in the order of memory, and several share an element of the mask.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from sesame_kernels.fused.launch import (
    TRITON_DTYPE,
    Elements,
    elements_of,
    pixel_tiles,
    strides,
)
from sesame_kernels.fused.plans import Plan, launch, planned
from sesame_kernels.fused.sums import Mean
from sesame_kernels.fused.tiles import pixel_addresses, pixels_of_program
from sesame_kernels.layout import (
    accumulation_dtype,
    empty_gradient,
    flat_pixels,
    with_rows_joined,
)

__all__ = ["masked_mse", "masked_mse_backward"]

_PIXELS = 2048


@triton.jit
def _weight(
    mask,
    sample,
    pixels,
    valid,
    stride_b,
    stride_p,
    outside_weight,
    ACC: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Of elements, GROUP of which belong to one pixel of the mask."""
    pixels = pixels // GROUP
    inside = tl.load(
        pixel_addresses(mask, sample, pixels, stride_b, stride_p), mask=valid, other=0.0
    )
    outside = tl.cast(outside_weight, ACC)
    return inside.to(ACC) * (1.0 - outside) + outside


@triton.jit
def _difference(predictions, targets, valid, ACC: tl.constexpr):
    """Prediction minus target, 0 where not valid."""
    prediction = tl.load(predictions, mask=valid, other=0.0).to(ACC)
    return prediction - tl.load(targets, mask=valid, other=0.0).to(ACC)


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
    GROUP: tl.constexpr,
):
    sample, pixels, valid = pixels_of_program(num_pixels, PIXELS)
    weight = _weight(
        mask, sample, pixels, valid, mask_stride_b, mask_stride_p, outside_weight, ACC, GROUP
    )
    predictions = pixel_addresses(
        prediction, sample, pixels, prediction_stride_b, prediction_stride_p
    )
    targets = pixel_addresses(target, sample, pixels, target_stride_b, target_stride_p)
    total = tl.zeros([PIXELS], ACC)
    for _channel in range(channels):
        difference = _difference(predictions, targets, valid, ACC)
        total += difference * difference
        predictions += prediction_stride_c
        targets += target_stride_c
    tl.store(partials + tl.program_id(0), tl.sum(tl.where(valid, total * weight, 0.0)))


@triton.jit(do_not_specialize=["numel"])
def masked_mse_backward_kernel(
    grad_loss,
    prediction,
    target,
    mask,
    grad_prediction,
    channels,
    num_pixels,
    numel: tl.int64,
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
    GROUP: tl.constexpr,
):
    sample, pixels, valid = pixels_of_program(num_pixels, PIXELS)
    weight = _weight(
        mask, sample, pixels, valid, mask_stride_b, mask_stride_p, outside_weight, ACC, GROUP
    )
    factor = weight * (tl.load(grad_loss).to(ACC) * 2.0 / numel)
    predictions = pixel_addresses(
        prediction, sample, pixels, prediction_stride_b, prediction_stride_p
    )
    targets = pixel_addresses(target, sample, pixels, target_stride_b, target_stride_p)
    grads = pixel_addresses(grad_prediction, sample, pixels, grad_stride_b, grad_stride_p)
    for _channel in range(channels):
        tl.store(grads, factor * _difference(predictions, targets, valid, ACC), mask=valid)
        predictions += prediction_stride_c
        targets += target_stride_c
        grads += grad_stride_c


def _forward_plan(prediction: Tensor, target: Tensor, mask: Tensor) -> tuple[Plan, Mean]:
    """(the sum of each program, their mean)."""
    dtype = accumulation_dtype(prediction.dtype)
    prediction, target = flat_pixels(prediction), flat_pixels(target)
    elements = elements_of(prediction, target)
    programs, _ = pixel_tiles(prediction.shape[0], elements.pixels, _PIXELS)
    integers = (
        *elements.counts,
        *elements.strides_of(prediction),
        *elements.strides_of(target),
        *strides(flat_pixels(mask))[::2],
    )
    constants = _constants(prediction, elements)
    return Plan(partial_sums_kernel, (programs,), integers, constants), Mean(programs, dtype)


def _backward_plan(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, grad_prediction: Tensor
) -> Plan:
    images = [flat_pixels(each) for each in (prediction, target, grad_prediction)]
    elements = elements_of(*images)
    programs, _ = pixel_tiles(prediction.shape[0], elements.pixels, _PIXELS)
    integers = (
        *elements.counts,
        prediction.numel(),
        *elements.strides_of(images[0]),
        *elements.strides_of(images[1]),
        *strides(flat_pixels(mask))[::2],
        *elements.strides_of(images[2]),
    )
    constants = _constants(prediction, elements)
    return Plan(masked_mse_backward_kernel, (programs,), integers, constants)


def _constants(prediction: Tensor, elements: Elements) -> dict[str, Any]:
    _, pixels = pixel_tiles(1, elements.pixels, _PIXELS)
    return {
        "ACC": TRITON_DTYPE[accumulation_dtype(prediction.dtype)],
        "PIXELS": pixels,
        "GROUP": elements.group,
        "num_warps": 4,
    }


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float) -> Tensor:
    """Equation 2 as a scalar; NaN for an empty batch, as torch's own mean."""
    dtype = accumulation_dtype(prediction.dtype)
    if prediction.numel() == 0:
        return prediction.new_full((), float("nan"), dtype=dtype)
    images = tuple(map(with_rows_joined, (prediction, target, mask)))
    sums, mean = planned(_forward_plan, images)
    partials = prediction.new_empty(sums.grid, dtype=dtype)
    sums.launch((*images, partials), (outside_weight,))
    return mean(partials, prediction.numel())


def masked_mse_backward(
    grad_loss: Tensor, prediction: Tensor, target: Tensor, mask: Tensor, outside_weight: float
) -> Tensor:
    """The gradient of the prediction, in its dtype and memory format."""
    grad_prediction = empty_gradient(prediction)
    if prediction.numel() == 0:
        return grad_prediction
    images = map(with_rows_joined, (prediction, target, mask, grad_prediction))
    launch(_backward_plan, (grad_loss, *images), (outside_weight,))
    return grad_prediction
