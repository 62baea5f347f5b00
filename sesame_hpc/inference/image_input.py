"""The forms of image that a `Landmarker` takes: arrays, PIL images and files."""

import sys
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.inference.images import read_image

if TYPE_CHECKING:
    from PIL import Image as PilImage

__all__ = ["AnyImage", "as_image", "as_images", "is_one_image"]

AnyImage: TypeAlias = Union[NDArray[np.uint8], "PilImage.Image", str, "PathLike[str]"]

_TAKES = (
    "takes a uint8 array from 0 to 255, [H, W, 3] RGB or [H, W] grey; a PIL image of 8 bits; or "
    "the path of a file"
)
_GREY_OF_16_BITS = ("I", "F")


def is_one_image(images: Any) -> bool:
    """Whether this is a single image rather than a sequence of images."""
    if isinstance(images, np.ndarray):
        return images.ndim <= 3
    return isinstance(images, str | PathLike) or _is_pil(images) or not _is_sequence(images)


def as_images(images: Sequence[Any]) -> list[NDArray[np.uint8]]:
    """uint8 RGB [H, W, 3] of each.

    Raises:
        FileNotFoundError: a path where no file is.
        ValueError: says which image is what, and what would be valid.
    """
    return [as_image(image, f"image {index}") for index, image in enumerate(images)]


def as_image(image: Any, name: str) -> NDArray[np.uint8]:
    """One of them; a ValueError calls it `name`."""
    if isinstance(image, str | PathLike):
        return read_image(Path(image))
    if _is_pil(image):
        if image.mode.startswith(_GREY_OF_16_BITS):
            raise ValueError(f"{name}: is a PIL image of mode {image.mode}; {_TAKES}")
        return np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name}: is {_kind(image)}; {_TAKES}")
    if image.dtype != np.uint8:
        raise ValueError(f"{name}: is {image.dtype} {list(image.shape)}; {_TAKES}")
    grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    if 0 in image.shape or not (grey or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"{name}: is uint8 {list(image.shape)}; {_TAKES}")
    return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2) if grey else image


def _kind(value: Any) -> str:
    if value is None:
        return "None (cv2.imread returns that for a file that it cannot read)"
    shape = getattr(value, "shape", None)
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return name if shape is None else f"{name} {list(shape)}"


def _is_sequence(value: Any) -> bool:
    """Lists, tuples and the like; tensors and other arrays are single values."""
    return isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)


def _is_pil(value: Any) -> bool:
    """Whether `value` is a PIL image. PIL is not imported for it: whoever made one has done so."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)
