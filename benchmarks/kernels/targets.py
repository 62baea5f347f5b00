"""The speed-ups that the references on the CPU are meant to reach, beside what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common.markdown import markdown_table
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
    """A table of those targets that `rows` of one CPU measured; empty if there are none."""
    times = {(row.op, row.shape, row.provider): row.median_ms for row in rows if _counts(row)}
    cells = []
    for target in _CPU:
        theirs = times.get((target.op, target.shape, target.provider))
        ours = times.get((target.op, target.shape, "ours"))
        if theirs is None or ours is None:
            continue
        reached = "yes" if theirs / ours >= target.least else "no"
        case = f"{target.op}, {target.shape}"
        cells.append(
            (case, target.provider, f"{target.least:.2f}", f"{theirs / ours:.2f}", reached)
        )
    if not cells:
        return []
    table = markdown_table(("op", "provider", "target", "x ours", "reached"), cells)
    return ["### Targets, forward and backward", "", table, *_floor(times)]


def _counts(row: Row) -> bool:
    return row.direction == "both" and row.dtype == "float32" and row.copy_fraction is None


def _floor(times: dict[tuple[str, str, str], float]) -> list[str]:
    """How a quarter of kornia's time compares with what the softmax alone takes."""
    names = ("kornia", "softmax alone", "copy alone", "ours")
    found = [times.get(("soft_argmax", _MAPS, name)) for name in names]
    if None in found:
        return []
    kornia, softmax, copy, ours = (time or 0.0 for time in found)
    return [
        f"A quarter of kornia's time is {kornia / 4:.2f} ms. Reading the logits once and copying",
        f"them takes {copy:.2f} ms; PyTorch's softmax and one product in place, which gives no",
        f"coordinates and no gradient, {softmax:.2f} ms; ours {ours:.2f} ms. No run finds memory",
        "that another one freed: most of the copy's time goes into first touching its one tensor",
        "of 26 MB, for which ours asks Linux for large pages.",
        "",
    ]
