"""What STEP.md says of each table of training, as Markdown."""

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from benchmarks.common.markdown import markdown_table
from benchmarks.training import (
    before_after,
    end_to_end,
    gloo,
    large_batch,
    recipe,
    scaling,
    train_step,
)

__all__ = [
    "batches",
    "gloo_check",
    "loaders",
    "recipes",
    "revisions",
    "scaling_model",
    "steps",
]


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
        "`plain` is the same network in a hand-written loop, `reference` in a loop as in\n"
        "torchvision's scripts (fp32, eager, default layout). MFU: the network's operations over\n"
        "those of a matrix product in the same time and precision.\n\n"
    ) + markdown_table((*heading, "time / plain's", "MFU", "peak GiB", "first step, s"), cells)


def loaders(rows: Sequence[end_to_end.Row]) -> str:
    heading = ("network", "faces from", "batch", "precision", "compiled", "what", "images/s")
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
        parts.append(markdown_table((*heading, "of the step alone"), cells))
        parts.append(f"At these rates, {end_to_end.paper_training(setup)}.\n")
    return "\n".join(parts)


def recipes(rows: Sequence[recipe.Row]) -> str:
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
        parts.append(markdown_table(heading, cells))
    return "\n".join(parts)


def revisions(rows: Sequence[before_after.Row]) -> str:
    heading = ("preset", "revision", "round", "epochs", "settings", "seconds", "stages, s", "NME %")
    cells = [
        (
            *(row.preset, row.revision, row.round, row.epochs, row.settings, row.seconds),
            f"{row.preliminary_s} + {row.pretrain_s} + {row.finetune_s}",
            f"{row.preliminary_nme:.3f}, {row.finetune_nme:.3f}",
        )
        for row in rows
    ]
    return markdown_table(heading, cells)


def scaling_model(rows: Sequence[scaling.Row]) -> str:
    heading = ("network", "ranks", "all-reduce, ms", "efficiency, all-reduce after backward")
    cells = [
        (
            *(row.network, row.ranks, row.allreduce_ms),
            f"{row.efficiency_after:.1%}",
            f"{row.efficiency_overlapped:.1%}",
        )
        for row in rows
    ]
    links = "\n".join(
        f"* {link.name}: {link.bandwidth / 1e9:.1f} GB/s, {link.latency * 1e6:.0f} us per hop; "
        f"{link.source}."
        for link in (scaling.WITHIN, *scaling.BETWEEN)
    )
    rate = rows[0].batch / rows[0].step_ms * 1e3
    return (
        f"{scaling.PARAMETERS / 1e6:.1f} M parameters, {scaling.BYTES / 1e6:.0f} MB of gradients "
        f"per step. One rank is assumed to take {rows[0].step_ms} ms for {rows[0].batch} images, "
        f"{rate:,.0f} images/s.\n\n{links}\n\n"
        + markdown_table((*heading, "overlapped with backward"), cells)
        + "\nDeepSpeed's ZeRO 0 reduces the gradients after the backward pass, all at once. Within "
        "a node, and\nbetween nodes with a card per GPU, that costs about 1 % of the step. Overlap "
        "would save half of that,\nwhich is not worth its complexity. On slower networks it would "
        "save more, but so does a larger batch\nper GPU, or gradient accumulation.\n"
    )


def gloo_check(rows: Sequence[gloo.Row]) -> str:
    heading = ("ranks", "all-reduce, ms", "modelled", "step without it, ms", "step, ms", "modelled")
    cells = [
        (
            *(row.ranks, row.allreduce_ms, row.modelled_allreduce_ms),
            *(row.compute_ms, row.step_ms, row.modelled_step_ms),
        )
        for row in rows
    ]
    return markdown_table(heading, cells)


def batches(rows: Sequence[large_batch.Row]) -> str:
    heading = (
        *("preset", "settings", "samples", "batch", "steps", "learning rate", "warm-up", "betas"),
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
    return markdown_table(heading, cells)


def _batch_order(row: large_batch.Row) -> tuple[str, str, float, int, float, float, float, int]:
    size = row.preset, row.settings, row.samples, row.batch
    return *size, row.lr, row.beta1, row.beta2, row.seed
