"""Handing weights from one stage's network to the next, with every key accounted for."""

import re
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["TransferReport", "transfer_backbone"]

_STAYS_BEHIND = re.compile(r"^backbone\.stacks\.\d+\.(head|inject_map)\.")


@dataclass(frozen=True)
class TransferReport:
    """Keys inherited from the source, and keys that start afresh in the target."""

    inherited: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.inherited)} tensors inherited, {len(self.fresh)} start afresh"


def transfer_backbone(source: dict[str, Tensor], target: nn.Module) -> TransferReport:
    """Copy all of `source` but heads and their re-injection into `target`, in place.

    `source` is the state dict of another stage's network. The last stack has no re-injection.

    Raises ValueError where a tensor other than a head or a head's re-injection is missing on
    either side, or has another shape: two networks of one config never differ there.
    """
    wanted = target.state_dict()
    inherited = {key: value for key, value in source.items() if not _STAYS_BEHIND.match(key)}
    expected = {key for key in wanted if not _STAYS_BEHIND.match(key)}
    faults = [f"missing in the source: {key}" for key in sorted(expected - inherited.keys())]
    faults += [f"unknown to the target: {key}" for key in sorted(inherited.keys() - expected)]
    faults += [
        f"{key} is {tuple(inherited[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in sorted(expected & inherited.keys())
        if inherited[key].shape != wanted[key].shape
    ]
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise ValueError(f"the weights do not fit this network: {shown}")
    target.load_state_dict(wanted | inherited)
    return TransferReport(tuple(sorted(inherited)), tuple(sorted(wanted.keys() - inherited.keys())))
