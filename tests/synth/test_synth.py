"""Synthetic faces: layout, determinism, and that points and attributes tell the truth."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sesame_hpc.choices import Split
from sesame_hpc.data.formats.readers import has_split, read_annotations
from sesame_hpc.synth import synthesise
from sesame_hpc.synth.cast import Hair, Pose, cast_person
from sesame_hpc.synth.render import (
    ATTRIBUTES,
    BLURRED,
    OCCLUDED_SHARE,
    Face,
    Framing,
    render_face,
    render_person,
)
from sesame_hpc.synth.shape import Expression, Identity, feature_points
from sesame_hpc.synth.write import face_generator

LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
SUBSETS = ("largepose", "expression", "illumination", "makeup", "occlusion", "blur")
MIRROR = [
    *range(32, -1, -1),
    *(46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38),
    *(51, 52, 53, 54, 59, 58, 57, 56, 55),
    *(72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65),
    *(82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83, 92, 91, 90, 89, 88, 95, 94, 93),
    *(97, 96),
]
STILL = Framing(width=256, height=256, scale=96.0, centre=(128.0, 84.0), noise=0.0)


def digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def plain_face(seed: int, **changes: object) -> Face:
    """A frontal, unoccluded, evenly lit face of a random person."""
    person = cast_person(np.random.default_rng(seed))
    look = replace(person.look, glasses="none", beard=0.0, moustache=0.0)
    light = replace(person.light, direction=(0.1, -0.3, 0.9), key=0.4, ambient=0.65, strong=False)
    settings: dict[str, Any] = {
        "expression": Expression(),
        "pose": Pose(),
        "look": look,
        "light": light,
        "hair": Hair(style="crop"),
    }
    return render_person(
        replace(person, **{**settings, **changes}), STILL, np.random.default_rng(seed)
    )


def brightness(face: Face, point: np.ndarray) -> float:
    """Mean grey value of 2 x 2 pixels around a corner-based point."""
    grey = cv2.cvtColor(face.image, cv2.COLOR_BGR2GRAY).astype(float)
    x, y = np.rint(point).astype(int)
    return float(grey[y - 1 : y + 1, x - 1 : x + 1].mean())


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "one"
    synthesise(out, train=10, test=14, seed=3, size=128, workers=1)
    return out


@pytest.fixture(scope="module")
def random_faces() -> list[Face]:
    return [render_face(np.random.default_rng([9, i]), 128) for i in range(120)]


def test_layout_and_fields(small_set: Path) -> None:
    for split, count in (("train", 10), ("test", 14)):
        rows = [line.split() for line in (small_set / LISTS.format(split)).read_text().splitlines()]
        assert len(rows) == count
        assert {len(row) for row in rows} == {207}
        assert len({row[-1] for row in rows}) == count
        for row in rows:
            image = cv2.imread(str(small_set / "WFLW_images" / row[-1]))
            assert image is not None
            assert set(row[200:206]) <= {"0", "1"}
            points = np.array(row[:196], float).reshape(98, 2)
            box = np.array(row[196:200], float)
            assert (points >= 0).all()
            assert (points <= image.shape[1::-1]).all()
            assert (box[:2] <= points.min(0)).all()
            assert (box[2:] >= points.max(0)).all()
            grown = (box[2:] - box[:2]) / np.ptp(points, axis=0).max()
            assert (grown < 1.35).all()


def test_subset_lists_hold_the_flagged_faces(small_set: Path) -> None:
    test_rows = [
        line.split() for line in (small_set / LISTS.format("test")).read_text().splitlines()
    ]
    for column, name in enumerate(SUBSETS):
        path = small_set / f"WFLW_annotations/list_98pt_test/list_98pt_test_{name}.txt"
        rows = [line.split() for line in path.read_text().splitlines()]
        expected = [row[:196] + row[-1:] for row in test_rows if row[200 + column] == "1"]
        assert rows == expected


def test_bytes_depend_on_seed_not_on_workers(small_set: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "two", train=10, test=14, seed=3, size=128, workers=2)
    synthesise(tmp_path / "other", train=10, test=14, seed=4, size=128, workers=1)
    first, again, other = (digests(p) for p in (small_set, tmp_path / "two", tmp_path / "other"))
    assert first == again
    assert first.keys() == other.keys()
    assert sum(first[name] == other[name] for name in first) == 0


@pytest.mark.parametrize(("numbers", "split"), [((3, 0), "train"), ((0, 2), "test")])
def test_a_set_without_one_split_is_read(
    tmp_path: Path, numbers: tuple[int, int], split: Split
) -> None:
    train, test = numbers
    synthesise(tmp_path / "set", train=train, test=test, seed=3, size=128, workers=1)
    assert len(read_annotations(tmp_path / "set", "wflw", split)) == train + test
    other: Split = "test" if split == "train" else "train"
    assert not has_split(tmp_path / "set", "wflw", other)


def test_more_faces_keep_the_first_ones(small_set: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "more", train=12, test=1, seed=3, size=128, workers=1)
    few, more = (
        (root / LISTS.format("train")).read_text().splitlines()
        for root in (small_set, tmp_path / "more")
    )
    assert more[:10] == few
    assert not np.array_equal(
        face_generator(3, "train", 0).random(4), face_generator(3, "test", 0).random(4)
    )


def test_finished_set_is_left_alone_and_anything_else_refused(
    small_set: Path, tmp_path: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in small_set.rglob("*")}
    synthesise(small_set, train=10, test=14, seed=3, size=128, workers=1)
    assert before == {p: p.stat().st_mtime_ns for p in small_set.rglob("*")}
    with pytest.raises(FileExistsError, match="other synthetic faces"):
        synthesise(small_set, train=10, test=14, seed=4, size=128, workers=1)
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(FileExistsError, match="not empty"):
        synthesise(tmp_path, train=1, test=0, seed=0, workers=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_run_leaves_nothing(tmp_path: Path, workers: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "set", 40, 0, 0, size=64, workers=workers, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_face_and_record_is_complete(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "set"
    synthesise(out, 2, 1, 0, size=64, workers=1, progress=lambda *pair: seen.append(pair))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    record = json.loads((out / "synth.json").read_text())
    assert record == {"version": 1, "train": 2, "test": 1, "seed": 0, "size": 64}


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"train": -1}, "train"),
        ({"train": 0, "test": 0}, "both 0"),
        ({"size": 8}, "size"),
        ({"seed": -2}, "seed"),
        ({"workers": 0}, "workers"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, numbers: dict[str, int], name: str) -> None:
    settings: dict[str, Any] = {"train": 1, "test": 1, "seed": 0, "size": 64, "workers": 1}
    with pytest.raises(ValueError, match=name):
        synthesise(tmp_path / "set", **(settings | numbers))


def test_frontal_points_mirror_onto_themselves() -> None:
    points = feature_points(Identity(), Expression(mouth_open=0.1, smile=0.5))
    assert points.shape == (98, 2)
    np.testing.assert_allclose(points[MIRROR] * (-1, 1), points, atol=1e-9)


def test_turning_the_other_way_mirrors_the_landmarks() -> None:
    for yaw in (0.0, 25.0, 50.0):
        right = plain_face(1, identity=Identity(), pose=Pose(yaw, 8.0, 5.0)).landmarks
        left = plain_face(1, identity=Identity(), pose=Pose(-yaw, 8.0, -5.0)).landmarks
        mirrored = right[MIRROR] * (-1, 1) + (STILL.width, 0)
        np.testing.assert_allclose(mirrored, left, atol=0.05)


def test_a_large_turn_foreshortens_the_far_half() -> None:
    points = plain_face(2, pose=Pose(yaw=50.0)).landmarks
    near, far = points[64, 0] - points[60, 0], points[72, 0] - points[68, 0]
    assert 0 < far < 0.6 * near
    assert points[32, 0] - points[54, 0] < 0.5 * (points[54, 0] - points[0, 0])


def test_attributes_tell_the_truth(random_faces: list[Face]) -> None:
    for face in random_faces:
        flags = dict(zip(ATTRIBUTES, face.attributes, strict=True))
        assert np.isfinite(face.landmarks).all()
        assert flags["pose"] == (
            abs(face.person.pose.yaw) >= 35 or abs(face.person.pose.pitch) >= 22
        )
        assert flags["occlusion"] == (face.covered >= OCCLUDED_SHARE)
        assert flags["blur"] == (face.framing.blur >= BLURRED)
        assert flags["make-up"] == (face.person.look.lipstick is not None)
        assert flags["illumination"] == face.person.light.strong
    shares = np.mean([face.attributes for face in random_faces], axis=0)
    assert (shares > 0.04).all()
    assert (shares < 0.35).all()


def test_covered_share_is_what_the_occluder_hides() -> None:
    for seed in range(8):
        person = replace(
            cast_person(np.random.default_rng(seed)), hair=Hair(style="bald"), pose=Pose()
        )
        person = replace(person, look=replace(person.look, glasses="none"))
        bare, covered = (
            render_person(person, replace(STILL, occluder=on), np.random.default_rng(seed))
            for on in (False, True)
        )
        assert bare.covered == 0.0
        cell = np.floor(bare.landmarks).astype(int)
        changed = np.abs(bare.image.astype(int) - covered.image).max(-1)[cell[:, 1], cell[:, 0]] > 1
        assert changed.mean() == pytest.approx(covered.covered, abs=0.08)


def test_blurred_faces_have_weaker_edges(random_faces: list[Face]) -> None:
    def sharpness(face: Face) -> float:
        grey = cv2.cvtColor(face.image, cv2.COLOR_BGR2GRAY)
        smooth = cv2.medianBlur(grey, 3).astype(np.float32)
        return float(np.percentile(np.abs(cv2.Laplacian(smooth, cv2.CV_32F)), 99))

    blurred = [sharpness(f) for f in random_faces if f.attributes[5]]
    sharp = [sharpness(f) for f in random_faces if not f.attributes[5]]
    assert np.median(blurred) < 0.6 * np.median(sharp)


def test_pupils_and_brows_are_dark_where_the_points_are() -> None:
    for seed in range(8):
        face = plain_face(seed)
        points = face.landmarks
        for pupil, outer, inner in ((96, 60, 64), (97, 72, 68)):
            for corner in (outer, inner):
                white = points[pupil] + 0.62 * (points[corner] - points[pupil])
                assert brightness(face, points[pupil]) < brightness(face, white) - 25
        for upper, lower in ((35, 40), (44, 48)):
            brow = (points[upper] + points[lower]) / 2
            above = brow + 2.2 * (points[upper] - points[lower])
            assert brightness(face, brow) < brightness(face, above) - 12


def test_lips_differ_from_the_skin_above_them() -> None:
    for seed in range(8):
        face = plain_face(seed)
        lip = face.landmarks[[79, 90]].mean(0)
        skin = face.landmarks[79] + (face.landmarks[79] - face.landmarks[85]) * 0.45
        tones = [face.image[int(y), int(x)].astype(float) for x, y in (lip, skin)]
        assert np.abs(tones[0] - tones[1]).max() > 12


def test_the_jaw_is_fainter_than_the_inner_features(random_faces: list[Face]) -> None:
    jaw, inner = [], []
    for face in random_faces:
        grey = cv2.GaussianBlur(cv2.cvtColor(face.image, cv2.COLOR_BGR2GRAY), (0, 0), 1.0)
        edges = cv2.magnitude(*(cv2.Sobel(grey, cv2.CV_32F, *d) for d in ((1, 0), (0, 1))))
        cell = np.floor(face.landmarks).astype(int)
        strength = edges[cell[:, 1], cell[:, 0]]
        jaw.append(strength[8:25].mean())
        inner.append(np.concatenate([strength[60:76], strength[96:]]).mean())
    assert np.median(jaw) < 0.75 * np.median(inner)
