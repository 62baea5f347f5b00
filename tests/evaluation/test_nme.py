import numpy as np
import pytest

from sesame_hpc.evaluation.nme import nme_table, normaliser_distances, point_errors
from sesame_hpc.schemes import load_scheme

SCHEME = load_scheme("wflw98")


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 300, (count, 98, 2))


def nme_by_hand(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Eq. 3 and Eq. 4, one face and one landmark at a time."""
    per_face = []
    for p, t in zip(predicted, truth, strict=True):
        d = ((t[60, 0] - t[72, 0]) ** 2 + (t[60, 1] - t[72, 1]) ** 2) ** 0.5
        errors = [((p[k, 0] - t[k, 0]) ** 2 + (p[k, 1] - t[k, 1]) ** 2) ** 0.5 for k in range(98)]
        per_face.append(sum(error / d for error in errors) / 98)
    return 100 * sum(per_face) / len(per_face)


def test_nme_agrees_with_the_formula_written_out() -> None:
    truth = faces(7)
    predicted = truth + np.random.default_rng(2).normal(0, 5, truth.shape)
    table = nme_table(point_errors(predicted, truth, SCHEME), SCHEME)
    assert table.nme == pytest.approx(nme_by_hand(predicted, truth), abs=1e-9)
    assert table.faces == 7


def test_regions_weigh_in_by_their_points() -> None:
    truth = faces(5)
    predicted = truth + np.random.default_rng(3).normal(0, 5, truth.shape)
    table = nme_table(point_errors(predicted, truth, SCHEME), SCHEME)
    weighted = sum(len(SCHEME.regions[name]) * nme for name, nme in table.regions.items()) / 98
    assert weighted == pytest.approx(table.nme, abs=1e-9)


def test_a_shift_of_one_region_shows_there_alone() -> None:
    truth = faces(3)
    predicted = truth.copy()
    predicted[:, 96:98, 0] += 10.0
    table = nme_table(point_errors(predicted, truth, SCHEME), SCHEME)
    assert table.worst_region == "pupils"
    expected = 100 * (10.0 / normaliser_distances(truth, SCHEME)).mean()
    assert table.regions["pupils"] == pytest.approx(expected)
    assert table.regions["outline"] == 0.0


def test_coinciding_eye_corners_are_named() -> None:
    truth = faces(4)
    truth[2, 60] = truth[2, 72]
    with pytest.raises(ValueError, match=r"rows \[2\] coincide"):
        point_errors(truth, truth, SCHEME)


def test_other_shapes_and_no_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        point_errors(faces(2), faces(3), SCHEME)
    with pytest.raises(ValueError, match="no faces"):
        nme_table(np.empty((0, 98)), SCHEME)
