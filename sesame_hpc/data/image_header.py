"""What an image file says of itself: kind, size, colours, orientation, and whether it is whole."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from PIL import (
    BmpImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sesame_hpc.data.image_files import VALID_IMAGES

__all__ = ["Colours", "Header", "image_kind", "is_cut_short", "read_header"]
__all__ += ["upright_size"]

Colours = Literal["rgb", "grey", "alpha", "cmyk"]

# Opened by class, since `Image.open` refuses large images before they say how large they are.
_READERS: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_KINDS = {
    b"\xff\xd8": "JPEG",
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
_ORIENTATION, _FIRST_QUARTER_TURN = 0x0112, 5
_GREY_MODES, _ALPHA_MODES = ("1", "L", "I", "F"), ("LA", "La", "PA", "RGBA", "RGBa")
_STRIPS, _TILES = (273, 279), (324, 325)
_STANDALONE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_SCAN, _END = 0xDA, b"\xff\xd9"
_BROKEN = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error)
"""What Pillow raises for headers that break off or contradict themselves."""


@dataclass(frozen=True)
class Header:
    """An image file's header.

    `width` and `height` are those of the stored pixels, `orientation` is EXIF's 1 to 8 (1: as
    stored). `whole` is whether the file has the end that its kind calls for.
    """

    kind: str
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
    """The kind of file that its first bytes tell, or None."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return "HEIF or AVIF"
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)


def read_header(content: bytes) -> Header | None:
    """The header of an image file; None for kinds that are not read and headers that break off."""
    return _read(image_kind(content), io.BytesIO(content), whole=not is_cut_short(content))


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of an image file, turned upright as its EXIF tag says.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an image of a kind that is read.
    """
    with path.open("rb") as file:
        kind = image_kind(file.read(32))
        file.seek(0)
        header = _read(kind, file, whole=True)
    if header is None:
        raise ValueError(f"{path} is not an image that is read; valid are {VALID_IMAGES}")
    return header.upright_size


def is_cut_short(content: bytes) -> bool:
    """Whether the end of an image file is missing. Bytes after the end do not matter."""
    kind = image_kind(content)
    try:
        if kind == "JPEG":
            return content.find(_END, _scan_start(content)) < 0
        if kind == "PNG":
            return _png_end(content) > len(content)
        if kind == "BMP":
            return struct.unpack_from("<I", content, 2)[0] > len(content)
        if kind == "WebP":
            return struct.unpack_from("<I", content, 4)[0] + 8 > len(content)
        if kind == "TIFF":
            return _tiff_end(content) > len(content)
    except (*_BROKEN, EOFError):
        return True
    return False


def _read(kind: str | None, file: IO[bytes], whole: bool) -> Header | None:
    if kind not in _READERS:
        return None
    try:
        image = _READERS[kind](file)
        orientation = _orientation(image)
    except _BROKEN:
        return None
    width, height = image.size
    return Header(kind, width, height, _colours(image), orientation, whole)


def _colours(image: Image.Image) -> Colours:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return "alpha"
    if image.mode == "CMYK":
        return "cmyk"
    return "grey" if image.mode.partition(";")[0] in _GREY_MODES else "rgb"


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 where nothing valid is said. Decodes no pixel."""
    exif = Image.Exif()
    if isinstance(image, PngImagePlugin.PngImageFile):
        exif.load(image.info.get("exif", b""))
    else:
        exif = image.getexif()
    value = exif.get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _scan_start(content: bytes) -> int:
    """Where a JPEG's own pixels begin, after a thumbnail that may have an end of its own."""
    position = 2
    while True:
        if content[position] != 0xFF:
            raise ValueError("no marker")
        marker = content[position + 1]
        position += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _STANDALONE_MARKERS:
            continue
        if marker == _SCAN:
            return position
        (length,) = struct.unpack_from(">H", content, position)
        position += max(length, 2)


def _png_end(content: bytes) -> int:
    """Where the chunk IEND ends."""
    position, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, position)
        position += length + 12
    return position


def _tiff_end(content: bytes) -> int:
    """Where the last strip or tile of the first image ends."""
    tags = TiffImagePlugin.TiffImageFile(io.BytesIO(content)).tag_v2
    offsets, lengths = _STRIPS if _STRIPS[0] in tags else _TILES
    ends = zip(tags[offsets], tags[lengths], strict=True)
    return max(start + length for start, length in ends)
