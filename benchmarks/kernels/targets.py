"""The ratios that the references on the CPU are meant to reach, beside what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.kernels.harness import Row

__all__ = ["target_lines"]


@dataclass(frozen=True)
class Target:
    """Forward and backward of `provider` take at least `least` times as long as ours."""

    op: str
    shape: str
    provider: str
    least: float


_HEAD, _MAPS = "16x256x64x64->98", "16x98x64x64"
_CPU = (
    *(Target("soft_argmax", _MAPS, name, 1.0) for name in ("eager", "dsntnn")),
    Target("soft_argmax", _MAPS, "kornia", 4.0),
    Target("masked_mse", "64x3x256x256", "eager", 1.5),
    *(
        Target("linear_soft_argmax", shape, "conv + our soft_argmax", 1 / 1.1)
        for shape in (_HEAD, f"{_HEAD} nhwc")
    ),
    *(Target("noise_mask", shape, "eager", 1.0) for shape in ("64x3x96x96", "64x3x256x256")),
)


def target_lines(rows: Sequence[Row]) -> list[str]:
    """A table of those targets that `rows` of one CPU measured; empty if none was."""
    times = {(row.op, row.shape, row.provider): row.median_ms for row in rows if _counts(row)}
    lines = []
    for target in _CPU:
        theirs = times.get((target.op, target.shape, target.provider))
        ours = times.get((target.op, target.shape, "ours"))
        if theirs is None or ours is None:
            continue
        met = "yes" if theirs / ours >= target.least else "no"
        lines.append(
            f"| {target.op}, {target.shape} | {target.provider} | {target.least:.2f} "
            f"| {theirs / ours:.2f} | {met} |"
        )
    if not lines:
        return []
    head = ["### Targets, forward and backward", "", "| op | provider | asked | x ours | met |"]
    return [*head, "|---" * 5 + "|", *lines, "", *_floor(times)]


def _counts(row: Row) -> bool:
    return row.direction == "both" and row.dtype == "float32" and row.copy_fraction is None


def _floor(times: dict[tuple[str, str, str], float]) -> list[str]:
    """How far four times kornia's pace is from what the softmax alone allows."""
    names = ("kornia", "softmax alone", "copy alone", "ours")
    found = [times.get(("soft_argmax", _MAPS, name)) for name in names]
    if None in found:
        return []
    kornia, softmax, copy, ours = (time or 0.0 for time in found)
    return [
        f"A quarter of kornia's time is {kornia / 4:.2f} ms. One read and one copy of the logits",
        f"take {copy:.2f} ms; PyTorch's softmax and one product in place, without coordinates or",
        f"slopes, take {softmax:.2f} ms; ours takes {ours:.2f} ms. A run finds no memory that",
        "another one left: most of the copy's time is the first touch of the one tensor of 26 MB,",
        "which ours asks Linux to give in large pages.",
        "",
    ]
