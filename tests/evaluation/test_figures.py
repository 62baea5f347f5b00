"""Figures against implementations written here, one face and one threshold at a time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_faces import annotations, predicted

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.evaluation.bootstrap import intervals
from sesame_hpc.evaluation.compare import compare
from sesame_hpc.evaluation.curves import auc, ced, failure_rate
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.predictions import read_predictions, write_predictions
from sesame_hpc.schemes import load_scheme

WFLW = load_scheme("wflw98")


def face_nme_by_hand(points: np.ndarray, faces: Annotations) -> list[float]:
    result = []
    for face, truth in zip(points, faces.landmarks, strict=True):
        eyes = np.hypot(*(truth[60] - truth[72]))
        result.append(sum(np.hypot(*(p - t)) for p, t in zip(face, truth, strict=True)) / 98 / eyes)
    return result


def auc_by_hand(values: list[float], limit: float) -> float:
    """Simpson's rule interval by interval."""
    steps = round(limit / 1e-4)
    heights = [sum(v <= i * 1e-4 for v in values) / len(values) for i in range(steps + 1)]
    area = 0.0
    for i in range(0, steps, 2):
        area += 1e-4 / 3 * (heights[i] + 4 * heights[i + 1] + heights[i + 2])
    return area / limit


@pytest.mark.parametrize("noise", [2.0, 8.0, 30.0])
def test_overall_figures_agree_with_those_by_hand(noise: float) -> None:
    faces = annotations()
    points = predicted(faces, noise)
    by_hand = face_nme_by_hand(points, faces)
    result = figures(points, faces)
    assert result.nme == pytest.approx(100 * sum(by_hand) / len(by_hand), abs=1e-9)
    for name, limit in (("8", 0.08), ("10", 0.10)):
        failures = 100 * sum(value > limit for value in by_hand) / len(by_hand)
        assert getattr(result, f"fr{name}") == pytest.approx(failures, abs=1e-9)
        expected = auc_by_hand(by_hand, limit)
        assert getattr(result, f"auc{name}") == pytest.approx(expected, abs=1e-9)


def test_areas_have_intervals_of_resampled_areas() -> None:
    faces = annotations()
    points = predicted(faces, 4.0)
    by_hand = np.array(face_nme_by_hand(points, faces))
    generator = np.random.default_rng(9)
    samples = (generator.choice(by_hand, len(by_hand)).tolist() for _ in range(400))
    resampled = [auc_by_hand(sample, 0.08) for sample in samples]
    low, high = np.percentile(resampled, [2.5, 97.5])
    found = figures(points, faces).intervals["auc8"]
    assert found[0] < figures(points, faces).auc8 < found[1]
    assert found == pytest.approx([low, high], abs=0.2 * (high - low))


def test_intervals_do_not_depend_on_the_number_of_threads() -> None:
    program = (
        "import numpy as np; from sesame_hpc.evaluation.bootstrap import intervals;"
        "print(intervals(np.random.default_rng(3).exponential(size=(805, 13))))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(told) == 1


def test_subsets_are_the_faces_with_the_attribute() -> None:
    faces = annotations()
    points = predicted(faces)
    rows = np.flatnonzero(faces.attributes[:, 1])
    alone = figures(points[rows], faces.select(rows))
    subset = figures(points, faces).subsets["blur"]
    assert subset["faces"] == len(rows)
    assert subset["nme"] == pytest.approx(alone.nme)
    assert subset["fr10"] == pytest.approx(alone.fr10)
    assert subset["auc10"] == pytest.approx(alone.auc10)


def test_landmarks_and_regions_average_to_the_whole() -> None:
    faces = annotations()
    result = figures(predicted(faces), faces)
    assert len(result.landmarks) == 98
    assert np.mean(result.landmarks) == pytest.approx(result.nme)
    outline = np.mean([result.landmarks[point] for point in WFLW.regions["outline"]])
    assert result.regions["outline"] == pytest.approx(outline)


def test_other_normalisers() -> None:
    faces = annotations(5)
    points = predicted(faces)
    pixels = np.linalg.norm(points - faces.landmarks, axis=-1).mean(axis=1)
    pupils = np.linalg.norm(faces.landmarks[:, 96] - faces.landmarks[:, 97], axis=-1)
    width, height = (faces.boxes[:, 2:] - faces.boxes[:, :2]).T
    by = figures(points, faces).normalised_by
    assert by["inter_pupil"] == pytest.approx(100 * (pixels / pupils).mean())
    assert by["box"] == pytest.approx(100 * (pixels / np.sqrt(width * height)).mean())


def test_without_pupils_the_eyes_centres_serve() -> None:
    faces = annotations(5, load_scheme("ibug68"))
    points = predicted(faces)
    eyes = [faces.landmarks[:, a:b].mean(axis=1) for a, b in ((36, 42), (42, 48))]
    distance = np.linalg.norm(eyes[0] - eyes[1], axis=-1)
    pixels = np.linalg.norm(points - faces.landmarks, axis=-1).mean(axis=1)
    expected = 100 * (pixels / distance).mean()
    assert figures(points, faces).normalised_by["inter_pupil"] == pytest.approx(expected)


def test_intervals_hold_the_mean_and_narrow_with_faces() -> None:
    widths = []
    for count in (30, 480):
        faces = annotations(count)
        result = figures(predicted(faces), faces)
        low, high = result.intervals["nme"]
        assert low < result.nme < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_the_interval_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    samples = generator.exponential(size=(60, 300))
    bounds = np.array(intervals(samples))
    covered = ((bounds[:, 0] <= 1) & (bounds[:, 1] >= 1)).mean()
    assert 0.88 <= covered <= 0.98


def test_comparison_is_paired() -> None:
    faces = annotations()
    first = predicted(faces)
    second = faces.landmarks + 1.01 * (first - faces.landmarks)
    change = compare(first, second, faces)
    expected = figures(second, faces).nme - figures(first, faces).nme
    assert change["nme"]["difference"] == pytest.approx(expected)
    low, high = change["nme"]["interval"]
    assert 0 < low < expected < high
    alone = figures(first, faces).intervals["nme"]
    assert high - low < 0.1 * (alone[1] - alone[0])


def test_curve_edges() -> None:
    values = np.array([0.05, 0.1, 0.2])
    assert failure_rate(values, 0.1) == pytest.approx(1 / 3)
    assert ced(values, np.array([0.0, 0.05, 0.15, 0.2])).tolist() == [0, 1 / 3, 2 / 3, 1]
    assert auc(np.zeros(4), 0.1) == pytest.approx(1.0)
    assert auc(np.ones(4), 0.1) == 0.0


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_predictions_round_trip(tmp_path: Path, suffix: str) -> None:
    faces = annotations(6)
    points, path = predicted(faces), tmp_path / f"p.{suffix}"
    if suffix == "npz":
        write_predictions(path, points, faces)
    else:
        header = ",".join(["image", *(f"{axis}{k}" for k in range(98) for axis in "xy")])
        rows = [
            ",".join([image, *map(repr, map(float, face.ravel()))])
            for image, face in zip(faces.images, points, strict=True)
        ]
        path.write_text("\n".join([header, *rows]) + "\n")
    assert np.array_equal(read_predictions(path, faces), points)


def test_predictions_that_do_not_fit_are_named(tmp_path: Path) -> None:
    faces, path = annotations(6), tmp_path / "p.npz"
    points = predicted(faces)
    write_predictions(path, points[::-1], faces.select(np.arange(6)[::-1]))
    with pytest.raises(
        ValueError, match=r"row 0 is for '5/a, b 5\.jpg', but face 0 is in 0/a, b 0"
    ):
        read_predictions(path, faces)
    np.savez(path, image=np.array(faces.images), points=points[:5])
    with pytest.raises(ValueError, match=r"points are \(5, 98, 2\)"):
        read_predictions(path, faces)
    points[3, 5] = np.nan
    write_predictions(path, points, faces)
    with pytest.raises(ValueError, match=r"row 3 .* not finite"):
        read_predictions(path, faces)
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="not an npz file"):
        read_predictions(path, faces)
    (tmp_path / "p.csv").write_text("image,x0\n")
    with pytest.raises(
        ValueError, match=r"p\.csv:1: lacks y0, x1, .*takes the columns image,x0,y0"
    ):
        read_predictions(tmp_path / "p.csv", faces)


def test_an_npz_with_objects_in_it_is_refused(tmp_path: Path) -> None:
    faces, path = annotations(2), tmp_path / "p.npz"
    np.savez(path, image=np.array([{}, {}], dtype=object), points=predicted(faces))
    with pytest.raises(ValueError, match="not an npz file of plain arrays"):
        read_predictions(path, faces)
