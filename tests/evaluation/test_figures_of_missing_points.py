"""Figures where points are not labelled, against definitions written out face by face."""

import json
from dataclasses import replace

import numpy as np
import pytest
from missing_points import with_missing
from random_faces import annotations, predicted

from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.nme import point_errors
from sesame_hpc.schemes import load_scheme

WFLW = load_scheme("wflw98")
FACES = with_missing(annotations())
POINTS = predicted(annotations())


def errors_by_hand() -> list[dict[int, float]]:
    """{labelled point: error} of each face that has both outer eye corners, as fractions."""
    found = []
    for face, truth in zip(POINTS, FACES.landmarks, strict=True):
        known = [k for k in range(98) if not np.isnan(truth[k, 0])]
        if 60 in known and 72 in known:
            eyes = np.hypot(*(truth[60] - truth[72]))
            found.append({k: float(np.hypot(*(face[k] - truth[k])) / eyes) for k in known})
    return found


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def test_means_are_over_labelled_points_of_faces_with_the_normaliser() -> None:
    by_hand, result = errors_by_hand(), figures(POINTS, FACES)
    face_nme = [mean(face.values()) for face in by_hand]
    assert (result.faces, result.counted_out) == (36, 4)
    assert result.nme == pytest.approx(100 * mean(face_nme))
    assert result.fr10 == pytest.approx(100 * mean(nme > 0.1 for nme in face_nme))
    for name, members in WFLW.regions.items():
        having = [[face[k] for k in members if k in face] for face in by_hand]
        expected = 100 * mean(mean(face) for face in having if face)
        assert result.regions[name] == pytest.approx(expected), name
    for point in (0, 40, 60, 97):
        expected = 100 * mean(face[point] for face in by_hand if point in face)
        assert result.landmarks[point] == pytest.approx(expected)
    low, high = result.intervals["nme"]
    assert low < result.nme < high
    low, high = result.intervals["regions"]["outline"]
    assert low < result.regions["outline"] < high


def test_the_result_says_what_is_not_labelled_and_who_is_counted_out() -> None:
    protocol = figures(POINTS, FACES).protocol
    missing = int(np.isnan(FACES.landmarks[..., 0]).sum())
    assert protocol["points"].startswith(f"{missing} of 3,920 points are not labelled")
    assert protocol["counted out"].startswith("4 faces without both points of the normaliser (60")
    whole = figures(POINTS, annotations())
    assert whole.protocol == {"normaliser": "inter_ocular"}
    assert (whole.counted_out, whole.visibility, whole.sources) == (0, {}, {})


def test_the_box_measures_every_face() -> None:
    result = []
    for row, (face, truth) in enumerate(zip(POINTS, FACES.landmarks, strict=True)):
        known = ~np.isnan(truth[:, 0])
        width, height = FACES.boxes[row, 2:] - FACES.boxes[row, :2]
        pixels = np.hypot(*(face[known] - truth[known]).T).mean()
        result.append(100 * pixels / np.sqrt(width * height))
    assert figures(POINTS, FACES).normalised_by["box"] == pytest.approx(mean(result))


def test_predictions_of_points_without_a_label_do_not_matter() -> None:
    other = np.where(np.isnan(FACES.landmarks), POINTS + 1000.0, POINTS)
    assert figures(other, FACES) == figures(POINTS, FACES)


def test_a_prediction_that_is_not_a_number_is_no_missing_label() -> None:
    points = POINTS.copy()
    row = int(np.flatnonzero(~np.isnan(FACES.landmarks[:, 50, 0]))[0])
    points[row, 50] = np.nan
    assert point_errors(points, FACES.landmarks, WFLW)[row, 50] == np.inf
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(figures(points, FACES).nme)


def test_visible_and_occluded_points_are_rows() -> None:
    found = figures(POINTS, FACES).visibility
    errors = point_errors(POINTS, FACES.landmarks, WFLW)
    errors = errors[~np.isnan(errors).all(axis=1)]
    seen = FACES.seen[[row for row in range(40) if row % 10 != 4]]
    for name, value in (("visible", 2), ("occluded", 1)):
        faces = [errors[row, seen[row] == value] for row in range(len(seen))]
        assert found[name]["points"] == (seen == value).sum()
        assert found[name]["faces"] == 36
        assert found[name]["nme"] == pytest.approx(100 * mean(face.mean() for face in faces))


def test_each_data_set_is_a_row() -> None:
    sources = tuple("indoor" if row < 15 else "street" for row in range(40))
    result = figures(POINTS, replace(FACES, datasets=sources))
    for name, rows in (("indoor", np.arange(15)), ("street", np.arange(15, 40))):
        alone = figures(POINTS[rows], FACES.select(rows))
        found = result.sources[name]
        assert found["faces"] == alone.faces
        assert found["nme"] == pytest.approx(alone.nme)
        assert found["fr10"] == pytest.approx(alone.fr10)


def test_a_region_that_nobody_has_labelled_is_none() -> None:
    landmarks = FACES.landmarks.copy()
    landmarks[:, 96:98] = np.nan
    faces = replace(FACES, landmarks=landmarks, visibility=None)
    result = figures(POINTS, faces)
    assert result.regions["pupils"] is None
    assert result.landmarks[96] is None
    assert result.intervals["regions"]["pupils"] is None
    assert "inter_pupil" not in result.normalised_by
    json.dumps(result.to_json(), allow_nan=False)
    change = compare(POINTS, POINTS + 1, faces)
    assert change["regions"]["pupils"] == {"difference": None, "interval": None}


def test_comparison_is_over_the_same_labels() -> None:
    second = FACES.landmarks + 1.01 * (POINTS - FACES.landmarks)
    change = compare(POINTS, second, FACES)
    before, after = figures(POINTS, FACES), figures(second, FACES)
    assert change["nme"]["difference"] == pytest.approx(after.nme - before.nme)
    expected = after.regions["outline"] - before.regions["outline"]
    assert change["regions"]["outline"]["difference"] == pytest.approx(expected)


def test_intervals_of_columns_with_gaps_are_those_of_the_faces_that_have_them() -> None:
    values = np.random.default_rng(3).exponential(size=(400, 3))
    gaps = values.copy()
    gaps[::2, 1] = np.nan
    whole, some = intervals(values), intervals(gaps)
    assert whole[0] == some[0]
    assert whole[2] == some[2]
    alone = intervals(values[1::2, 1:2])[0]
    assert some[1] == pytest.approx(alone, abs=0.25 * (alone[1] - alone[0]))


def test_no_face_with_the_normaliser_is_refused_in_words() -> None:
    landmarks = FACES.landmarks.copy()
    landmarks[:, 72] = np.nan
    with pytest.raises(ValueError, match=r"none of the 40 faces has both points of the normaliser"):
        figures(POINTS, replace(FACES, landmarks=landmarks, visibility=None))
