"""`sesame data` and the demo's faces."""

import cv2
import numpy as np

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import Split, read_annotations


def write_pts_face(folder, name: str) -> None:
    """A grey image of 128 pixels with 68 points on a circle."""
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 64 + 40 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    cv2.imwrite(str(folder / f"{name}.png"), np.full((128, 128, 3), 128, dtype=np.uint8))


def test_show_draws_as_many_faces_as_asked_and_finds_the_format(sesame, tmp_path):
    for number in range(3):
        write_pts_face(tmp_path / "faces", f"face{number}")
    shown = sesame("data", "show", "faces", "--count", 2, "--out", "deep/sheet.png")
    assert shown.stdout == "2 of 3 faces drawn in deep/sheet.png\n", shown.stderr
    sheet = cv2.imread(str(tmp_path / "deep" / "sheet.png"))
    assert 2 * 256 <= sheet.shape[1] < 3 * 256
    assert sheet.std() > 10


def test_show_of_nothing_says_what_is_missing(sesame, tmp_path):
    (tmp_path / "empty").mkdir()
    failed = sesame("data", "show", "empty")
    assert failed.returncode == 2
    assert "empty" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_show_names_what_is_wrong_with_its_options(sesame, tmp_path):
    write_pts_face(tmp_path / "faces", "face")
    for arguments, words in (
        (("faces", "--out", "sheet.txt"), "--out: sheet.txt: the sheet is a PNG; give a name that"),
        (("faces", "--masked", "--masking", "mask"), "--masking: no file mask; a finished run has"),
        (("facse",), "data root facse is not a directory"),
    ):
        failed = sesame("data", "show", *arguments)
        assert (failed.returncode, failed.stdout) == (2, "")
        assert words in " ".join(failed.stderr.split())


def faces_of(root, split: Split) -> Annotations:
    return read_annotations(root, "wflw", split)


def test_synth_writes_what_show_and_the_readers_take(sesame, tmp_path):
    made = sesame(
        "data", "synth", "--out", "faces", "--train", 3, "--test", 1, "--size", 96, "--workers", 1
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "3 training and 1 test faces in faces"
    assert [len(faces_of(tmp_path / "faces", split)) for split in ("train", "test")] == [3, 1]
    assert sesame("data", "show", "faces", "--split", "test").stdout.startswith("1 of 1 face drawn")


def test_synth_again_changes_nothing_and_another_set_is_refused(sesame, tmp_path):
    command = ("data", "synth", "--out", "faces", "--test", 0, "--size", 96, "--workers", 1)
    sesame(*command, "--train", 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    again = sesame(*command, "--train", 1)
    assert again.returncode == 0
    other = sesame(*command, "--train", 2)
    assert other.returncode == 2
    assert "faces has other synthetic faces" in other.stderr
    assert files == [path for path in tmp_path.rglob("*") if path.is_file()]
    assert before == {path: path.stat().st_mtime_ns for path in files}


def test_pack_says_what_it_did_and_goes_on_from_there(sesame, tmp_path):
    for number in range(3):
        write_pts_face(tmp_path / "faces", f"face{number}")
    packed = sesame("data", "pack", "faces", "packed")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.startswith("3 faces in 1 shard, 0.0 MB, in packed")
    assert "(1 from before)" in sesame("data", "pack", "faces", "packed").stdout
    whole = sesame("data", "pack", "faces", "whole", "--config", "lfpw_small")
    assert (whole.returncode, "--config goes with --size" in whole.stderr) == (2, True)
    small = sesame("data", "pack", "faces", "small", "--size", 32, "--config", "lfpw_small")
    assert "3 crops encoded as JPEG: PSNR " in small.stdout, small.stderr
    again = read_annotations(tmp_path / "small", "pack", "train")
    assert again.images == ("face0.png", "face1.png", "face2.png")
    refused = sesame("data", "pack", "faces", "small", "--size", 64)
    assert refused.returncode == 2
    assert "small holds another pack" in refused.stderr
    tiny = sesame("data", "pack", "faces", "tiny", "--size", 1)
    assert (tiny.returncode, "size is 1; takes 8 to 4096 pixels" in tiny.stderr) == (2, True)


def test_packs_are_shown_and_checked_and_not_packed_again(sesame, tmp_path):
    for number in range(2):
        write_pts_face(tmp_path / "faces", f"face{number}")
    sesame("data", "pack", "faces", "small", "--size", 32)
    assert sesame("data", "show", "small", "--out", "sheet.png").stdout.startswith("2 of 2 faces")
    rows = sesame("data", "show", "small", "--augment", "--out", "rows.png")
    assert rows.stdout == "2 of 2 faces drawn in rows.png\n", rows.stderr
    assert cv2.imread(str(tmp_path / "rows.png")).shape[1] == 10 * (32 + 4) + 4
    checked = sesame("data", "check", "small", "--no-images", "--box", "letterbox")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "least NME: of letterbox crops of 1.2 boxes" in checked.stdout
    assert "not checked, as a pack has none: annotation files" in checked.stdout
    for command in (("pack", "small", "again"), ("export", "small", "again", "--to", "csv")):
        refused = sesame("data", *command)
        assert refused.returncode == 2
        assert "small is read as a pack, which has no images of its own: give the" in refused.stderr


def test_show_draws_augmentations_and_masks_in_rows(sesame, tmp_path):
    for number in range(2):
        write_pts_face(tmp_path / "faces", f"face{number}")
    for option, columns in (("--augment", 10), ("--masked", 6)):
        shown = sesame("data", "show", "faces", option, "--out", "rows.png")
        assert shown.stdout == "2 of 2 faces drawn in rows.png\n", shown.stderr
        sheet = cv2.imread(str(tmp_path / "rows.png"))
        assert sheet.shape[1] == columns * (192 + 4) + 4
    both = sesame("data", "show", "faces", "--augment", "--masked")
    assert both.returncode == 2
    assert "--augment and --masked exclude each other" in both.stderr
