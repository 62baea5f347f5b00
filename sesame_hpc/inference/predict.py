"""`predict`: landmarks of images, folders and videos, as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from sesame_hpc.choices import OutputFormat
from sesame_hpc.data.delimited import clipped, shortened
from sesame_hpc.inference.boxes import BoxTable
from sesame_hpc.inference.inputs import find_inputs
from sesame_hpc.inference.landmarker import Landmarker
from sesame_hpc.inference.outcome import Outcome, count_of
from sesame_hpc.inference.outputs import OutputFolder
from sesame_hpc.inference.predictor import Predictor, Progress
from sesame_hpc.inference.results import table_names, write_results

__all__ = ["Outcome", "predict"]

_ONLY_DRAWN = "nothing but images that sesame predict drew before; give the originals"

Detector = Callable[[np.ndarray], np.ndarray]


def predict(
    landmarker: Landmarker,
    paths: list[Path],
    out: Path,
    *,
    format: OutputFormat = "json",
    boxes: BoxTable | None = None,
    detector: Detector | None = None,
    draw: bool = True,
    smooth: bool = False,
    passes: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Find landmarks in all files of `paths` and write them below `out`, with drawn copies.

    Boxes are those of `boxes`, else the detector's, else each whole image. `smooth` steadies the
    landmarks of videos. `passes` is as of `Landmarker`; None: 1 with `boxes`, else 2. An input or a
    box that cannot be used has failed; the others are done. Also when it is
    interrupted, what was found till then is written. `progress` is called with what is being done,
    how much of it is done, and how much there is (None where that is not known).

    Raises before anything is read or written: ValueError where `paths` name no image or video at
    all, or a file would be overwritten that this function did not write; OSError where `out` cannot
    be written.
    """
    found = find_inputs(paths)
    if not found.inputs:
        raise ValueError("; ".join(found.failed) or _ONLY_DRAWN)
    folder = OutputFolder(out, found.inputs, table_names(format), pts=format == "pts", draw=draw)
    outcome = Outcome(box_source=_box_source(boxes, detector))
    if found.own_outputs:
        files = count_of(found.own_outputs, "file")
        outcome.notes.append(f"left out {files} that sesame predict drew before")
    outcome.failed += found.failed
    matched = None
    if boxes is not None:
        matched = boxes.match(found.inputs)
        outcome.failed += boxes.problems
        if matched.unused:
            name, known = next(iter(matched.unused.items()))
            outcome.notes.append(
                f"{boxes.path} has boxes for {count_of(len(matched.unused), 'image')} not among "
                f"those given, such as {shortened(name)}" + f" ({clipped(known)})" * bool(known)
            )
    predictor = Predictor(
        landmarker,
        folder,
        outcome,
        matched,
        detector,
        draw,
        smooth,
        passes or (2 if boxes is None else 1),
        progress or _no_progress,
    )
    try:
        predictor.images([source for source in found.inputs if not source.is_video])
        for source in found.inputs:
            if source.is_video:
                predictor.video(source)
    finally:
        write_results(folder, format, outcome, landmarker.scheme)
        outcome.files = folder.files
        removed = folder.close()
    if removed:
        outcome.notes.append(
            f"removed {count_of(removed, 'file')} of earlier predictions from {out}"
        )
    if matched is not None and matched.repeats:
        first = matched.table.places[min(matched.repeats)]
        outcome.notes.append(
            f"left out {count_of(len(matched.repeats), 'row')} of boxes that give one again, such "
            f"as {first}: the same box of an image is one face"
        )
    outcome.add_notes()
    return outcome


def _box_source(
    boxes: BoxTable | None, detector: Detector | None
) -> Literal["file", "detector", "whole image"]:
    if boxes is not None:
        return "file"
    return "whole image" if detector is None else "detector"


def _no_progress(what: str, done: int, total: int | None) -> None:
    pass
