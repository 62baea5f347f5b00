"""Settings of the faces: where they are, how they are cropped and augmented."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from sesame_hpc.choices import BoxProtocol, DataFormat, HeldoutGroup, OnError
from sesame_hpc.config.fields import Fraction, Positive, Quality, Strict, UserPath, ordered

__all__ = ["AugmentConfig", "BoxConfig", "DataConfig"]


class BoxConfig(Strict):
    """The window around a face that becomes its crop."""

    protocol: BoxProtocol = "square"
    """square: a square of the image around the box. letterbox: the box itself with its aspect
    ratio kept, black outside. landmarks: a square around the tight box of the landmarks."""
    scale: Positive = 1.2
    """Side of the window in evaluation, as a multiple of the longer side of the box."""
    train_scale: tuple[Positive, Positive] = (1.1, 1.5)
    """The range from which training draws that multiple."""

    _order = field_validator("train_scale")(ordered)


class AugmentConfig(Strict):
    """Training augmentation, section IV.C of the paper. Zero switches an operation off."""

    flip: Fraction = 0.5
    """Probability of mirroring."""
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 20.0
    """Greatest rotation either way, in degrees."""
    translation: Fraction = 0.05
    """Greatest shift along each axis, as a fraction of the crop side."""
    brightness: Fraction = 0.3
    """Greatest change of brightness, as a fraction of white."""
    contrast: Fraction = 0.3
    """Greatest relative change of contrast around mid-grey."""
    saturation: Fraction = 0.3
    """Greatest relative change of saturation."""
    jpeg: Fraction = 0.5
    """Probability of JPEG artefacts."""
    jpeg_quality: tuple[Quality, Quality] = (20, 100)
    """The range of their JPEG quality."""
    grayscale: Fraction = 0.2
    """Probability of removing all colour."""
    occlusion: Fraction = 0.5
    """Probability of pasting a rectangle of noise or of one colour."""
    occlusion_size: tuple[Fraction, Fraction] = (0.1, 0.4)
    """The range of its sides, as fractions of the crop side."""

    _order = field_validator("jpeg_quality", "occlusion_size")(ordered)


class DataConfig(Strict):
    """Where the faces are and how they are read."""

    root: UserPath
    """The data set's folder."""
    format: DataFormat = "wflw"
    """The format of its annotations."""
    scheme: str | None = None
    """Name of a built-in landmark scheme or path of a YAML file. null: that of the format (wflw98
    of wflw, ibug68 of pts, its own of a pack; coco and csv have none)."""
    heldout: PositiveInt = 500
    """Number of training faces kept for validation, drawn by `seed`."""
    heldout_group: HeldoutGroup = "image"
    """What stays on one side of that split: image, the faces of one image; look_alike, the faces
    of all images that show one photograph."""
    threads: PositiveInt = 2
    """CPU threads of DALI per rank; as many more read files and, without a GPU, as many more make
    crops."""
    cache: Literal["none", "memory"] = "none"
    """memory: decode each training image once and keep the part that augmentation can reach, at
    the resolution that the crops need: about 150 kB per face for crops of 128 pixels."""
    on_error: OnError = "fail"
    """What an image does that cannot be read: fail stops the run; skip puts another face in its
    place and counts it."""
    max_skipped: Fraction = 0.01
    """The fraction of the faces above which skipped ones stop the run."""
    box: BoxConfig = BoxConfig()
    augment: AugmentConfig = AugmentConfig()
