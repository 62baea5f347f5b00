"""Files that are whole or absent."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sesame_hpc.files import (
    link_or_copy,
    naming,
    new_folder,
    read_json,
    remove_leftovers,
    replacing,
    temporary_name,
    write_json_atomic,
    write_text_atomic,
)

LEFT = """
from pathlib import Path
from sesame_hpc.files import temporary_name
def leave():
    file, folder = Path(temporary_name("a", ".txt")), Path(temporary_name("b"))
    file.touch()
    folder.mkdir()
    (folder / "inside").touch()
    return f"{file} {folder}"
"""


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


def test_an_error_names_the_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.bin'"), replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []


def test_names_as_long_as_a_file_system_takes_are_written(tmp_path):
    for name in ("n" * 255, "ü" * 127):
        write_text_atomic(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", f"{LEFT}\nprint(leave())"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout.split()
    mine = tmp_path / temporary_name("b")
    mine.touch()
    foreign = [tmp_path / f".c.elsewhere_1f-12-0123456{n}.tmp" for n in range(2)]
    for path in foreign:
        path.touch()
    os.utime(foreign[0], (0, 0))
    (tmp_path / ".user.tmp").touch()
    assert sorted(path.name for path in remove_leftovers(tmp_path)) == sorted(
        [*dead, foreign[0].name]
    )
    assert sorted(os.listdir(tmp_path)) == sorted([mine.name, foreign[1].name, ".user.tmp"])


def test_json_that_is_none_is_named(tmp_path):
    path = tmp_path / "a.json"
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.json: is not JSON"):
            read_json(path)


def test_a_link_is_one_file_and_takes_the_place_of_another(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "folder/target"
    source.write_text("content")
    for _ in range(2):
        link_or_copy(source, target)
        assert target.samefile(source)
    other = tmp_path / "other"
    other.write_text("of another")
    link_or_copy(other, target)
    assert target.read_text() == "of another"
    assert source.read_text() == "content"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_where_links_are_not_possible_the_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("content")
    link_or_copy(source, target)
    assert target.read_text() == "content"
    assert not target.samefile(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_name_that_is_not_utf_8_can_be_written(tmp_path):
    path = tmp_path / os.fsdecode(b"latin\xe9.txt")
    write_text_atomic(path, "1")
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_takes_the_place_of_a_device_or_pipe(tmp_path):
    """As `--json /dev/null` or `/dev/stdout` would, for a user who may write into /dev."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_json_atomic(pipe, {"a": 1})
    assert json.loads(os.read(reader, 100)) == {"a": 1}
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe"]
    os.close(reader)
    open_file = tmp_path / "open.txt"
    with open_file.open("w") as file:
        write_json_atomic(f"/proc/self/fd/{file.fileno()}", [])
    assert open_file.read_text() == "[]\n"
    if Path("/dev/full").is_char_device():
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            write_json_atomic("/dev/full", [])
    for device in (Path("/dev/null"), Path("/dev/full")):
        assert device.is_char_device()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_file_that_cannot_be_closed_is_named():
    def write():
        with naming(Path("x.txt")), open("/dev/full", "wb") as file:
            file.write(b"x")

    with pytest.raises(OSError, match=r"No space left on device.*x\.txt"):
        write()
