"""`sesame predict`."""

from pathlib import Path
from typing import Annotated

import typer

from sesame_hpc.choices import CoordinateStage, Detector, Device, OutputFormat, Weights
from sesame_hpc.cli.outputs import check_output_folder
from sesame_hpc.printable import say

__all__ = ["predict"]


def predict(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A run folder, an exported folder or an .onnx file."),
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT...", help="Images, folders of images, or videos."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="CAMERA|PLACE",
            help="In place of INPUT: a camera by its number (0), or a device, pipe or URL that "
            "FFmpeg opens. Landmarks are written as they are found, one line per frame, until it "
            "ends or Ctrl-C.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="With --source: stop after this many frames.", min=1)
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON: image, x_min, y_min, x_max, y_max; for videos also frame. "
            "Default: each whole image is one face."
        ),
    ] = None,
    detector: Annotated[
        Detector | None, typer.Option(help="Find the boxes with OpenCV's YuNet.")
    ] = None,
    detector_weights: Annotated[
        Path | None, typer.Option(help="YuNet's ONNX file. Default: $SESAME_YUNET.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("predictions"),
    format: Annotated[
        OutputFormat, typer.Option(help="The format of the landmarks file.")
    ] = "json",
    draw: Annotated[
        bool, typer.Option(help="Also write images with the landmarks drawn in.")
    ] = True,
    smooth: Annotated[
        bool, typer.Option(help="Smooth the landmarks over the frames of a video.")
    ] = False,
    stage: Annotated[
        CoordinateStage | None,
        typer.Option(
            help="For a run folder: the stage whose weights to use. Default: its last one."
        ),
    ] = None,
    weights: Annotated[
        Weights, typer.Option(help="The stage's last weights, or their moving average (ema).")
    ] = "last",
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirrored crop, at twice the cost.")
    ] = False,
    scales: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Average over crops of these sizes, relative to that of training, such as "
            "0.92,1,1.08, at as many times the cost.",
        ),
    ] = None,
    passes: Annotated[
        int | None,
        typer.Option(
            help="Passes per face: each after the first crops around the landmarks just "
            "found. Default: 1 with --boxes, else 2.",
            min=1,
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="The device to run the network on.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Faces per batch.", min=1)] = 32,
) -> None:
    """Find landmarks in your images and videos, in pixels, each with a confidence."""
    if boxes is not None and detector is not None:
        raise ValueError("--boxes and --detector exclude each other: give one of them")
    if detector_weights is not None and detector is None:
        raise ValueError("--detector-weights needs --detector yunet")

    if (source is None) == (not inputs):
        raise ValueError("give either INPUT... or --source")
    if source is None and frames is not None:
        raise ValueError("--frames goes with --source")
    if source is not None and boxes is not None:
        raise ValueError("--boxes is for files; with --source, boxes are --detector yunet's")
    if source is not None and format != "json":
        raise ValueError(f"--format {format} is for files; --source writes landmarks.jsonl")
    check_output_folder("--out", out, model, inside_is_fine=True)

    from sesame_hpc.cli.progress_bar import progress_bar
    from sesame_hpc.data.crop_scales import parse_scales
    from sesame_hpc.inference.boxes import read_boxes
    from sesame_hpc.inference.detector import YuNet
    from sesame_hpc.inference.landmarker import Landmarker
    from sesame_hpc.inference.live import predict_live
    from sesame_hpc.inference.predict import predict as run

    sizes = parse_scales(scales)
    table = read_boxes(boxes) if boxes else None
    finder = YuNet(detector_weights) if detector else None
    with progress_bar() as progress:
        progress("loading the model", 0, None)
        landmarker = Landmarker.load(
            model,
            device,
            stage=stage,
            weights=weights,
            flip=flip,
            scales=sizes,
            batch_size=batch_size,
        )
        if source is not None:
            live = predict_live(
                landmarker,
                source,
                out,
                detector=finder,
                draw=draw,
                smooth=smooth,
                passes=passes,
                frames=frames,
                progress=progress,
            )
            progress("done", live.frames, live.frames)
            say(f"{live}: {out}")
            return
        outcome = run(
            landmarker,
            inputs or [],
            out,
            format=format,
            boxes=table,
            detector=finder,
            draw=draw,
            smooth=smooth,
            passes=passes,
            progress=progress,
        )
    say(f"{outcome}: {out}")
    for note in outcome.notes:
        say(f"note: {note}", err=True)
    for text in outcome.failed:
        say(f"sesame: {text}", err=True)
    if outcome.failed:
        raise typer.Exit(1)
