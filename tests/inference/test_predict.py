"""`sesame predict`: every file that can be used is used, and every other is named."""

import csv
import errno
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sesame_hpc import Landmarker
from sesame_hpc.data.formats.pts_file import parse_pts
from sesame_hpc.inference.boxes import read_boxes
from sesame_hpc.inference.images import read_image
from sesame_hpc.inference.predict import predict
from sesame_hpc.inference.record import RECORD_NAME

RGB = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8), (80, 60))


@pytest.fixture(scope="module")
def landmarker(run):
    return Landmarker.load(run, "cpu")


@pytest.fixture
def folder(tmp_path):
    """Seven images of which one is corrupt and one cut short, and a text."""
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    bgr = RGB[..., ::-1]
    cv2.imwrite(str(root / "plain.png"), bgr)
    cv2.imwrite(str(root / "sixteen.png"), bgr.astype(np.uint16) * 257)
    cv2.imwrite(str(root / "grey.png"), bgr[..., 1])
    cv2.imwrite(str(root / "pixel.png"), bgr[:1, :1])
    cv2.imwrite(str(root / "deep" / "plain.jpg"), bgr)
    (root / "corrupt.jpg").write_bytes(b"\xff\xd8 this is no image")
    content = (root / "plain.png").read_bytes()
    (root / "cut.png").write_bytes(content[: len(content) // 2])
    (root / "notes.txt").write_text("ignored")
    return root


def read_faces(out) -> dict[str, np.ndarray]:
    record = json.loads((out / "landmarks.json").read_text())
    return {face["image"]: np.array(face["points"]) for face in record["faces"]}


def test_a_directory_that_cannot_be_listed_is_named(folder, monkeypatch):
    """Root may list every directory, so the refusal is made here."""
    from sesame_hpc.inference.inputs import find_inputs

    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_inputs([folder])
    assert len(found.inputs) == 6
    told = f"{folder / 'deep'}: Permission denied; what is in this directory was left out"
    assert found.failed == [told]


def test_a_pipe_is_named_and_not_waited_for(folder):
    from sesame_hpc.inference.inputs import find_inputs

    os.mkfifo(folder / "pipe.jpg")
    for given in (folder, folder / "pipe.jpg"):
        found = find_inputs([given])
        assert found.failed == [f"{folder / 'pipe.jpg'}: is a device or pipe, not a file"]


def test_a_folder_with_broken_files_gives_all_the_others(landmarker, folder, tmp_path):
    out = tmp_path / "out"
    outcome = predict(landmarker, [folder], out)
    assert sorted(os.path.basename(f.split(":")[0]) for f in outcome.failed) == [
        "corrupt.jpg",
        "cut.png",
    ]
    found = read_faces(out)
    assert set(found) == {"plain.png", "sixteen.png", "grey.png", "pixel.png", "deep/plain.jpg"}
    direct = landmarker(RGB, passes=2).points[0]
    np.testing.assert_allclose(found["plain.png"], direct, atol=1e-3)
    np.testing.assert_allclose(found["sixteen.png"], direct, atol=0.5)
    grey = landmarker(np.repeat(RGB[..., 1:2], 3, axis=2), passes=2).points[0]
    np.testing.assert_allclose(found["grey.png"], grey, atol=1e-3)
    assert np.abs(found["pixel.png"]).max() < 2
    drawn = read_image(out / "drawn" / "plain.png")
    assert drawn.shape == RGB.shape
    assert (drawn != RGB).any()
    assert (out / "drawn" / "deep" / "plain.jpg").exists()
    record = json.loads((out / "landmarks.json").read_text())
    assert record["failed"] == outcome.failed
    assert len(record["landmarks"]) == 98
    assert 0 <= min(record["faces"][0]["confidence"]) <= max(record["faces"][0]["confidence"]) <= 1
    hidden = [path.name for path in out.rglob("*") if path.name.startswith(".")]
    assert hidden == [RECORD_NAME]


def test_bad_paths_are_named_and_the_rest_is_done(landmarker, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "none.jpg", folder / "notes.txt", tmp_path / "empty", folder / "plain.png"]
    outcome = predict(landmarker, paths, tmp_path / "out", draw=False)
    assert [text.split(": ")[1][:12] for text in outcome.failed] == [
        "does not exi",
        "is neither i",
        "holds no ima",
    ]
    assert len(outcome.faces) == 1
    assert not (tmp_path / "out" / "drawn").exists()


def write_boxes(path, rows) -> None:
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["image,x_min,y_min,x_max,y_max,frame", *lines]) + "\n")


def test_boxes_from_a_file_and_results_in_its_order(landmarker, folder, tmp_path):
    rows = [
        ("plain.png", 30, 10, 70, 55, ""),
        ("deep/plain.jpg", 5, 5, 50, 50, ""),
        ("plain.png", 0, 0, 40, 40, ""),
    ]
    write_boxes(tmp_path / "boxes.csv", rows)
    out = tmp_path / "out"
    outcome = predict(
        landmarker,
        [folder / "deep", folder / "plain.png", folder / "grey.png"],
        out,
        format="csv",
        boxes=read_boxes(tmp_path / "boxes.csv"),
    )
    (text,) = outcome.failed
    assert "grey.png: " in text
    assert "has no box for grey.png" in text
    header, *points = csv.reader((out / "landmarks.csv").open())
    assert header[:4] == ["image", "x0", "y0", "x1"]
    assert len(header) == 1 + 2 * 98
    assert [row[0] for row in points] == ["plain.png", "plain.jpg", "plain.png"]
    expected = landmarker(RGB, [rows[0][1:5], rows[2][1:5]]).points
    for row, face in ((0, 0), (2, 1)):
        found = np.array(points[row][1:], dtype=float).reshape(98, 2)
        np.testing.assert_allclose(found, expected[face], atol=1e-3)
    header, *about = csv.reader((out / "confidence.csv").open())
    assert header[:3] == ["image", "face", "x_min"]
    assert [row[2:6] for row in about][2] == ["0.0000", "0.0000", "40.0000", "40.0000"]


def test_pts_files_are_read_back_where_they_were(landmarker, folder, tmp_path):
    cv2.imwrite(str(folder / "plain.jpg"), RGB)
    write_boxes(
        tmp_path / "b.csv", [("plain.png", 0, 0, 40, 40, ""), ("plain.png", 9, 9, 50, 50, "")]
    )
    boxes = read_boxes(tmp_path / "b.csv")
    out = tmp_path / "out"
    predict(landmarker, [folder / "plain.png"], out, format="pts", boxes=boxes)
    expected = landmarker(RGB, [[0, 0, 40, 40], [9, 9, 50, 50]]).points
    np.testing.assert_allclose(parse_pts(out / "plain.pts", 98), expected[0], atol=1e-3)
    np.testing.assert_allclose(parse_pts(out / "plain-2.pts", 98), expected[1], atol=1e-3)
    both = tmp_path / "both"
    predict(landmarker, [folder / "plain.png", folder / "plain.jpg"], both, format="pts")
    assert {path.name for path in both.glob("*.pts")} == {"plain_png.pts", "plain_jpg.pts"}


def test_two_files_of_one_name_both_stay(landmarker, folder, tmp_path):
    cv2.imwrite(str(folder / "deep" / "plain.png"), RGB)
    paths = [folder / "plain.png", folder / "deep" / "plain.png"]
    predict(landmarker, paths, tmp_path / "out")
    assert set(read_faces(tmp_path / "out")) == {"plain.png", "plain-2.png"}
    assert (tmp_path / "out" / "drawn" / "plain-2.png").exists()


def test_a_detector_s_boxes_are_used(landmarker, folder, tmp_path):
    boxes = np.array([[10, 10, 40, 40], [20, 5, 60, 50.0]])
    outcome = predict(
        landmarker, [folder / "plain.png"], tmp_path / "out", detector=lambda image: boxes
    )
    found = np.stack([face.points for face in outcome.faces])
    np.testing.assert_allclose(found, landmarker(RGB, boxes, passes=2).points)
    once = landmarker(RGB, boxes).points
    assert np.abs(found - once).max() > 1
    outcome = predict(
        landmarker,
        [folder / "plain.png"],
        tmp_path / "out",
        detector=lambda image: boxes,
        passes=1,
    )
    np.testing.assert_allclose(np.stack([face.points for face in outcome.faces]), once)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (80, 60))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG video")
    rng = np.random.default_rng(2)
    for _ in range(20):
        noisy = np.clip(RGB + rng.normal(0, 40, RGB.shape), 0, 255).astype(np.uint8)
        writer.write(noisy[..., ::-1])
    writer.release()
    return path


def test_every_frame_of_a_video_is_done_and_drawn(landmarker, video, tmp_path):
    out = tmp_path / "out"
    outcome = predict(landmarker, [video], out)
    assert outcome.failed == []
    assert [face.frame for face in outcome.faces] == list(range(20))
    capture = cv2.VideoCapture(str(out / "drawn" / "clip.avi.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 20
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    predict(landmarker, [video], out, format="pts", draw=False)
    assert len(list((out / "clip").glob("*.pts"))) == 20


def test_smoothing_steadies_a_video(landmarker, video, tmp_path):
    def steps(smooth: bool) -> float:
        outcome = predict(landmarker, [video], tmp_path / "o", draw=False, smooth=smooth)
        points = np.stack([face.points for face in outcome.faces])
        return float(np.abs(np.diff(points[4:], axis=0)).mean())

    assert steps(True) < 0.6 * steps(False)


def test_boxes_of_single_frames(landmarker, video, tmp_path):
    write_boxes(tmp_path / "b.csv", [("clip.avi", 0, 0, 40, 40, 3), ("clip.avi", 0, 0, 50, 50, 7)])
    boxes = read_boxes(tmp_path / "b.csv")
    outcome = predict(landmarker, [video], tmp_path / "o", boxes=boxes, draw=False)
    assert [(face.frame, face.box[2]) for face in outcome.faces] == [(3, 40), (7, 50)]
    assert outcome.failed == []
    assert str(outcome).startswith("2 faces in 20 frames, 18 of them without a face, mean conf")


def test_a_broken_video_is_named_and_what_was_read_stays(landmarker, video, tmp_path):
    whole = video.read_bytes()
    cut, no_video = tmp_path / "cut.avi", tmp_path / "text.mp4"
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    no_video.write_text("no video")
    outcome = predict(landmarker, [cut, no_video, video], tmp_path / "o", draw=False)
    assert any("text.mp4: is not a video" in text for text in outcome.failed)
    frames = [face for face in outcome.faces if face.source.name == "cut.avi"]
    assert 5 < len(frames) < 20
    assert len(outcome.faces) == len(frames) + 20


def cli(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "sesame_hpc", *map(str, arguments)], capture_output=True, text=True
    )


def test_the_command_ends_with_1_after_doing_the_others(exported, folder, tmp_path):
    out = tmp_path / "out"
    ended = cli("predict", exported / "model.onnx", folder, "--out", out, "--no-draw")
    assert ended.returncode == 1, ended.stderr
    assert "5 faces in 5 images" in ended.stdout
    assert "corrupt.jpg: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(read_faces(out)) == 5
    assert cli("predict", exported, folder / "plain.png", "--out", out).returncode == 0


def test_wrong_options_are_one_message(run, folder, tmp_path):
    both = cli("predict", run, folder, "--boxes", "b.csv", "--detector", "yunet")
    assert (both.returncode, both.stderr.count("\n")) == (2, 1)
    assert "give one of them" in both.stderr
    lost = cli("predict", run, folder, "--detector", "yunet", "--detector-weights", "x.onnx")
    assert lost.returncode == 2
    assert "no YuNet weights at x.onnx" in lost.stderr


def test_whole_images_taken_for_faces_are_said_and_given_boxes_are_not(
    landmarker, folder, tmp_path
):
    image = folder / "plain.png"
    outcome = predict(landmarker, [image], tmp_path / "whole", draw=False)
    (note,) = outcome.notes
    sure = landmarker(RGB).confidence.mean()
    assert f"each whole image was taken for one face (mean confidence {sure:.2f})" in note
    assert str(outcome) == f"1 face in 1 image, mean confidence {sure:.2f}"
    record = json.loads((tmp_path / "whole" / "landmarks.json").read_text())
    assert record["boxes_from"] == "whole image"
    write_boxes(
        tmp_path / "b.csv", [("plain.png", 9, 9, 50, 50, ""), ("other.png", 1, 1, 9, 9, "")]
    )
    boxes = read_boxes(tmp_path / "b.csv")
    outcome = predict(landmarker, [image], tmp_path / "boxed", boxes=boxes, draw=False)
    assert outcome.failed == []
    (note,) = outcome.notes
    assert "has boxes for 1 image not among those given, such as 'other.png'" in note


@pytest.mark.parametrize("format", ["json", "csv", "pts"])
def test_a_box_that_is_given_twice_is_one_face(landmarker, folder, tmp_path, format):
    box = ("plain.png", 9, 9, 50, 50, "")
    write_boxes(tmp_path / "b.csv", [box, ("plain.png", 0, 0, 40, 40, ""), box])
    boxes, out = read_boxes(tmp_path / "b.csv"), tmp_path / "out"
    outcome = predict(landmarker, [folder / "plain.png"], out, format=format, boxes=boxes)
    assert [face.box[2] for face in outcome.faces] == [50, 40]
    assert outcome.failed == []
    (note,) = outcome.notes
    assert note.startswith("left out 1 row of boxes that give one again, such as ")
    assert note.endswith("b.csv:4: the same box of an image is one face")
    if format == "pts":
        assert len(list(out.rglob("*.pts"))) == 2


def test_one_bad_box_costs_no_other(landmarker, folder, tmp_path):
    rows = [
        ("plain.png", 9, 9, 50, 50, ""),
        ("plain.png", 0, 0, 1e7, 1e7, ""),
        ("plain.png", 90, 90, 120, 120, ""),
        ("plain.png", "x", 0, 9, 9, ""),
        ("deep/plain.jpg", 0, 0, 40, 40, ""),
    ]
    write_boxes(tmp_path / "b.csv", rows)
    boxes = read_boxes(tmp_path / "b.csv")
    outcome = predict(landmarker, [folder], tmp_path / "out", boxes=boxes)
    assert [(f.source.name, f.box[2]) for f in outcome.faces] == [
        ("plain.png", 50),
        ("deep/plain.jpg", 40),
    ]
    bad = [text for text in outcome.failed if "b.csv:" in text]
    assert sorted(text.partition("b.csv:")[2][0] for text in bad) == ["3", "4", "5"]


def test_progress_tells_how_much_is_done(landmarker, folder, video, tmp_path):
    seen = []
    predict(
        landmarker,
        [folder, video],
        tmp_path / "out",
        draw=False,
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    images = [(done, total) for what, done, total in seen if what == "images"]
    assert images == [(done, 7) for done in range(8)]
    assert seen[-1] == ("clip.avi", 20, 20)
