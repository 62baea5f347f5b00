"""Settings of the faces: where they are, how they are cropped and augmented."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from sesame_hpc.choices import DATA_FORMATS, BoxProtocol, HeldoutGroup, OnError, one_of
from sesame_hpc.config.fields import (
    Fraction,
    PluginName,
    PluginSettings,
    Positive,
    Quality,
    Strict,
    UserPath,
    ordered,
    refuse_misspelling,
)

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
    """Largest rotation in either direction, in degrees."""
    translation: Fraction = 0.05
    """Largest shift along each axis, as a fraction of the crop side."""
    brightness: Fraction = 0.3
    """Largest change of brightness, as a fraction of white."""
    contrast: Fraction = 0.3
    """Largest relative change of contrast around mid-grey."""
    saturation: Fraction = 0.3
    """Largest relative change of saturation."""
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
    extra: PluginName | None = None
    """A further change of the crops' pixels in the coordinate stages, a plugin:
    package.module:Name, or the name of an installed entry point. On the CPU only. null: none."""
    extra_settings: PluginSettings = Field(default_factory=dict)
    """Its settings."""

    _order = field_validator("jpeg_quality", "occlusion_size")(ordered)


def _point(value: object) -> object:
    """A point as text, "-1,-1", as well as a list."""
    parts = value.split(",") if isinstance(value, str) else value
    if parts is None:
        return None
    try:
        x, y = (float(part) for part in parts)  # type: ignore[attr-defined]
        if isfinite(x) and isfinite(y):
            return x, y
    except (TypeError, ValueError):
        pass
    raise ValueError("must be two numbers, x and y, such as -1,-1")


def _count_or_fraction(value: int | float) -> int | float:
    if value <= 0 or (value >= 1 and value != int(value)):
        raise ValueError("must be a number of faces, such as 500, or a fraction, such as 0.1")
    return int(value) if value >= 1 else value


def _number_or_share(value: Any) -> Any:
    """1.0 is all faces, 1 is one face."""
    if value is None:
        return value
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    is_share = isinstance(value, float) and 0 < value <= 1
    if not is_number and not is_share:
        raise ValueError("must be a number of faces, such as 100, or a share of them, such as 0.1")
    return value


class DataConfig(Strict):
    """Where the faces are and how they are read."""

    root: UserPath
    """The data set's folder. A list of folders is several data sets of one scheme, read together;
    all but the first become `more_roots`."""
    more_roots: tuple[UserPath, ...] = ()
    """Further data sets of the same scheme, possibly in other formats."""
    format: PluginName = Field(
        default="wflw",
        description=f"The format of its annotations: {one_of(DATA_FORMATS)}; or a plugin, by "
        "package.module:Name or the name of an installed entry point.",
    )
    format_settings: PluginSettings = Field(default_factory=dict)
    """The settings of a format that is a plugin."""
    scheme: str | None = None
    """Name of a built-in landmark scheme or path of a YAML file. null: that of the format (wflw98
    of wflw, ibug68 of pts, its own of a pack; the others have none)."""
    missing: tuple[float, float] | None = None
    """The x, y that annotations give a point that is not labelled, such as [-1, -1]."""
    heldout: int | float = 0.1
    """Number of training faces kept for validation, or a fraction of them and at most 500; drawn
    by `seed`."""
    heldout_group: HeldoutGroup = "image"
    """What stays on one side of that split: image, the faces of one image; look_alike, the faces
    of all images that show one photograph."""
    labels: int | float | None = None
    """How many training faces keep their labels: a number, or a share of them such as 0.1. They
    are drawn by `seed`, in groups as by `heldout_group`, until there are that many; the 50 of a
    seed are among its 100. Held-out and test faces keep theirs. null: all."""
    unlabelled_rest: bool = False
    """Whether pretrain also takes the training faces whose labels are not kept."""
    unlabelled: UserPath | None = None
    """A folder of images without labels that pretrain takes as well. null: none."""
    unlabelled_boxes: str | None = None
    """Where the faces in these images are: a CSV or JSON file of boxes as `sesame predict --boxes`
    takes; yunet, to detect them; or whole, where each image is a face. null: boxes.csv or
    boxes.json of that folder, or whole if it has neither."""
    threads: PositiveInt = 2
    """CPU threads of DALI per rank; as many more read files and, without a GPU, as many more make
    crops."""
    cache: Literal["none", "memory"] = "none"
    """memory: decode each training image once and keep the part that augmentation can reach, at
    the resolution that the crops need: about 150 kB per face for crops of 128 pixels."""
    on_error: OnError = "fail"
    """What happens when an annotation or image cannot be read: fail stops the run; skip leaves the
    annotation out, puts another face in the place of the image, and counts both."""
    max_skipped: Fraction = 0.01
    """The fraction of the faces above which skipped ones stop the run."""
    box: BoxConfig = BoxConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="before")
    @classmethod
    def _several_roots(cls, values: Any) -> Any:
        root = values.get("root") if isinstance(values, dict) else None
        if isinstance(root, list | tuple) and root and not values.get("more_roots"):
            return {**values, "root": root[0], "more_roots": root[1:]}
        return values

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders of all data sets."""
        return (self.root, *self.more_roots)

    @property
    def box_file(self) -> Path | None:
        """The file of boxes that `unlabelled_boxes` names; None where it names none."""
        named = self.unlabelled_boxes
        return None if named in (None, "yunet", "whole") else Path(named).expanduser()

    _missing = field_validator("missing", mode="before")(_point)
    _heldout = field_validator("heldout")(_count_or_fraction)
    _labels = field_validator("labels", mode="before")(_number_or_share)

    @model_validator(mode="after")
    def _known_format(self) -> "DataConfig":
        refuse_misspelling(self.format, DATA_FORMATS, "data.format")
        if self.format_settings and self.format in DATA_FORMATS:
            raise ValueError(
                f"format_settings ({', '.join(self.format_settings)}) are those of a plugin, but "
                f"format is {self.format}"
            )
        return self

    @model_validator(mode="after")
    def _boxes_without_labels(self) -> "DataConfig":
        if self.box.protocol == "landmarks" and (self.unlabelled or self.unlabelled_rest):
            raise ValueError(
                "box.protocol is landmarks, which unlabelled faces do not have: use square or "
                "letterbox, or neither unlabelled nor unlabelled_rest"
            )
        return self
