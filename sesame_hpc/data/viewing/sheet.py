"""Sheets of tiles: captions, their arrangement, and the image file."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.files import write_bytes_atomic

__all__ = ["arrange", "captioned", "write_png"]

_LINE_HEIGHT = 16
_GAP = 4


def captioned(image: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """`image` (uint8 RGB [H, W, 3]) with lines of text in a bar below."""
    height = _LINE_HEIGHT * len(lines) + _GAP
    bar = np.full((height, image.shape[1], 3), 24, dtype=np.uint8)
    for number, line in enumerate(lines):
        _write_line(bar, line, 14 + _LINE_HEIGHT * number)
    return np.vstack([image, bar])


def arrange(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size (uint8 [h, w, 3]) row by row on a dark sheet, with gaps."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 48, dtype=np.uint8
    )
    for number, tile in enumerate(tiles):
        top = _GAP + number // columns * (height + _GAP)
        left = _GAP + number % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def write_png(image: np.ndarray, out: Path) -> None:
    """Write uint8 RGB [H, W, 3] as a PNG; its folder is made."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_bytes_atomic(out, encoded.tobytes())


def _write_line(bar: np.ndarray, text: str, baseline: int) -> None:
    """Writes white text as large as fits, at most 0.42 of the font's size."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (natural, _), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = min(0.42, (bar.shape[1] - 8) / max(natural, 1))
    cv2.putText(bar, text, (4, baseline), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
