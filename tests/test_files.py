"""Files that are whole or absent."""

import json
import os

import pytest

from sesame_hpc.files import new_folder, replacing, write_json_atomic, write_text_atomic


def test_writes_and_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text_atomic(path, "old")
    write_text_atomic(path, "näw")
    assert path.read_text(encoding="utf-8") == "näw"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json_atomic(path, {"x": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(path, {"x": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert json.loads(path.read_text()) == {"x": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_permissions_follow_the_umask_and_then_the_file(tmp_path):
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        write_text_atomic(path, "x")
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o600)
        write_text_atomic(path, "y")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_replacing_keeps_the_suffix_and_forgets_what_failed(tmp_path):
    path = tmp_path / "deep" / "a.mp4"
    with replacing(path) as partial:
        assert (partial.parent, partial.suffix) == (path.parent, ".mp4")
        partial.write_bytes(b"whole")
        assert not path.exists()
    with pytest.raises(UnicodeEncodeError), replacing(path) as partial:
        partial.write_text("half\ud800", encoding="utf-8")
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["a.mp4"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_appears_whole_or_not_at_all(tmp_path, is_there):
    path = tmp_path / "deep" / "set"
    if is_there:
        path.mkdir(parents=True)
    with pytest.raises(UnicodeEncodeError), new_folder(path) as folder:
        (folder / "a").write_text("half\ud800", encoding="utf-8")
    assert os.listdir(path.parent) == ["set"] * is_there
    with new_folder(path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("1")
        assert not (path / "inner").exists()
    assert (path / "inner" / "a").read_text() == "1"
    assert os.listdir(path.parent) == ["set"]
