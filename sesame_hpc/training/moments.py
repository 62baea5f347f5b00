"""Adam's moments by parameter, in one form for any number of ranks and either stage of ZeRO.

ZeRO 1 lays all parameters of an optimizer's group end to end and gives each rank an equal part of
them, whose moments that rank alone keeps. Which elements of a parameter these are is what DeepSpeed
attaches to it: two ranges, one in the parameter and one in the rank's part.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["gather_moments", "restore_moments"]

_KEYS = ("exp_avg", "exp_avg_sq")
_FRAGMENT = "_hp_mapping"


def gather_moments(module: nn.Module, adam: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """{name of a parameter: {"step", "exp_avg", "exp_avg_sq"}} on every rank. Collective.

    Moments have as many elements as their parameter, in its order. Empty before the first step.
    """
    named = dict(module.named_parameters())
    if not _is_sharded(module):
        return {name: dict(adam.state[each]) for name, each in named.items() if each in adam.state}
    if not adam.state:
        return {}
    step = next(iter(adam.state.values()))["step"]
    found: dict[str, dict[str, Tensor]] = {name: {"step": step} for name in named}
    sizes = [each.numel() for each in named.values()]
    for key in _KEYS:
        whole = torch.zeros(sum(sizes), device=step.device)
        parts = whole.split(sizes)
        for part, each in zip(parts, named.values(), strict=True):
            for within, moments in _fragment(each, adam, key):
                part[within] = moments
        if dist.get_world_size() > 1:
            # As integers, whose sum with zeros has the same bits; -0.0 + 0.0 is 0.0.
            dist.all_reduce(whole.view(torch.int32))
        for name, part in zip(named, parts, strict=True):
            found[name][key] = part
    return found


@torch.no_grad()
def restore_moments(
    module: nn.Module, adam: torch.optim.Optimizer, saved: dict[str, dict[str, Tensor]]
) -> None:
    """Set the optimizer's state on this rank to what `gather_moments` gave."""
    if not saved:
        adam.state.clear()
        return
    named = dict(module.named_parameters())
    if not _is_sharded(module):
        adam.state.clear()
        for name, state in saved.items():
            adam.state[named[name]] = _state_like(named[name], state["step"])
            for key in _KEYS:
                moments = adam.state[named[name]][key]
                moments.copy_(state[key].reshape(moments.shape))
        return
    step = next(iter(saved.values()))["step"]
    for group in adam.param_groups:
        for part in group["params"]:
            # In place where there are some: DeepSpeed holds views of them.
            for key, value in _state_like(part, step).items():
                adam.state[part].setdefault(key, value).copy_(value)
    for name, state in saved.items():
        for key in _KEYS:
            for within, moments in _fragment(named[name], adam, key):
                moments.copy_(state[key].flatten()[within])


def _is_sharded(module: nn.Module) -> bool:
    return any(hasattr(each, _FRAGMENT) for each in module.parameters())


def _fragment(
    parameter: Tensor, adam: torch.optim.Optimizer, key: str
) -> Iterator[tuple[slice, Tensor]]:
    """The range of the flattened parameter that is on this rank, and its moments; or nothing."""
    mapping = getattr(parameter, _FRAGMENT)
    if mapping is None:
        return
    within, held = mapping.lp_fragment_address, mapping.hp_fragment_address
    (part,) = adam.param_groups[mapping.param_group_index]["params"]
    yield (
        slice(within.start, within.start + within.numel),
        adam.state[part][key].narrow(0, held.start, held.numel),
    )


def _state_like(parameter: Tensor, step: Tensor) -> dict[str, Any]:
    zeros = {key: torch.zeros_like(parameter) for key in _KEYS}
    return {"step": step.detach().clone().to(parameter.device)} | zeros
