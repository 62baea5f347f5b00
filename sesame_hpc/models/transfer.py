"""Transfer of weights from one stage's network to the next, with every key accounted for."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["TransferReport", "transfer_backbone", "transfer_landmark_heads"]

_MAPS_DIMENSION = {"head.weight": 0, "head.bias": 0, "inject_map.weight": 1}
"""Which dimension of a head's tensor counts its maps; the bias of re-injection has none."""
_NOT_TRANSFERRED = re.compile(r"^backbone\.(head|stacks\.\d+\.(head|inject_map))\.")


@dataclass(frozen=True)
class TransferReport:
    """Keys inherited from the source, and keys that keep the target's initialisation."""

    inherited: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.inherited)} tensors inherited, {len(self.fresh)} initialised"


def transfer_backbone(source: dict[str, Tensor], target: nn.Module) -> TransferReport:
    """Copy `source`, except heads and their re-injection, into `target`, in place.

    `source` is the state dict of another stage's network. The last stack has no re-injection.

    Raises ValueError if a tensor other than a head or a head's re-injection is missing on either
    side or has another shape, which cannot happen with two networks of one config.
    """
    wanted = target.state_dict()
    inherited = {key: value for key, value in source.items() if not _NOT_TRANSFERRED.match(key)}
    expected = {key for key in wanted if not _NOT_TRANSFERRED.match(key)}
    problems = [f"missing in the source: {key}" for key in sorted(expected - inherited.keys())]
    problems += [f"missing in the target: {key}" for key in sorted(inherited.keys() - expected)]
    problems += [
        f"{key} is {tuple(inherited[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in sorted(expected & inherited.keys())
        if inherited[key].shape != wanted[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (
            f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        )
        raise ValueError(f"the weights do not fit this network: {shown}")
    target.load_state_dict(wanted | inherited)
    return TransferReport(tuple(sorted(inherited)), tuple(sorted(wanted.keys() - inherited.keys())))


@torch.no_grad()
def transfer_landmark_heads(source: dict[str, Tensor], target: nn.Module, landmarks: int) -> None:
    """Copy the first `landmarks` maps of each head, and their re-injection, into `target`.

    They are the landmarks' in `LandmarkNet` and in `JointNet`; what a head has beyond them keeps
    its initialisation. To be used after `transfer_backbone`, which checks the rest.
    """
    for key, tensor in target.state_dict().items():
        if not _NOT_TRANSFERRED.match(key):
            continue
        dimension = _MAPS_DIMENSION.get(".".join(key.split(".")[-2:]))
        if dimension is None:
            tensor.copy_(source[key])
        else:
            part = source[key].narrow(dimension, 0, landmarks)
            tensor.narrow(dimension, 0, landmarks).copy_(part)
