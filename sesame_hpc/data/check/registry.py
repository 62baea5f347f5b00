"""The checks that `sesame data check` runs, and what the names of their findings mean."""

from collections.abc import Callable, Iterable

from sesame_hpc.data.check.box_conventions import check_box_conventions, check_odd_boxes
from sesame_hpc.data.check.coincident import check_coincident_points
from sesame_hpc.data.check.duplicates import (
    check_copies,
    check_look_alikes,
    check_repeated_faces,
)
from sesame_hpc.data.check.files import check_faults, check_images
from sesame_hpc.data.check.geometry import (
    check_box_sizes,
    check_boxes,
    check_crops,
    check_landmarks_in_images,
    check_letterbox,
    check_normalisers,
)
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.check.misplaced import check_misplaced_landmarks
from sesame_hpc.data.check.official import check_official_sizes, check_subset_lists
from sesame_hpc.data.check.orientation import check_orientation
from sesame_hpc.data.check.packs import check_pack_crops, check_pack_index, check_pack_reach
from sesame_hpc.data.check.sentinels import check_sentinels
from sesame_hpc.data.check.shapes import check_shapes
from sesame_hpc.data.check.shifted import check_shifted_labels
from sesame_hpc.data.check.stated_sizes import check_stated_sizes
from sesame_hpc.data.check.units import check_units
from sesame_hpc.data.findings import Finding

__all__ = ["CHECKS", "TITLES", "Check"]

Check = Callable[[Inventory], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    check_faults,
    check_images,
    check_units,
    check_orientation,
    check_sentinels,
    check_stated_sizes,
    check_box_conventions,
    check_boxes,
    check_box_sizes,
    check_odd_boxes,
    check_shapes,
    check_coincident_points,
    check_shifted_labels,
    check_misplaced_landmarks,
    check_normalisers,
    check_landmarks_in_images,
    check_crops,
    check_letterbox,
    check_repeated_faces,
    check_copies,
    check_look_alikes,
    check_official_sizes,
    check_subset_lists,
    check_pack_index,
    check_pack_crops,
    check_pack_reach,
)

TITLES = {
    "text": "file is not text",
    "layout": "layout of the file is wrong",
    "fields": "wrong number of fields",
    "number": "not a finite number",
    "box": "empty box",
    "normaliser": "normaliser is zero",
    "attribute": "attribute is not 0 or 1",
    "image": "image is missing",
    "empty": "no face",
    "not-a-face": "not a face of the scheme: left out",
    "unlabelled": "image without landmarks: left out",
    "hidden-file": "hidden files ignored",
    "respelled": "image names spelled differently",
    "several-categories": "several categories could be faces",
    "split-by-folder": "split taken from folder names",
    "points-reordered": "points put in the scheme's order",
    "attribute-left-out": "attribute that is not yes or no: left out",
    "attribute-absent": "attribute not given for all faces",
    "box-absent": "some images have no box",
    "unreadable": "image cannot be read",
    "damaged": "image data are damaged",
    "suffix": "suffix does not match the content",
    "grey": "grey image",
    "alpha": "image with transparency",
    "cmyk": "CMYK image",
    "rotated": "image rotated by EXIF",
    "box-misses-face": "box misses its landmarks",
    "box-outside-image": "box outside the image",
    "box-beyond-image": "box reaches far beyond the image",
    "box-size": "box several times its landmarks",
    "box-convention": "box numbers in another convention",
    "odd-box": "box unlike those of other faces",
    "units": "coordinates are not pixels",
    "orientation": "faces are turned or mirrored",
    "sentinel": "numbers that stand for missing points",
    "stated-size": "image size is not the stated one",
    "odd-shape": "points far from where they usually are",
    "coincident-points": "two points at one place",
    "swapped-points": "two points look swapped",
    "turned-face": "points are turned against those of other faces",
    "mirrored-face": "left and right look exchanged",
    "misplaced": "landmarks are not on the faces",
    "shifted-labels": "labels are those of the next image",
    "short-normaliser": "normaliser is very short",
    "outside-image": "landmarks outside the image",
    "outside-crop": "landmarks outside the crop",
    "in-black": "landmarks in the letterbox padding",
    "same-face": "the same line twice",
    "same-image": "same image, other name",
    "image-in-both": "image in train and test",
    "look-alike": "same photograph, other name",
    "labelled-twice": "same face labelled twice",
    "test-in-train": "test face in train",
    "official-size": "not the official size",
    "subset-list": "subset list differs",
    "pack": "part of the pack cannot be read",
    "pack-index": "index of the pack is wrong",
    "pack-crop": "packed crop misses landmarks",
    "pack-reach": "packed crops are too small",
}
