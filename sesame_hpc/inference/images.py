"""Reading images strictly: a file that is cut short is an error, not a half-grey image."""

from pathlib import Path

import cv2
import numpy as np

__all__ = ["IMAGE_SUFFIXES", "decode_image", "read_image"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 RGB [H, W, 3], turned upright as its EXIF tag says.

    Grey images get three equal channels, 16 bits become 8, transparency is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, cut short, or does not decode.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise ValueError(f"{path}: is a folder, not an image") from None
    return decode_image(content, path)


def decode_image(content: bytes, place: Path | str) -> np.ndarray:
    """The same of a file's bytes; a ValueError names `place`."""
    if not content:
        raise ValueError(f"{place}: the file is empty")
    if _is_cut_short(content):
        raise ValueError(f"{place}: the file is cut short; its end is missing")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"{place}: cannot be decoded ({error.err})") from None
    if image is None:
        raise ValueError(f"{place}: is no image that can be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _is_cut_short(content: bytes) -> bool:
    if content.startswith(_PNG):
        return b"IEND" not in content[-4096:]
    if content.startswith(b"\xff\xd8"):
        return content.find(_END_OF_IMAGE, _scan_start(content)) < 0
    return False


def _scan_start(content: bytes) -> int:
    """Where a JPEG's own pixels begin, behind a thumbnail that may have an end of its own."""
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            return place
        marker = content[place + 1]
        if marker == _START_OF_SCAN:
            return place
        if marker == 0xFF:
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return len(content)
