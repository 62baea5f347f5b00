"""Looks at every image file once: is it whole, what is in it, and how do its faces look."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.check.thumbnails import SIDE, thumbnail
from sesame_hpc.data.decoding import MOST_PIXELS, DecoderErrors, held_back_errors, too_large
from sesame_hpc.data.image_files import IMAGE_KINDS, VALID_IMAGES
from sesame_hpc.data.image_header import Header, image_kind, read_header

__all__ = ["Encoded", "Landmarks", "ProbedImage", "probe_images"]

Landmarks = NDArray[np.float64]

_AT_ONCE = 64
_REDUCED = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


@dataclass(frozen=True)
class Encoded:
    """An image to look at: its name, its bytes, and the landmarks [K, 2] of its faces, in pixels.

    `neighbours` are landmarks of the faces before and after it in the annotations, None for none.
    `read` raises OSError or ValueError where there are no bytes.
    """

    path: Path
    read: Callable[[], bytes]
    faces: list[Landmarks]
    neighbours: tuple[Landmarks | None, Landmarks | None] = (None, None)


@dataclass(frozen=True)
class ProbedImage:
    """An image file, or what a pack holds of it.

    `problem` says why it cannot be used, None if it can; `damaged` whether it decodes, but
    with errors. `digest` is a hash of its bytes. `header` is None where there is none.
    `thumbnails` are those of its faces, in their order, float32 [D] or None, and `neighbours` those
    that its neighbours' landmarks would give. `cut_from` is the size of the image that a crop in a
    pack is of.
    """

    path: Path
    problem: str | None = None
    damaged: bool = False
    digest: bytes = b""
    header: Header | None = None
    thumbnails: list[NDArray[np.float32] | None] = field(default_factory=list)
    neighbours: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] = (None, None)
    cut_from: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels as training sees them: turned upright by EXIF."""
        if self.cut_from is not None:
            return self.cut_from
        if self.problem is not None or self.header is None:
            return None
        return self.header.upright_size


def probe_images(
    images: Sequence[Encoded],
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[ProbedImage]:
    """A `ProbedImage` of each image.

    `progress` is called with the number of images done and of all. While this runs, what
    decoders write to the process's standard error is held back.
    """
    probes: list[ProbedImage] = []
    with held_back_errors() as errors, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(images), _AT_ONCE):
            some, before = images[start : start + _AT_ONCE], errors.size()
            probed = list(pool.map(_probe, some))
            if errors.size() > before:
                probed = [
                    _marked(probe, image, errors) for probe, image in zip(probed, some, strict=True)
                ]
            probes += probed
            if progress is not None:
                progress(len(probes), len(images))
    return probes


def _marked(probe: ProbedImage, image: Encoded, errors: DecoderErrors) -> ProbedImage:
    """The probe, marked as damaged if a decoder reports an error for it."""
    if probe.problem is not None or not _reports_damage(image.read(), errors):
        return probe
    return replace(probe, damaged=True)


def _probe(image: Encoded) -> ProbedImage:
    nothing: list[NDArray[np.float32] | None] = [None] * len(image.faces)
    try:
        content = image.read()
    except OSError as error:
        return ProbedImage(
            image.path, f"cannot be read ({error.strerror or error})", thumbnails=nothing
        )
    except ValueError as error:
        return ProbedImage(image.path, f"cannot be read: {error}", thumbnails=nothing)
    header = read_header(content)
    digest = hashlib.blake2b(content, digest_size=16).digest()
    problem = _header_problem(content, header)
    if problem is not None or header is None:
        return ProbedImage(image.path, problem, False, digest, header, nothing)
    divisor = _divisor(image.faces)
    grey = _decode(content, divisor)
    if grey is None:
        problem = f"is a {header.kind} that does not decode"
        return ProbedImage(image.path, problem, False, digest, header, nothing)
    thumbnails = [thumbnail(grey, landmarks / divisor) for landmarks in image.faces]
    before, behind = (
        None if landmarks is None else thumbnail(grey, landmarks / divisor)
        for landmarks in image.neighbours
    )
    return ProbedImage(image.path, None, False, digest, header, thumbnails, (before, behind))


def _header_problem(content: bytes, header: Header | None) -> str | None:
    if not content:
        return "is empty (0 bytes)"
    kind = image_kind(content)
    if kind not in IMAGE_KINDS:
        return f"is {kind or 'not an image'}; valid are {VALID_IMAGES}"
    if header is None:
        return f"is a {kind} whose header breaks off"
    if not header.whole:
        return f"is a {kind} that is cut off (its end is missing)"
    if not header.width * header.height:
        return f"is a {kind} of {header.width} x {header.height} pixels"
    if header.width * header.height > MOST_PIXELS:
        return too_large((header.width, header.height))
    return None


def _divisor(faces: list[Landmarks]) -> int:
    """By how much an image may shrink while its smallest face keeps the pixels of a thumbnail."""
    extents = [float(np.nanmax(np.nanmax(f, 0) - np.nanmin(f, 0))) for f in faces]
    room = min(extents, default=0.0) / SIDE
    return max((divisor for divisor in _REDUCED if divisor <= room), default=1)


def _decode(content: bytes, divisor: int) -> NDArray[np.uint8] | None:
    try:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), _REDUCED[divisor])
    except cv2.error:
        return None
    return None if grey is None else np.asarray(grey, np.uint8)


def _reports_damage(content: bytes, errors: DecoderErrors) -> bool:
    before = errors.size()
    _decode(content, 1)
    return errors.size() > before
