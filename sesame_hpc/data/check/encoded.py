"""What the first bytes of an image file say: kind, size, colours, orientation, completeness."""

import struct
from dataclasses import dataclass
from typing import Literal

__all__ = ["Colours", "Header", "image_kind", "read_header"]

Colours = Literal["rgb", "grey", "alpha", "cmyk"]

_KINDS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<!DOCTYPE": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs": "a Git LFS pointer",
}
_EXIF = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_FIRST_QUARTER_TURN = 5
_JPEG_COLOURS: dict[int, Colours] = {1: "grey", 3: "rgb", 4: "cmyk"}
_PNG_COLOURS: dict[int, Colours] = {0: "grey", 2: "rgb", 3: "rgb", 4: "alpha", 6: "alpha"}
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_SCAN, _END, _APP1 = 0xDA, b"\xff\xd9", 0xE1


@dataclass(frozen=True)
class Header:
    """A JPEG's or PNG's header.

    `width` and `height` are those of the stored pixels, `orientation` is EXIF's 1 to 8 (1: as
    stored). `whole` is whether the file has the marker that ends such files.
    """

    kind: Literal["JPEG", "PNG"]
    width: int
    height: int
    colours: Colours
    orientation: int
    whole: bool

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as decoders give them, turned by the orientation."""
        turned = self.orientation >= _FIRST_QUARTER_TURN
        return (self.height, self.width) if turned else (self.width, self.height)


def image_kind(content: bytes) -> str | None:
    """The kind of file that the first bytes tell, or None."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return "HEIF or AVIF"
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)


def read_header(content: bytes) -> Header | None:
    """The header of a JPEG or PNG; None for other files and for headers that break off."""
    try:
        if content.startswith(b"\xff\xd8"):
            return _read_jpeg(content)
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _read_png(content)
    except (struct.error, IndexError):
        return None
    return None


def _read_jpeg(content: bytes) -> Header | None:
    position, orientation = 2, 1
    frame: tuple[int, int, Colours] | None = None
    while True:
        if content[position] != 0xFF:
            return None
        marker = content[position + 1]
        position += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _STANDALONE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", content, position)
        body = content[position + 2 : position + length]
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", body, 1)
            frame = width, height, _JPEG_COLOURS.get(body[5], "rgb")
        elif marker == _APP1 and body.startswith(_EXIF):
            orientation = _orientation(body[len(_EXIF) :])
        elif marker == _SCAN:
            break
        position += max(length, 2)
    if frame is None:
        return None
    whole = content.rfind(_END, position) >= 0
    return Header("JPEG", *frame, orientation=orientation, whole=whole)


def _read_png(content: bytes) -> Header | None:
    if content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    colours = _PNG_COLOURS.get(content[25], "rgb")
    position, orientation, kind = 8, 1, b""
    while position + 8 <= len(content) and kind != b"IEND":
        (length,) = struct.unpack_from(">I", content, position)
        kind = content[position + 4 : position + 8]
        if kind == b"tRNS":
            colours = "alpha"
        elif kind == b"eXIf":
            orientation = _orientation(content[position + 8 : position + 8 + length])
        position += length + 12
    return Header("PNG", width, height, colours, orientation, whole=kind == b"IEND")


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory of an EXIF block; 1 where it says nothing valid."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, offset)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, offset + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
