"""What holds for every image that is decoded: its largest size, and what decoders say of it."""

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO

__all__ = ["MOST_PIXELS", "DecoderErrors", "held_back_errors", "image_size", "too_large"]

MOST_PIXELS = 178_956_970
"""Images of more pixels are refused unread; it is where Pillow too suspects a decompression bomb.

As RGB they would take half a gigabyte, and a file of 100 kB can hold such an image.
"""

_LOCK = threading.RLock()
_DECODERS = ("Corrupt JPEG", "Premature end of JPEG", "libpng ", "[ WARN", "[ERROR", "[ INFO")


def image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of the stored pixels, from the header alone; None if Pillow knows none.

    Raises:
        ValueError: more than `MOST_PIXELS`; says how many where they are known.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(content)) as image:
                size = image.size
        except Image.DecompressionBombError:
            raise ValueError(too_large()) from None
        except Exception:  # Pillow's readers raise errors of many kinds on broken headers.
            return None
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(too_large(size))
    return size


def too_large(size: tuple[int, int] | None = None) -> str:
    """The sentence about an image of more than `MOST_PIXELS`."""
    if size is None:
        return f"has more than {MOST_PIXELS:,} pixels, the most that are decoded; make it smaller"
    return (
        f"has {size[0]} x {size[1]} pixels; at most {MOST_PIXELS:,} are decoded, so make it smaller"
    )


class DecoderErrors:
    """What was written to the process's standard error since it was held back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._file.fileno()).st_size

    def lines(self) -> list[str]:
        content = os.pread(self._file.fileno(), self.size(), 0)
        return content.decode("utf-8", "replace").splitlines()


@contextmanager
def held_back_errors() -> Iterator[DecoderErrors]:
    """Sends file descriptor 2 to a file while it lasts: image decoders report errors only there.

    One at a time in a process. What is not from a decoder is written to standard error at the end.
    """
    with _LOCK, tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        errors = DecoderErrors(file)
        try:
            kept = os.dup(2)
        except OSError:  # The process has no standard error.
            yield errors
            return
        os.dup2(file.fileno(), 2)
        try:
            yield errors
        finally:
            os.dup2(kept, 2)
            others = [line for line in errors.lines() if line and not line.startswith(_DECODERS)]
            with suppress(OSError):
                os.write(kept, "".join(f"{line}\n" for line in others).encode())
            os.close(kept)
