"""The registry: each format by its line in `choices.py`, and what does not fit one."""

import pytest

from sesame_hpc.choices import BUILT_IN_FORMATS, DATA_FORMATS, WRITTEN_FORMATS, BuiltInFormat
from sesame_hpc.data.formats.registry import FORMATS, format_named, load_format


def test_every_listed_format_is_loaded():
    assert tuple(FORMATS) == DATA_FORMATS
    assert {name for name, each in FORMATS.items() if each.writer} == set(WRITTEN_FORMATS)
    assert [name for name, each in FORMATS.items() if each.packed] == ["pack"]


@pytest.mark.parametrize(
    "listed",
    [
        BuiltInFormat("dlib", "imglab"),
        BuiltInFormat("imglab", "imglab", is_written=True),
        BuiltInFormat("coco", "coco"),
    ],
)
def test_a_line_that_does_not_fit_the_file_is_refused(listed):
    with pytest.raises(TypeError, match=r"in sesame_hpc/choices\.py does not fit its FORMAT"):
        load_format(listed)


def test_names_are_unique():
    assert len(set(DATA_FORMATS)) == len(BUILT_IN_FORMATS)


def test_another_name_is_answered_with_those_expected():
    with pytest.raises(ValueError, match=r"format is 'pst'; takes wflw, coco, csv, pts, or a plug"):
        format_named("pst", WRITTEN_FORMATS)
