"""Make `benchmarks/STEP.md` of the tables and profiles in `results/`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from benchmarks.common.notes import note_on
from benchmarks.common.paths import BENCHMARKS, RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import RowType, Table
from benchmarks.training import (
    before_after,
    end_to_end,
    gloo,
    large_batch,
    recipe,
    scaling,
    sections,
    train_step,
)
from sesame_hpc.files import write_text_atomic

__all__ = ["REPORT", "main", "report"]

REPORT = BENCHMARKS / "STEP.md"

INTRODUCTION = """# Training benchmarks

Made by `python -m benchmarks.training.report` of the tables in `results/`. The rows of one table
were measured interleaved, on the same machine; a ratio is the median of the ratios within rounds,
with the 20 % and 80 % quantiles in brackets.
"""


@dataclass(frozen=True)
class Section(Generic[RowType]):
    """Shows every table `results/<table>_*.csv`; `command` is the script's, after its package."""

    title: str
    table: str
    row_type: type[RowType]
    render: Callable[[Sequence[RowType]], str]
    command: str

    def parts(self) -> Iterator[str]:
        for path in sorted(RESULTS.glob(f"{self.table}_*.csv")):
            rows = Table(path, self.row_type).read()
            if rows:
                yield f"## {self.title}: {path.stem}\n"
                yield f"`python -m benchmarks.training.{self.command}`{_where(rows[0])}\n"
                yield from note_on(path)
                yield self.render(rows)


SECTIONS: tuple[Section[Any], ...] = (
    Section("The step", "step", train_step.Row, sections.steps, "train_step"),
    Section("With its loader", "end_to_end", end_to_end.Row, sections.loaders, "end_to_end"),
    Section("The whole recipe", "recipe", recipe.Row, sections.recipes, "recipe --data DIR"),
    Section(
        "Runs before and after",
        "before_after",
        before_after.Row,
        sections.revisions,
        "before_after --base REVISION --data DIR [--epochs EPOCHS]",
    ),
    Section("Many GPUs, modelled", "scaling", scaling.Row, sections.scaling_model, "scaling"),
    Section("The model against gloo", "gloo", gloo.Row, sections.gloo_check, "gloo"),
    Section(
        "Large batches",
        "large_batch",
        large_batch.Row,
        sections.batches,
        "large_batch --data DIR --samples SAMPLES --betas BETAS --settings SETTINGS",
    ),
)


def _where(row: object) -> str:
    keys = ("device", "threads", "torch", "deepspeed", "python")
    found = [f"{key} {getattr(row, key)}" for key in keys if hasattr(row, key)]
    return f"; {', '.join(found)}" if found else ""


def _profiles() -> Iterator[str]:
    """What `profile=true` printed, as it is; the first line of each file is the command."""
    for path in sorted(RESULTS.glob("profile_*.txt")):
        command, _, table = path.read_text().partition("\n")
        yield f"## Where the time goes: {path.stem}\n"
        yield f"`{command}`\n\n```text\n{table.rstrip()}\n```\n"


def report() -> str:
    """The report as Markdown."""
    parts = [INTRODUCTION, *(part for section in SECTIONS for part in section.parts())]
    parts += _profiles()
    if not list(RESULTS.glob("step_cuda*.csv")):
        parts.append(
            "No GPU has been measured yet; `make bench-training` on a machine with one adds it.\n"
        )
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    script_parser("benchmarks.training.report", __doc__).parse_args(arguments)
    write_text_atomic(REPORT, report())


if __name__ == "__main__":
    main()
