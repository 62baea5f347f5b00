"""`sesame data check`: what is wrong with a data set's files, on one screen."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sesame_hpc.choices import BoxProtocol
from sesame_hpc.cli.data_options import FormatName, MissingPoint, Root, SchemeName, parse_missing
from sesame_hpc.cli.outputs import check_output_file
from sesame_hpc.process import usable_cores

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sesame_hpc.data.check import Finding, Report

__all__ = ["check"]

_MOST_LINES, _LINES_BESIDE_GROUPS, _LINES_OF_EXAMPLE = 40, 11, 2
_FEWEST_GROUPS = 2
_INDENT = 7
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check(
    root: Root,
    format: FormatName = None,
    scheme: SchemeName = None,
    missing: MissingPoint = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write every finding to this JSON file.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 for notes as well.")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Read the image files.")
    ] = True,
    box: Annotated[
        BoxProtocol | None,
        typer.Option(help="The box protocol of the crops. Default: square, or that of the pack."),
    ] = None,
    crop_scale: Annotated[
        float | None,
        typer.Option(
            help="Side of the crop as a multiple of the box's longer side. "
            "Default: 1.2, or that of the pack.",
            min=0.01,
        ),
    ] = None,
) -> None:
    """Check annotations and images, and name each finding by file and line.

    Exit codes: 0 clean, 1 errors or warnings (with --strict also notes), 2 no readable face.
    """
    from rich.progress import Progress

    from sesame_hpc.console import SafeConsole
    from sesame_hpc.data.check import check_data
    from sesame_hpc.files import write_json_atomic
    from sesame_hpc.schemes import load_scheme

    check_output_file("--json", json, root)
    console = SafeConsole()
    loaded = load_scheme(scheme) if scheme else None
    threads = usable_cores() if images else None
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        report = check_data(
            root,
            format,
            loaded,
            missing=parse_missing(missing),
            protocol=box,
            crop_scale=crop_scale,
            threads=threads,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json is not None:
        write_json_atomic(json, report.to_json())
    _print_report(console, report, strict, json)
    raise typer.Exit(report.exit_code(strict))


def _print_report(console: "Console", report: "Report", strict: bool, json: Path | None) -> None:
    from rich.text import Text

    console.print(Text(f"{report.root}: format {report.format}, scheme {report.scheme}"))
    console.print(_parts_table(report))
    crops = f"least NME: of {report.box.protocol} crops of {report.box.scale:g} boxes"
    console.print(Text(crops, style="dim"))
    groups = report.groups()
    room = min(console.height, _MOST_LINES) - _LINES_BESIDE_GROUPS
    for shown, group in enumerate(groups):
        lines = _example(console, report, group[0])
        room -= 1 + len(lines)
        if room < 0 and shown >= _FEWEST_GROUPS:
            hidden = sum(map(len, groups[shown:]))
            console.print(Text(f"and {len(groups) - shown} more kinds with {hidden} findings"))
            break
        _print_group(console, group, lines)
    if report.unchecked:
        console.print(
            Text(f"not checked, as a pack has none: {', '.join(report.unchecked)}", style="dim")
        )
    console.print(Text(_verdict(report, strict)))
    if report.findings:
        where = f"all in {json}" if json else "--json FILE lists all"
        console.print(Text(where, style="dim"))


def _parts_table(report: "Report") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    for title in ("faces", "images", "faulty", "outside crop", "least NME %"):
        table.add_column(title, justify="right")
    for part in report.parts:
        counts = (part.faces, part.images, part.faults, part.faces_outside_crop)
        numbers = [f"{count:,}" for count in counts]
        table.add_row(part.split, *numbers, f"{part.crop_floor:.3f}")
    return table


def _example(console: "Console", report: "Report", finding: "Finding") -> list[str]:
    """The lines of a finding; errors in full, since their end says what to do."""
    text = f"{Path(finding.place).name}: {finding.message}".replace(f"{report.root}/", "")
    width = max(console.width - _INDENT, 20)
    if finding.level == "error":
        return textwrap.wrap(text, width)
    return textwrap.wrap(text, width, max_lines=_LINES_OF_EXAMPLE, placeholder=" ...")


def _print_group(console: "Console", group: list["Finding"], lines: list[str]) -> None:
    from rich.text import Text

    from sesame_hpc.data.check.registry import TITLES

    first = group[0]
    head = Text(f"{len(group):>6,} ")
    head.append(first.level, style=_STYLES[first.level])
    head.append(f"{'s' * (len(group) > 1)}: {TITLES[first.check]}")
    console.print(head)
    console.print(Text(textwrap.indent("\n".join(lines), " " * _INDENT), style="dim"))


def _verdict(report: "Report", strict: bool) -> str:
    from sesame_hpc.data.findings import LEVELS

    if report.exit_code(strict) == 2:
        return "unreadable: no face can be read"
    counts = [(report.count(level), level) for level in LEVELS]
    said = [f"{count:,} {level}{'s' * (count > 1)}" for count, level in counts if count]
    return f"{'found' if report.exit_code(strict) else 'clean'}: {', '.join(said) or 'nothing'}"
