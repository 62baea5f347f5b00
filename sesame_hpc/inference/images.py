"""Reading images strictly: a damaged file is an error, not an image that is half grey."""

import re
from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.data.decoding import held_back_errors, image_size
from sesame_hpc.data.image_files import IMAGE_KINDS, VALID_IMAGES
from sesame_hpc.data.image_header import (
    UNREAD_PIXELS,
    has_unread_pixels,
    image_kind,
    is_cut_short,
)

__all__ = ["decode_image", "read_image"]

_SPARE_BYTES = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_END_OF_JPEG, _FILLINGS = b"\xff\xd9", (b"\0", b" ", b"\xff")
_HARMLESS_SPARE_BYTES = 8
"""Some cameras fill a few bytes before a JPEG's end; what damage inside leaves is not alike."""

_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "libpng error")


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 RGB [H, W, 3], turned upright as its EXIF tag says.

    Grey images get three equal channels, 16 bits become 8, transparency is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, cut short, damaged or too large, or does not decode.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise ValueError(f"{path}: is a directory, not an image") from None
    with held_back_errors() as errors:
        try:
            image = decode_image(content, path)
        except ValueError as error:
            raise ValueError(str(error) + _reason(errors.lines(), content)) from None
        if damage := _damage(errors.lines(), content):
            raise ValueError(
                f"{path}: the image is damaged and may be shown wrong ({damage}); if it looks "
                "right, save it again"
            )
    return image


def decode_image(content: bytes, place: Path | str) -> np.ndarray:
    """The same of a file's bytes, but damage within is not seen; a ValueError names `place`."""
    if not content:
        raise ValueError(f"{place}: the file is empty")
    try:
        image_size(content)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    kind = image_kind(content)
    if kind not in IMAGE_KINDS:
        raise ValueError(
            f"{place}: is {kind or 'not an image'}; images that are read: {VALID_IMAGES}"
        )
    if has_unread_pixels(content):
        raise ValueError(f"{place}: is a {kind} of {UNREAD_PIXELS}")
    if is_cut_short(content):
        raise ValueError(f"{place}: the file is cut short; its end is missing")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"{place}: cannot be decoded ({error.err})") from None
    if image is None:
        raise ValueError(f"{place}: is not an image that can be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _damage(lines: list[str], content: bytes) -> str | None:
    """What a decoder says is wrong inside an image that it gave nevertheless."""
    for line in lines:
        spare = _SPARE_BYTES.fullmatch(line)
        if spare and _is_filling(content, int(spare[1])):
            continue
        if line.startswith(_DAMAGE):
            return line
    return None


def _is_filling(content: bytes, count: int) -> bool:
    """Whether the bytes before the end of a JPEG are as few and alike as those that fill it."""
    fillings = (byte * count + _END_OF_JPEG for byte in _FILLINGS)
    return count <= _HARMLESS_SPARE_BYTES and any(each in content for each in fillings)


def _reason(lines: list[str], content: bytes) -> str:
    damage = _damage(lines, content)
    return f" ({damage})" if damage else ""
