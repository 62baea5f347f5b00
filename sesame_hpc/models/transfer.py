"""Transfer of weights from one stage's network to the next, with every key accounted for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["TransferReport", "transfer_backbone", "transfer_landmark_heads", "transfer_maps"]

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


def transfer_maps(
    source: dict[str, Tensor],
    target: nn.Module,
    source_names: Sequence[str],
    target_names: Sequence[str],
) -> int:
    """Copy the maps of heads that have a name on both sides, and their re-injection; how many.

    Names stand for the maps of each head in their order. The others keep their initialisation; the
    bias of a re-injection, which belongs to no map, is copied if any map is. To be used after
    `transfer_backbone`, which checks the rest.

    Raises ValueError where a head of the source has another number of maps than names.
    """
    place = {name: index for index, name in enumerate(source_names)}
    pairs = [(place[name], index) for index, name in enumerate(target_names) if name in place]
    if not pairs:
        return 0
    there, here = (torch.tensor(each) for each in zip(*pairs, strict=True))
    for key, tensor in target.state_dict().items():
        if not _NOT_TRANSFERRED.match(key):
            continue
        if key not in source:
            raise ValueError(f"the weights do not fit this network: missing in the source: {key}")
        dimension = _MAPS_DIMENSION.get(".".join(key.split(".")[-2:]))
        if dimension is None:
            tensor.copy_(source[key])
            continue
        if source[key].shape[dimension] != len(source_names):
            raise ValueError(
                f"the weights do not fit their description: {key} is of "
                f"{source[key].shape[dimension]} maps, not {len(source_names)}"
            )
        tensor.index_copy_(dimension, here, source[key].index_select(dimension, there))
    return len(pairs)
