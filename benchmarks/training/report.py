"""Make `STEP.md` of the tables in `results/`: `python -m benchmarks.training.report`."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean

from benchmarks.common.paths import BENCHMARKS, RESULTS
from benchmarks.common.table import Table
from benchmarks.training import (
    before_after,
    end_to_end,
    large_batch,
    recipe,
    scaling,
    scaling_check,
    train_step,
)
from sesame_hpc.files import write_text_atomic

__all__ = ["main"]

_HEAD = """# Training, measured

Made by `python -m benchmarks.training.report` of the tables in `results/`. Rows of one table took turns
on the same machine; a ratio is the median of the ratios within turns, with the 20 % and 80 %
quantiles in brackets.
"""


def _table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def steps(rows: Sequence[train_step.Row]) -> str:
    heading = ("network", "stacks", "batch", "precision", "compiled", "loop", "ms", "images/s")
    cells = [
        (
            *(row.network, row.stacks, row.batch, row.precision, row.compile, row.provider),
            f"{row.median_ms:.4g}",
            f"{row.images_per_second:.0f}",
            f"{row.ratio:.3f} [{row.ratio_p20:.3f}, {row.ratio_p80:.3f}]",
            f"{row.mfu:.1%}",
            "" if row.peak_gib is None else f"{row.peak_gib:.1f}",
            f"{row.first_step_s:.1f}",
        )
        for row in rows
    ]
    return (
        "`ours` is the trainer's step: DeepSpeed's engine, schedule, a record every 20 steps.\n"
        "`plain` is the same network in a loop by hand, `reference` one as torchvision's scripts\n"
        "have it (fp32, eager, default layout). MFU: the network's operations over those of a\n"
        "matrix product in the same time and precision.\n\n"
    ) + _table((*heading, "time / plain's", "MFU", "peak GiB", "first step, s"), cells)


def whole(rows: Sequence[end_to_end.Row]) -> str:
    parts = []
    for _, group in groupby(rows, lambda row: (row.network, row.source, row.batch)):
        setup = list(group)
        cells = [
            (
                *(row.network, row.source, row.batch, row.precision, row.compile, row.provider),
                f"{row.images_per_second:.0f}",
                f"{1 / row.ratio:.1%} [{1 / row.ratio_p80:.1%}, {1 / row.ratio_p20:.1%}]",
            )
            for row in setup
        ]
        heading = ("network", "faces from", "batch", "precision", "compiled", "what", "images/s")
        parts.append(_table((*heading, "of the step alone"), cells))
        parts.append(f"At these rates, {end_to_end.recipe(setup)}.\n")
    return "\n".join(parts)


def stages(rows: Sequence[recipe.Row]) -> str:
    heading = ("region", "preliminary NME %", "finetune NME %", "masked %")
    parts = []
    for command, group in groupby(rows, lambda row: row.command):
        run = list(group)
        seconds = f"{run[0].preliminary_s} + {run[0].pretrain_s} + {run[0].finetune_s} s"
        rates = f"{run[0].preliminary_rate}, {run[0].pretrain_rate}, {run[0].finetune_rate}"
        cells = [
            (
                *(row.region, f"{row.preliminary_nme:.3f}", f"{row.finetune_nme:.3f}"),
                "" if row.region == recipe.ALL else f"{row.masked:.1%}",
            )
            for row in run
        ]
        parts.append(f"`{command}`: stages of {seconds}, at {rates} images/s.\n")
        parts.append(_table(heading, cells))
    return "\n".join(parts)


def revisions(rows: Sequence[before_after.Row]) -> str:
    heading = ("preset", "revision", "turn", "epochs", "settings", "seconds", "stages, s", "NME %")
    return _table(
        heading,
        [
            (
                *(row.preset, row.revision, row.turn, row.epochs, row.settings, row.seconds),
                f"{row.preliminary_s} + {row.pretrain_s} + {row.finetune_s}",
                f"{row.preliminary_nme:.3f}, {row.finetune_nme:.3f}",
            )
            for row in rows
        ],
    )


def on_paper(rows: Sequence[scaling.Row]) -> str:
    heading = ("network", "ranks", "sum, ms", "efficiency, sum after backward", "beside backward")
    cells = [
        (
            *(row.network, row.ranks, row.sum_ms),
            f"{row.efficiency_after:.1%}",
            f"{row.efficiency_beside:.1%}",
        )
        for row in rows
    ]
    links = "\n".join(
        f"* {link.name}: {link.bandwidth / 1e9:.1f} GB/s, {link.latency * 1e6:.0f} us a hop; "
        f"{link.source}."
        for link in (scaling.WITHIN, *scaling.BETWEEN)
    )
    return (
        f"{scaling.PARAMETERS / 1e6:.1f} M parameters, {scaling.BYTES / 1e6:.0f} MB of gradients a "
        f"step, if one rank takes {rows[0].step_ms} ms for {rows[0].batch} images (1,800 images/s "
        f"where nothing else was given).\n\n{links}\n\n"
        + _table(heading, cells)
        + "\nDeepSpeed's ZeRO 0 sums the gradients after the backward pass, in one piece. Within a "
        "node, and between nodes\nwith a card per GPU, that costs a hundredth of the step, and "
        "overlap would win half of it: not worth its\nmachinery. On slower networks it would win "
        "more; there a larger batch per GPU, or accumulation, wins as much.\n"
    )


def checked(rows: Sequence[scaling_check.CheckRow]) -> str:
    heading = ("ranks", "sum, ms", "modelled", "step without sum, ms", "step, ms", "modelled")
    return _table(
        heading,
        [
            (
                *(row.ranks, row.sum_ms, row.modelled_sum_ms),
                *(row.alone_ms, row.step_ms, row.modelled_step_ms),
            )
            for row in rows
        ],
    )


def batches(rows: Sequence[large_batch.Row]) -> str:
    heading = (
        *("preset", "settings", "samples", "batch", "steps", "rate", "warm-up", "betas"),
        "NME % by seed",
        "mean",
    )

    def setup(row: large_batch.Row) -> tuple[object, ...]:
        size = row.preset, row.settings, f"{row.samples:g}x", row.batch, row.steps
        return *size, f"{row.lr:g}", row.warmup_steps, f"{row.beta1:g}, {row.beta2:g}"

    cells = []
    for same, group in groupby(sorted(rows, key=_batch_order), setup):
        figures = [row.heldout_nme for row in group]
        cells.append((*same, ", ".join(f"{nme:.3f}" for nme in figures), f"{fmean(figures):.2f}"))
    return _table(heading, cells)


def _batch_order(row: large_batch.Row) -> tuple[object, ...]:
    size = row.preset, row.settings, row.samples, row.batch
    return *size, row.lr, row.beta1, row.beta2, row.seed


BEFORE_AFTER = "before_after --base REVISION --data DIR [--epochs EPOCHS]"
LARGE_BATCH = "large_batch --data DIR --samples SAMPLES --betas BETAS --settings SETTINGS"
SECTIONS = (
    ("The step", "step", train_step.Row, steps, "train_step"),
    ("With its loader", "end_to_end", end_to_end.Row, whole, "end_to_end"),
    ("The whole recipe", "recipe", recipe.Row, stages, "recipe --data DIR"),
    ("Runs before and after", "before_after", before_after.Row, revisions, BEFORE_AFTER),
    ("Many GPUs, on paper", "scaling", scaling.Row, on_paper, "scaling"),
    (
        "The model against gloo",
        "gloo",
        scaling_check.CheckRow,
        checked,
        "scaling --check",
    ),
    ("Large batches", "large_batch", large_batch.Row, batches, LARGE_BATCH),
)


def profiles() -> Iterable[str]:
    """What `profile=true` printed, as it is; the first line of a file says of what command."""
    for path in sorted(RESULTS.glob("profile_*.txt")):
        command, _, table = path.read_text().partition("\n")
        yield f"## Where the time goes: {path.stem}\n"
        yield f"`{command}`\n\n```text\n{table.rstrip()}\n```\n"


def main() -> None:
    parts = [_HEAD]
    for title, name, row_type, render, command in SECTIONS:
        for path in sorted(RESULTS.glob(f"{name}_*.csv")):
            rows = Table(path, row_type).read()
            if rows:
                parts.append(f"## {title}: {path.stem}\n")
                parts.append(f"`python -m benchmarks.training.{command}`; {_where(rows[0])}\n")
                parts.append(render(rows))  # type: ignore[operator]
    parts += profiles()
    if not list(RESULTS.glob("step_cuda*.csv")):
        parts.append(
            "No GPU has been measured yet: `make bench-training` on a machine with one does it.\n"
        )
    write_text_atomic(BENCHMARKS / "STEP.md", "\n".join(parts))


def _where(row: object) -> str:
    keys = ("device", "threads", "torch", "deepspeed", "python")
    found = [f"{key} {getattr(row, key)}" for key in keys if hasattr(row, key)]
    return ", ".join(found) if found else "see the table"


if __name__ == "__main__":
    main()
