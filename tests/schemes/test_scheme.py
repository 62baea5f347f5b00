"""Schemes: the built-in ones are right, a user's own loads, and every error is named."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.schemes import Scheme, builtin_schemes, load_scheme

DATA = Path(__file__).parents[3] / "shared" / "data"
REGIONS = [
    *("outline", "brow_image_left", "brow_image_right", "nose_bridge", "nose_base"),
    *("eye_image_left", "eye_image_right", "outer_lips", "inner_lips"),
]
TOY = """\
name: toy
points: [left, right, 'mouth_{0-2}']
regions: {eyes: 0-1, mouth: 2-4}
mirror: [1-0, 4-2]
normaliser: [0, 1]
edges: {open: [2-4], closed: ['0, 1, 3']}
"""


@pytest.fixture
def toy_file(tmp_path):
    def write(*replacements: tuple[str, str]) -> Path:
        text = TOY
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "toy.yaml"
        path.write_text(text)
        return path

    return write


def sample(name: str, format: str):
    if not (DATA / name).is_dir():
        pytest.skip(f"the sample faces {DATA / name} are not on this machine")
    return read_annotations(DATA / name, format)


def test_builtin_schemes_have_their_points_and_regions():
    assert builtin_schemes() == ("ibug68", "wflw98")
    wflw, ibug = load_scheme("wflw98"), load_scheme("ibug68")
    assert (wflw.name, wflw.num_landmarks, list(wflw.regions)) == (
        "wflw98",
        98,
        [*REGIONS, "pupils"],
    )
    assert (ibug.name, ibug.num_landmarks, list(ibug.regions)) == ("ibug68", 68, REGIONS)
    assert [len(members) for members in wflw.regions.values()] == [33, 9, 9, 4, 5, 8, 8, 12, 8, 2]
    assert [len(members) for members in ibug.regions.values()] == [17, 5, 5, 4, 5, 6, 6, 12, 8]
    assert (wflw.normaliser, ibug.normaliser) == ((60, 72), (36, 45))


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("wflw98", [16, 51, 52, 53, 54, 57, 79, 85, 90, 94]),
        ("ibug68", [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]),
    ],
)
def test_mirror_fixes_the_middle_and_swaps_the_sides(name, fixed):
    scheme = load_scheme(name)
    assert [i for i, partner in enumerate(scheme.mirror) if i == partner] == fixed
    for side, other in [
        ("brow_image_left", "brow_image_right"),
        ("eye_image_left", "eye_image_right"),
    ]:
        images = {scheme.mirror[point] for point in scheme.regions[side]}
        assert images == set(scheme.regions[other])
    assert scheme.mirror[scheme.normaliser[0]] == scheme.normaliser[1]


def upright_mean(landmarks: np.ndarray, mirror: tuple[int, ...]) -> np.ndarray:
    """Complex [K]: the mean of faces that are centred, turned upright and of unit mean radius."""
    faces = landmarks[..., 0] + 1j * landmarks[..., 1]
    faces = faces - faces.mean(axis=1, keepdims=True)
    turned = (faces * -faces[:, list(mirror)]).sum(axis=1)
    faces = faces / np.sqrt(turned / np.abs(turned))[:, None]
    return (faces / np.abs(faces).mean(axis=1, keepdims=True)).mean(axis=0)


def nearest_mirror_images(mean: np.ndarray, scheme: Scheme, region: str) -> list[int]:
    """For each point of the region, the point of the opposite region that lands nearest to it."""
    points = scheme.regions[region]
    opposite = np.array(sorted(scheme.mirror[point] for point in points))
    return [int(opposite[np.abs(mean[point] + mean[opposite].conj()).argmin()]) for point in points]


def true_images(scheme: Scheme, region: str) -> list[int]:
    return [scheme.mirror[point] for point in scheme.regions[region]]


def test_mean_of_many_68_point_faces_is_its_own_mirror_image():
    faces = sample("lfpw68", "pts")
    scheme = faces.scheme
    mean = upright_mean(faces.landmarks, scheme.mirror)
    assert np.abs(mean + mean[list(scheme.mirror)].conj()).max() < 0.04
    for region in scheme.regions:
        assert nearest_mirror_images(mean, scheme, region) == true_images(scheme, region)


def test_mean_of_four_98_point_faces_is_near_its_own_mirror_image():
    faces = sample("wflw_sample", "wflw")
    scheme = faces.scheme
    mean = upright_mean(faces.landmarks, scheme.mirror)
    assert np.abs(mean + mean[list(scheme.mirror)].conj()).max() < 0.3
    for region in [name for name in scheme.regions if not name.startswith("brow")]:
        assert nearest_mirror_images(mean, scheme, region) == true_images(scheme, region)


def test_brows_of_98_points_fit_best_among_all_turns_of_their_outline():
    faces = sample("wflw_sample", "wflw")
    scheme = faces.scheme
    mean = upright_mean(faces.landmarks, scheme.mirror)
    left = mean[list(scheme.regions["brow_image_left"])]
    right = list(scheme.regions["brow_image_right"])
    orders = [turn[shift:] + turn[:shift] for turn in (right, right[::-1]) for shift in range(9)]
    best = min(orders, key=lambda order: np.abs(left + mean[order].conj()).sum())
    assert best == true_images(scheme, "brow_image_left")


def test_a_users_own_file_loads(toy_file):
    assert load_scheme(toy_file()) == Scheme(
        name="toy",
        points=("left", "right", "mouth_0", "mouth_1", "mouth_2"),
        regions={"eyes": (0, 1), "mouth": (2, 3, 4)},
        mirror=(1, 0, 4, 3, 2),
        normaliser=(0, 1),
        edges=((2, 3), (3, 4), (0, 1), (1, 3), (3, 0)),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "mirror: [1-0, 4-2]",
            "mirror: [1, 2, 0, 3, 4]",
            "mirror: maps 0 to 1 but 1 to 2.*would be 0",
        ),
        (
            "mirror: [1-0, 4-2]",
            "mirror: [2, 1, 0, 3, 4]",
            "mirror: maps region eyes .* eyes, mouth",
        ),
        ("mirror: [1-0, 4-2]", "mirror: 1-0", "mirror: has 2 entries; takes one per point, 5"),
        ("mirror: [1-0, 4-2]", "mirror: 1-5", "mirror: no point 5; points are 0 to 4"),
        ("mirror: [1-0, 4-2]", "mirror: all", "mirror: 'all' is not a point or range.*0-32, 96"),
        ("mouth: 2-4", "mouth: 2-3", "regions: point 4 in no region; every point"),
        ("mouth: 2-4", "mouth: 1-4", "regions: point 1 more than once .in eyes, mouth."),
        ("mouth: 2-4", "mouth: 2-5", "regions.mouth: no point 5; points are 0 to 4"),
        ("mouth: 2-4", "eyes: 2-4", "line 3: 'eyes' named twice; every name must be unique"),
        ("mouth: 2-4", "mouth: []", "regions.mouth: is empty"),
        ("{eyes: 0-1, mouth: 2-4}", "[0-1, 2-4]", "regions: takes a mapping of names to points"),
        ("[left, right", "[left, left", "points: left named twice"),
        ("[left, right, 'mouth_{0-2}']", "5", "points: takes a list of names"),
        (
            "normaliser: [0, 1]",
            "normaliser: [1, 1]",
            "normaliser: is .1, 1.; it takes two different",
        ),
        (
            "normaliser: [0, 1]",
            "normaliser: [0, 9]",
            "normaliser: no point 9; points are 0 to 4",
        ),
        ("normaliser: [0, 1]", "normaliser: 0-2", "normaliser: has 3 points; it takes two"),
        ("open: [2-4]", "open: [2-6]", "edges: no points 5, 6; points are 0 to 4"),
        ("open: [2-4]", "open: ['2, 2']", "edges: .2, 2. does not join two different points"),
        ("open: [2-4]", "open: 2-4", "edges.open: takes a list of curves"),
        (
            "open: [2-4]",
            "opened: [2-4]",
            "edges: unknown key 'opened'; did you mean 'open'.*closed",
        ),
        ("normaliser:", "normalizer:", "unknown key 'normalizer'; did you mean 'normaliser'"),
        ("name: toy\n", "", "missing name"),
        ("name: toy", "name: 7", "name: 7 is not a string"),
        ("name: toy", "name: [", "not YAML"),
    ],
)
def test_faults_name_file_key_and_what_is_valid(toy_file, old, new, message):
    path = toy_file((old, new))
    with pytest.raises(ValueError, match=message) as caught:
        load_scheme(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_empty_file_is_named(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ValueError, match=r"empty.yaml: the file: takes a mapping with .*mirror"):
        load_scheme(tmp_path / "empty.yaml")


def test_brackets_without_end_are_an_error_like_others(tmp_path):
    path = tmp_path / "deep.yaml"
    path.write_text("name: " + "[" * 5000)
    with pytest.raises(ValueError, match=r"deep\.yaml: nested too deeply"):
        load_scheme(str(path))


def test_unknown_name_lists_the_builtin_schemes():
    with pytest.raises(FileNotFoundError, match=re.escape("'wflw' is neither")) as caught:
        load_scheme("wflw")
    assert "ibug68, wflw98" in str(caught.value)


def test_a_scheme_made_in_code_is_validated_too():
    with pytest.raises(ValueError, match="points: 1 named"):
        replace(load_scheme("ibug68"), points=("only",))


def test_importing_schemes_imports_no_torch():
    code = "import sys, sesame_hpc.schemes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
