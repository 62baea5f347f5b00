"""The folder in which the documents' blocks run: a clone with a finished demo and small data.

Presets have the names that documents use and are made tiny; all else is the real thing.
"""

import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
from doc_blocks import ROOT

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations

__all__ = ["fill", "lay_out"]

_HERE = Path(__file__).parent
_TINY = """
output: runs/{name}
data: {{root: {root}, format: {format}, heldout: 8, threads: 1}}
model: {{stacks: 1, width: 8, levels: 2, image_size: 64, map_size: 16}}
stages:
  preliminary: {{epochs: 1, batch_size: 8}}
  pretrain: {{epochs: 1, batch_size: 8}}
  finetune: {{epochs: 1, batch_size: 8}}
runtime: {{device: cpu, threads: 1, precision: fp32}}
log: {{tensorboard: false}}
"""
_PRESETS = {
    "demo": ("runs/demo-data", "wflw"),
    "lfpw_small": ("faces", "pts"),
    "wflw": ("WFLW", "wflw"),
}
_DEMO = ("demo", "--train", "32", "--test", "8", "--size", "96")

# The 68 points of 300-W among WFLW's 98.
_IBUG = (
    *range(0, 33, 2),
    *range(33, 38),
    *range(42, 47),
    *range(51, 60),
    *(60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75),
    *range(76, 96),
)
_LINE = '#!/bin/sh\nexec "{python}" -I -S "{here}/warm_process.py" "{address}" {name} "$@"\n'


def lay_out(folder: Path, address: Path) -> None:
    """What a clone has: configs, profiles, and .venv with commands that run at `address`."""
    (folder / "slurm").symlink_to(ROOT / "slurm")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "WFLW").symlink_to("runs/demo-data")
    (folder / "configs").mkdir()
    for name, (root, format) in _PRESETS.items():
        text = _TINY.format(name=name, root=root, format=format)
        (folder / "configs" / f"{name}.yaml").write_text(text)
        (folder / name).write_text(text)  # found before the preset of that name
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("sesame", "python"):
        text = _LINE.format(python=sys.executable, here=_HERE, address=address, name=name)
        _script(binaries / name, text)
    (binaries / "activate").write_text(f'export PATH="{binaries}:$PATH"\n')


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def fill(folder: Path, sesame: Callable[..., None]) -> None:
    """What a user has: a finished demo (by `sesame`), a second run, faces, photos, boxes."""
    sesame(*_DEMO)
    shutil.copytree(folder / "runs" / "demo", folder / "runs" / "demo2")
    rendered = folder / "runs" / "demo-data"
    for split in ("train", "test"):
        _write_pts(read_annotations(rendered, "wflw", split), folder / "faces" / split)
    test = read_annotations(rendered, "wflw", "test")
    _write_photos(test, folder)
    _write_predictions(test, folder / "predictions.csv")


def _write_pts(faces: Annotations, folder: Path) -> None:
    """300-W files beside copies of the images; their coordinates are pixel centres from 1."""
    folder.mkdir(parents=True)
    for row, image in enumerate(faces.images):
        name = f"face{row:03}"
        shutil.copy(faces.root / image, folder / f"{name}{Path(image).suffix}")
        points = faces.landmarks[row][list(_IBUG)] + 0.5
        lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
        text = f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n"
        (folder / f"{name}.pts").write_text(text)


def _write_photos(faces: Annotations, folder: Path) -> None:
    (folder / "photos").mkdir()
    rows = ["image,x_min,y_min,x_max,y_max"]
    for row, name in enumerate(("photo.jpg", "photos/one.jpg", "photos/two.jpg")):
        image = cv2.imread(str(faces.root / faces.images[row]))
        assert image is not None
        cv2.imwrite(str(folder / name), image)
        rows.append(",".join([Path(name).name, *map(str, faces.boxes[row])]))
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")


def _write_predictions(faces: Annotations, path: Path) -> None:
    header = ",".join(f"x{k},y{k}" for k in range(faces.scheme.num_landmarks))
    rows = [
        ",".join([image, *(f"{value:.3f}" for value in points.ravel())])
        for image, points in zip(faces.images, faces.landmarks + 1.0, strict=True)
    ]
    path.write_text("\n".join([f"image,{header}", *rows]) + "\n")
