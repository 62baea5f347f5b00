"""Registration of the ops: schemas, devices, fakes for the compiler, and derivatives."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_autograd, register_fake

from sesame_kernels import fakes
from sesame_kernels.calls import call, differentiate, run
from sesame_kernels.derivatives import DERIVATIVES

__all__ = ["NAMESPACE", "call"]

NAMESPACE = "sesame_kernels"
_LIBRARY = Library(NAMESPACE, "DEF")
# With `reuse` the caller drops the last result, so that backward may overwrite it.
_SCHEMAS = (
    "soft_argmax(Tensor logits, float beta, bool reuse) -> (Tensor, Tensor)",
    "soft_argmax_backward(Tensor grad_coordinates, Tensor logits, Tensor coordinates, "
    "Tensor statistics, float beta) -> Tensor",
    "soft_argmax_moments(Tensor logits, float beta) -> (Tensor, Tensor, Tensor)",
    "soft_argmax_moments_backward(Tensor grad_coordinates, Tensor grad_moments, Tensor logits, "
    "Tensor coordinates, Tensor moments, Tensor statistics, float beta) -> Tensor",
    "soft_argmax_distribution(Tensor logits, float beta) -> (Tensor, Tensor, Tensor)",
    "soft_argmax_distribution_backward(Tensor grad_coordinates, Tensor grad_moments, "
    "Tensor logits, Tensor coordinates, Tensor moments, Tensor statistics, float beta) -> Tensor",
    "soft_argmax_marginals(Tensor logits, float beta, bool reuse) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    "soft_argmax_marginals_backward(Tensor grad_coordinates, Tensor grad_x, Tensor grad_y, "
    "Tensor logits, Tensor coordinates, Tensor along_x, Tensor along_y, Tensor statistics, "
    "float beta) -> Tensor",
    "soft_argmax_loss(Tensor[] logits, Tensor target, Tensor? weight, float beta, str penalty, "
    "float width, float curvature, bool with_gradient, bool reuse) -> (Tensor, Tensor, Tensor)",
    "soft_argmax_loss_backward(Tensor grad_loss, Tensor unit_gradient, ScalarType dtype) -> Tensor",
    "soft_argmax_loss_rescale_(Tensor grad_loss, Tensor(a!) unit_gradient) -> ()",
    "star_loss(Tensor coordinates, Tensor moments, Tensor target, Tensor? weight, str penalty, "
    "float width, float curvature, float restriction, float floor) -> (Tensor, Tensor, Tensor)",
    "linear_soft_argmax(Tensor features, Tensor weight, float beta, bool reuse) "
    "-> (Tensor, Tensor)",
    "linear_soft_argmax_backward(Tensor grad_coordinates, Tensor features, Tensor weight, "
    "Tensor coordinates, Tensor statistics, float beta) -> (Tensor, Tensor)",
    "masked_mse(Tensor prediction, Tensor target, Tensor mask, float outside_weight) -> Tensor",
    "masked_mse_backward(Tensor grad_loss, Tensor prediction, Tensor target, Tensor mask, "
    "float outside_weight) -> Tensor",
    "noise_mask(Tensor images, Tensor anchors, Tensor sigma, Tensor counts, SymInt seed, "
    "Tensor sample_ids, float noise_mean, float noise_std) -> (Tensor, Tensor)",
    "noise_mask_backward(Tensor grad_masked, Tensor coverage) -> Tensor",
)


def _name_of(schema: str) -> str:
    return schema[: schema.index("(")]


_OF_LISTS = {_name_of(schema) for schema in _SCHEMAS if "(Tensor[]" in schema}


def _define(schema: str) -> str:
    name = _name_of(schema)

    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    for device in ("CPU", "CUDA"):
        _LIBRARY.impl(name, partial(run, name), device)
    register_fake(f"{NAMESPACE}::{name}", getattr(fakes, name), lib=_LIBRARY)
    return name


def _refuse_second_derivative(name: str) -> Callable[..., None]:
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError(f"{NAMESPACE}::{name} has no derivative of its own")

    return backward


for _name in map(_define, _SCHEMAS):
    if _name in DERIVATIVES:
        _derivative, _setup = DERIVATIVES[_name]
        register_autograd(f"{NAMESPACE}::{_name}", _derivative, setup_context=_setup, lib=_LIBRARY)
        differentiate(_name, _derivative, _setup, of_list=_name in _OF_LISTS)
    elif _name.endswith("backward"):
        register_autograd(f"{NAMESPACE}::{_name}", _refuse_second_derivative(_name), lib=_LIBRARY)
