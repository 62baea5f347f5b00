"""Crops from decoded images on the CPU: shrink, warp, JPEG artefacts, patches, colours, floats.

The same operations in the same order as in the GPU graph (`pipeline`), with OpenCV: DALI's own take
up to ten times as long on a CPU (benchmarks/LOADER.md).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.geometry import HALF, DecodeWindow
from sesame_hpc.data.loading.augment import Augmentation
from sesame_hpc.data.loading.extra_augment import ExtraAugment

__all__ = ["AugmentOps", "CpuCropper"]

Image = NDArray[np.uint8]

_SHARES_PER_THREAD = 2
"""Images differ in size, so threads process small shares."""


@dataclass(frozen=True)
class AugmentOps:
    """The operations that change appearance: colour matrix, JPEG artefacts, pasted patches.

    `extra` is the user's own, which only a CPU applies.
    """

    colour: bool = False
    jpeg: bool = False
    occlusion: bool = False
    extra: ExtraAugment | None = None


class CpuCropper:
    """Makes crops of `size` pixels from decoded regions, on `threads` threads."""

    def __init__(self, size: int, threads: int, ops: AugmentOps) -> None:
        self._size, self._ops = size, ops
        self._shares = threads * _SHARES_PER_THREAD
        self._pool = ThreadPoolExecutor(threads, "sesame-crop")

    def start(
        self, regions: Sequence[Image], window: DecodeWindow, drawn: Augmentation | None
    ) -> Callable[[], NDArray[np.float32]]:
        """Start making crops; the returned function waits for them: float32 [B, S, S, 3] in [0, 1].

        Args:
            regions: uint8 [h, w, 3] each, the regions of `window`; read until the returned function
                has returned.
            window: how to shrink and warp them.
            drawn: JPEG artefacts, patches and colours; None for none.
        """
        crops = np.empty((len(regions), self._size, self._size, 3), dtype=np.float32)
        matrices, halvings = _from_centres(window.matrix), -np.log2(window.shrink)

        def finish(rows: range) -> None:
            for row in rows:
                crop = _warp(regions[row], int(halvings[row]), matrices[row], self._size)
                if drawn is not None:
                    crop = self._appearance(crop, drawn, row)
                np.divide(crop, np.float32(255), out=crops[row])

        step = -(-len(regions) // self._shares)
        shares = [range(i, min(i + step, len(regions))) for i in range(0, len(regions), step)]
        pending = [self._pool.submit(finish, share) for share in shares]

        def finished() -> NDArray[np.float32]:
            wait(pending)
            for share in pending:
                share.result()
            return crops

        return finished

    def _appearance(self, crop: Image, drawn: Augmentation, row: int) -> Image:
        """Colours are rounded and clipped to 0..255, as by DALI on a GPU."""
        if self._ops.jpeg and drawn.jpeg[row]:
            crop = _compressed(crop, int(drawn.quality[row]))
        if self._ops.occlusion and drawn.occlude[row]:
            patch, (top, left) = drawn.patches[row], drawn.corners[row]
            crop[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
        if self._ops.colour:
            crop = cast(Image, cv2.transform(crop, drawn.colour[row]))
        if self._ops.extra is not None:
            crop = self._ops.extra(crop, drawn.streams[row])
        return crop


def _from_centres(matrices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Matrices [B, 2, 3] for OpenCV, where (0, 0) is the centre of the first pixel."""
    half = np.float32(0.5)
    centred = matrices.copy()
    centred[:, :, 2] += matrices[:, :, :2].sum(axis=2) * half - half
    return centred


def _warp(region: Image, halvings: int, matrix: NDArray[np.float32], size: int) -> Image:
    """Bilinear, black outside."""
    for _ in range(halvings):
        region = _halved(region)
    return cast(Image, cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR))


def _halved(region: Image) -> Image:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    odd_rows, odd_columns = region.shape[0] % 2, region.shape[1] % 2
    if odd_rows or odd_columns:
        edge = cv2.BORDER_REPLICATE
        region = cast(Image, cv2.copyMakeBorder(region, 0, odd_rows, 0, odd_columns, edge))
    return cast(Image, cv2.resize(region, None, None, HALF, HALF, cv2.INTER_AREA))


def _compressed(crop: Image, quality: int) -> Image:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), parameters)[1]
    return cast(Image, cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
