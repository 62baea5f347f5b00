"""Export to every format and back: the same numbers, the same images."""

from pathlib import Path

import numpy as np
import pytest
from format_files import TRIO, add_image

from sesame_hpc.choices import WRITTEN_FORMATS, Split
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats import export as export_module
from sesame_hpc.data.formats.export import export_annotations, left_out
from sesame_hpc.data.formats.pts_file import parse_pts
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.formats.wflw import list_path
from sesame_hpc.data.formats.wflw_subsets import read_subsets

SHARED = Path(__file__).parents[4] / "shared" / "data"
EXACT = ("wflw", "csv")
IMAGES = ("0--Parade/one.png", "0--Parade/one.png", "two.jpg", "b/two.jpg")


def write_wflw(root: Path, split: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = []
    for number, image in enumerate(IMAGES):
        add_image(root / "WFLW_images", image, seed=len(image))
        points = " ".join(repr(value) for value in rng.uniform(-7, 70, 6).tolist())
        corners = [*rng.uniform(0, 20, 2).tolist(), *rng.uniform(40, 64, 2).tolist()]
        box = " ".join(map(repr, corners))
        lines.append(f"{points} {box} {number % 2} 0 1 0 0 {number // 2} {image}")
    path = root / list_path(split, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path):
    write_wflw(tmp_path / "faces", "train", seed=1)
    write_wflw(tmp_path / "faces", "test", seed=2)
    return tmp_path / "faces"


def same(found: np.ndarray, expected: np.ndarray, exactly: bool) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=0 if exactly else 1e-9)


@pytest.mark.parametrize("to", ["wflw", "coco", "csv"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_faces_come_back_as_they_were(root, tmp_path, to, split):
    export_annotations(root, tmp_path / "out", to, "wflw", TRIO)
    before = read_annotations(root, "wflw", split, TRIO)
    after = read_annotations(tmp_path / "out", to, split, TRIO)
    same(after.landmarks, before.landmarks, to in EXACT)
    same(after.boxes, before.boxes, to in EXACT)
    assert after.attribute_names == before.attribute_names
    np.testing.assert_array_equal(after.attributes, before.attributes)
    assert images(after) == images(before)
    assert left_out(before, to) == []


def images(table: Annotations) -> list[bytes]:
    return [table.image_path(row).read_bytes() for row in range(len(table))]


def test_a_pts_folder_has_an_image_for_each_face(root, tmp_path):
    export_annotations(root, tmp_path / "out", "pts", "wflw", TRIO, copy=True)
    before = read_annotations(root, "wflw", "train", TRIO)
    after = read_annotations(tmp_path / "out", "pts", "train", TRIO)
    assert after.images == (
        "0--Parade__one.png",
        "0--Parade__one_2.png",
        "b__two.jpg",
        "two.jpg",
    )
    order = [0, 1, 3, 2]
    same(after.landmarks, before.landmarks[order], exactly=False)
    assert images(after) == [images(before)[row] for row in order]
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert left_out(before, "pts") == ["boxes", "attributes"]


def by_first_point(table: Annotations) -> tuple[np.ndarray, list[bytes]]:
    """Landmarks and images by the first landmark's x, since formats order faces differently."""
    order = np.argsort(table.landmarks[:, 0, 0])
    found = images(table)
    return table.landmarks[order], [found[row] for row in order]


@pytest.mark.parametrize("to", WRITTEN_FORMATS)
def test_every_format_goes_through_every_other(root, tmp_path, to):
    """wflw -> `to` -> each format: every face has its landmarks, in order, and its image."""
    export_annotations(root, tmp_path / "first", to, "wflw", TRIO)
    landmarks, images = by_first_point(read_annotations(root, "wflw", "test", TRIO))
    for last in WRITTEN_FORMATS:
        export_annotations(tmp_path / "first", tmp_path / last, last, to, TRIO)
        found, images_found = by_first_point(read_annotations(tmp_path / last, last, "test", TRIO))
        np.testing.assert_allclose(found, landmarks, rtol=0, atol=1e-9)
        assert images_found == images


def test_the_subset_lists_are_written_and_mean_the_same_faces(root, tmp_path):
    export_annotations(root, tmp_path / "out", "wflw", "wflw", TRIO)
    test = read_annotations(tmp_path / "out", "wflw", "test", TRIO)
    subsets = read_subsets(tmp_path / "out", test)
    assert subsets.faults == ()
    rows = {name: found.tolist() for name, found in subsets.rows.items()}
    assert rows == {
        "pose": [1, 3],
        "expression": [],
        "illumination": [0, 1, 2, 3],
        "makeup": [],
        "occlusion": [],
        "blur": [2, 3],
    }


def test_images_of_parts_with_equal_names_stay_apart(tmp_path):
    points = "version: 1\nn_points: 3\n{\n20 20\n44 20\n32 44\n}\n"
    for seed, split in enumerate(("train", "test")):
        add_image(tmp_path / "faces" / split, "my face.png", seed=seed)
        (tmp_path / "faces" / split / "my face.pts").write_text(points)
    export_annotations(tmp_path / "faces", tmp_path / "out", "wflw", "pts", TRIO)
    names: dict[Split, str] = {"train": "my_face.png", "test": "my_face_2.png"}
    for split, name in names.items():
        before = read_annotations(tmp_path / "faces", "pts", split, TRIO)
        after = read_annotations(tmp_path / "out", "wflw", split, TRIO)
        assert after.images == (name,)
        assert images(after) == images(before)


def test_nothing_half_written_and_nothing_overwritten(root, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fail(*arguments: object) -> str:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(export_module, "write_text_atomic", fail)
        with pytest.raises(OSError, match="disk full"):
            export_annotations(root, out, "csv", "wflw", TRIO)
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    out.mkdir()
    export_annotations(root, out, "csv", "wflw", TRIO)
    with pytest.raises(FileExistsError, match="out is there already"):
        export_annotations(root, out, "coco", "wflw", TRIO)


def test_real_files_come_back(tmp_path):
    """Numbers of three decimals come back to the bit even through half pixels."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared faces {SHARED} are not on this machine")
    lfpw = SHARED / "lfpw68"
    export_annotations(lfpw, tmp_path / "coco", "coco", "pts")
    export_annotations(
        tmp_path / "coco", tmp_path / "pts", "pts", "coco", read_annotations(lfpw, "pts").scheme
    )
    for name in ("image_0001.pts", "image_0805.pts"):
        folders = (tmp_path / "pts" / "train", lfpw / "train")
        written, original = (parse_pts(folder / name, 68) for folder in folders)
        np.testing.assert_array_equal(written, original)
    sample = SHARED / "wflw_sample"
    export_annotations(sample, tmp_path / "wflw", "wflw", "wflw")
    before, after = (read_annotations(each, "wflw") for each in (sample, tmp_path / "wflw"))
    np.testing.assert_array_equal(after.landmarks, before.landmarks)
    np.testing.assert_array_equal(after.boxes, before.boxes)
