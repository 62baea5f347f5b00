"""The diagram of docs/how-it-works.md: python docs/generate/data_flow.py writes the SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sesame_hpc.files import write_text_atomic

OUT = Path(__file__).parents[1] / "images" / "data-flow.svg"

_WIDTH, _MARGIN, _GAP = 760, 20, 20
_BOX_HEIGHT, _ARROW = 62, 34
_STYLE = """
text { font-family: system-ui, sans-serif; fill: #16242a; text-anchor: middle }
.name { font-size: 15px; font-weight: 600 } .what { font-size: 12px }
.arrow { font-size: 12px; font-family: ui-monospace, monospace; fill: #00695c }
rect { stroke: #00796b; fill: #ffffff } .stage rect { fill: #e0f2f1 }
line { stroke: #00796b; stroke-width: 1.5; marker-end: url(#tip) }
.page { fill: #f7fafa; stroke: none }
"""
_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#00796b"/></marker>'
)


@dataclass(frozen=True)
class _Box:
    """A thing that data flows through, with one line that says what it is."""

    name: str
    what: str
    is_stage: bool = False


# From the top down: rows of boxes, and between them the functions that lead to the next row.
_ROWS: tuple[tuple[_Box, ...], ...] = (
    (_Box("annotation files, images", ".pts, WFLW, COCO, CSV or a pack"),),
    (_Box("Annotations", "validated arrays, one row per face: data/annotations.py"),),
    (
        _Box("training faces", "shuffled by (seed, stage, epoch)"),
        _Box("held-out faces", "validation, masking, calibration"),
        _Box("test faces", "scored after the last step"),
    ),
    (_Box("Batch", "crops [B, 3, S, S], landmarks [B, K, 2], sample ids, matrices"),),
    (
        _Box("preliminary", "LandmarkNet, L1", True),
        _Box("pretrain", "Masker, ReconstructionNet", True),
        _Box("finetune", "LandmarkNet, L1", True),
    ),
    (_Box("TrainingLoop", "Engine (DeepSpeed), metrics.jsonl, checkpoints: training/loop.py"),),
    (_Box("run folder", "weights, predictions, result.json, summary.json: run/folder.py"),),
    (
        _Box("report.html", "report/write.py"),
        _Box("Landmarker", "inference/landmarker.py"),
        _Box("ONNX, TorchScript", "inference/export.py"),
    ),
)
_ARROWS = (
    "read_annotations",
    "split_heldout",
    "draw_augmentation, CropGraph, CpuCropper",
    "TrainLoader.epoch, EvalLoader",
    "Task.loss",
    "Task.validate, score",
    "write_report, Landmarker.load, export_run",
)


def data_flow() -> str:
    """The SVG."""
    top, parts = _MARGIN, []
    for number, row in enumerate(_ROWS):
        parts.append(_row(row, top))
        if number < len(_ARROWS):
            parts.append(_arrow(_ARROWS[number], top + _BOX_HEIGHT))
        top += _BOX_HEIGHT + _ARROW
    height = top - _ARROW + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="How data flows from annotation files to a report and a model">\n'
        f"<style>{_STYLE}</style>\n<defs>{_TIP}</defs>\n"
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="8"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _row(boxes: Sequence[_Box], top: float) -> str:
    width = (_WIDTH - 2 * _MARGIN - (len(boxes) - 1) * _GAP) / len(boxes)
    drawn, between = [], []
    for number, box in enumerate(boxes):
        left = _MARGIN + number * (width + _GAP)
        drawn.append(_box(box, left, top, width))
        if box.is_stage and number:
            middle = top + _BOX_HEIGHT / 2
            between.append(f'<line x1="{left - _GAP}" y1="{middle}" x2="{left}" y2="{middle}"/>')
    return "\n".join([*drawn, *between])


def _box(box: _Box, left: float, top: float, width: float) -> str:
    centre = left + width / 2
    kind = ' class="stage"' if box.is_stage else ""
    return (
        f'<g{kind}><rect x="{left:g}" y="{top}" width="{width:g}" height="{_BOX_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{centre:g}" y="{top + 26}">{escape(box.name)}</text>'
        f'<text class="what" x="{centre:g}" y="{top + 46}">{escape(box.what)}</text></g>'
    )


def _arrow(label: str, top: float) -> str:
    return (
        f'<line x1="60" y1="{top}" x2="60" y2="{top + _ARROW}"/>'
        f'<text class="arrow" x="{_WIDTH / 2}" y="{top + _ARROW / 2 + 4}">{escape(label)}</text>'
    )


if __name__ == "__main__":
    write_text_atomic(OUT, data_flow())
