"""`sesame data pack`: a data set in a few large files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sesame_hpc.cli.data_options import (
    AllowOutside,
    FormatName,
    MissingPoint,
    OnErrorChoice,
    Root,
    SchemeName,
    parse_missing,
)
from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.plural import counted
from sesame_hpc.printable import say

if TYPE_CHECKING:
    from sesame_hpc.data.annotations import Annotations
    from sesame_hpc.data.pack import PackReport, PackSettings

__all__ = ["pack"]


def pack(
    root: Root,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    format: FormatName = None,
    scheme: SchemeName = None,
    missing: MissingPoint = None,
    on_error: OnErrorChoice = "fail",
    size: Annotated[
        int | None,
        typer.Option(
            help="Store JPEG crops that suffice to train at this image_size, 8 to 4096. "
            "Default: the original files, without loss.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="With --size: side of the stored crop as a multiple of the box's longer side. "
            "Default: everything that the config's augmentation can need."
        ),
    ] = None,
    quality: Annotated[int, typer.Option(help="With --size: JPEG quality.", min=1, max=100)] = 95,
    config: Annotated[
        str | None,
        typer.Option(
            help="The config or preset whose data.box and data.augment the crops must serve."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of threads. Default: one per core.", min=1)
    ] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Pack a data set into a few large files. Run the same command again to resume."""
    from sesame_hpc.data.outside import refuse_foreign_files
    from sesame_hpc.data.pack import PackSettings

    check_output_folder("OUT", out, root)
    if config is not None and size is None:
        raise ValueError("--config goes with --size: without it, original files are packed whole")
    chosen = {} if config is None else _box_and_augment(config, root)
    settings = PackSettings(size=size, margin=margin, quality=quality, **chosen)
    parts = _parts(root, format, scheme, missing, on_error)
    refuse_foreign_files(root, parts.values(), allow_outside)
    report = _pack_with_bar(parts, out, settings, workers)
    say(_summary(report, out))


def _box_and_augment(config: str, root: Path) -> dict[str, Any]:
    from sesame_hpc.config import load_config

    data = load_config(config, [f"data.root={root}"]).data
    return {"box": data.box, "augment": data.augment}


def _parts(
    root: Path,
    format: str | None,
    scheme: str | None,
    missing: str | None,
    on_error: str,
) -> "dict[str, Annotations]":
    from sesame_hpc.data.formats.parsed import OnError
    from sesame_hpc.data.formats.readers import file_format, has_split, read_annotations
    from sesame_hpc.schemes import load_scheme

    loaded = load_scheme(scheme) if scheme else None
    source = file_format(root, format, loaded)
    options = (loaded, parse_missing(missing), OnError(on_error == "skip"))
    parts = {"train": read_annotations(root, source, "train", *options)}
    if has_split(root, source, "test", loaded):
        parts["test"] = read_annotations(root, source, "test", *options)
    return parts


def _pack_with_bar(
    parts: "dict[str, Annotations]", out: Path, settings: "PackSettings", workers: int | None
) -> "PackReport":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from sesame_hpc.console import SafeConsole
    from sesame_hpc.data.pack import write_pack

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    console = SafeConsole(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("packing faces", total=sum(map(len, parts.values())))

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return write_pack(parts, out, settings, workers=workers, advance=advance)


def _summary(report: "PackReport", out: Path) -> str:
    kept = f" ({report.kept} from before)" if report.kept else ""
    shards = counted(report.shards, "shard")
    lines = [
        f"{counted(report.faces, 'face')} in {shards}{kept}, {report.bytes / 1e6:.1f} MB, in {out}"
    ]
    if report.psnr:
        mean, worst = sum(report.psnr) / len(report.psnr), min(report.psnr)
        lines.append(
            f"{counted(report.encoded, 'crop')} encoded as JPEG: PSNR {mean:.1f} dB on average, "
            f"{worst:.1f} dB at worst"
        )
    return "\n".join(lines)
