"""Which data set a run is of, and what is said of another."""

from dataclasses import replace

import numpy as np
import pytest

from sesame_hpc.config import BoxConfig
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.run.data_identity import data_identity, identity_differences


@pytest.fixture(scope="module")
def table(faces):
    return read_annotations(faces, "wflw", "train")


def identity(table, test=None, box=None, format="wflw"):
    parts = {
        "train": table.select(np.arange(40)),
        "heldout": table.select(np.arange(40, len(table))),
    }
    return data_identity({**parts, "test": test}, box or BoxConfig(), format)


def moved(table, landmarks):
    return replace(table, landmarks=landmarks, visibility=None)


def test_the_place_and_the_sign_of_zero_do_not_matter(table, tmp_path):
    landmarks = table.landmarks.copy()
    landmarks[3, 5] = 0.0
    negative = landmarks.copy()
    negative[3, 5] = -0.0
    one = identity(moved(table, landmarks))
    other = identity(replace(moved(table, negative), root=tmp_path, sources=("x",) * len(table)))
    assert one == other
    assert identity_differences(one, other) == []


def test_nan_is_one_value(table):
    landmarks = table.landmarks.copy()
    landmarks[3, 5] = np.nan
    other = landmarks.copy()
    other.view(np.int64)[3, 5] |= 1
    assert np.isnan(other[3, 5]).all()
    assert identity(moved(table, landmarks)) == identity(moved(table, other))


def test_each_difference_is_named(table):
    one = identity(table)
    landmarks = table.landmarks.copy()
    landmarks[45, 0, 0] += 1e-9
    assert identity_differences(one, identity(moved(table, landmarks))) == [
        "held-out faces: other landmarks"
    ]
    boxes = table.boxes.copy()
    boxes[0, 0] -= 1
    images = ("other.jpg", *table.images[1:])
    assert identity_differences(one, identity(replace(table, boxes=boxes, images=images))) == [
        "training faces: other image names, boxes"
    ]
    fewer = table.select(np.arange(1, 48))
    assert identity_differences(one, identity(fewer)) == [
        "training faces: other image names, landmarks, boxes, attributes, "
        "rows in the data set's files",
        "held-out faces: 8 -> 7",
    ]
    assert identity_differences(one, identity(table, test=fewer)) == ["test faces: none -> 47"]
    box = BoxConfig(protocol="landmarks", scale=1.5)
    assert identity_differences(one, identity(table, box=box)) == [
        f"crops {BoxConfig().protocol} x {BoxConfig().scale} -> landmarks x 1.5"
    ]
    scheme = replace(table.scheme, name="mine")
    assert identity_differences(one, identity(replace(table, scheme=scheme)))[0].startswith(
        "scheme wflw98 ("
    )


def test_in_another_format_the_names_count(table):
    one = identity(table)
    near = moved(table, table.landmarks + 1e-7)
    assert identity_differences(one, identity(near, format="coco")) == []
    other = replace(near, images=("other.jpg", *table.images[1:]))
    assert identity_differences(one, identity(other, format="coco")) == [
        "training faces: other image names"
    ]
