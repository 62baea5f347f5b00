"""YuNet's weights: which file, where it lies, and getting it."""

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

from sesame_hpc.files import write_bytes_atomic

__all__ = [
    "SHA256",
    "SOURCE",
    "WEIGHTS_VARIABLE",
    "get_weights",
    "how_to_get_them",
    "usual_weights",
]

WEIGHTS_VARIABLE = "SESAME_YUNET"

FILE = "yunet_n_320_320.onnx"
SOURCE = (
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    f"0047ac24afb1a50a0c6105001c89d1b5b805dbf1/onnx/{FILE}"
)
"""Of YuNet's authors (Apache-2.0), at a fixed commit."""

SHA256 = "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"

_LARGEST = 10_000_000
_SECONDS = 30.0


def usual_weights() -> Path:
    """Where the weights are looked for when nothing else is said."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "sesame-hpc" / FILE


def how_to_get_them() -> str:
    return (
        "they are not part of this package (Apache-2.0, 0.3 MB). `sesame get yunet` downloads them "
        f"once; or name another copy by --detector-weights FILE or {WEIGHTS_VARIABLE}=FILE"
    )


def get_weights(source: str = SOURCE, to: Path | None = None) -> Path:
    """Download the weights, or copy them from a file, to `to` (by default `usual_weights()`).

    Only a file whose SHA-256 is `SHA256` is accepted. A file that is already there is kept.

    Raises:
        ConnectionError: the address cannot be reached; says how to do without a network.
        FileNotFoundError: no such file.
        ValueError: the content is another; nothing is written.
    """
    to = to or usual_weights()
    if to.is_file() and _sha256(to.read_bytes()) == SHA256:
        return to
    content = _download(source, to) if "://" in source else _read(Path(source))
    if (found := _sha256(content)) != SHA256:
        raise ValueError(
            f"{source} is not the file of YuNet's weights: its SHA-256 is {found}, not {SHA256}"
        )
    write_bytes_atomic(to, content)
    return to


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"no YuNet weights at {path}")
    with path.open("rb") as file:
        return file.read(_LARGEST)


def _download(address: str, to: Path) -> bytes:
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "sesame-hpc"})
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return response.read(_LARGEST)
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(
            f"{address} cannot be reached ({reason}). Without a network, get that file on another "
            f"machine, and then either copy it to {to}, or run sesame get yunet --from FILE"
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
