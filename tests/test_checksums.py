"""Checksums beside files."""

import subprocess

import pytest

from sesame_hpc.checksums import (
    SUMS,
    HashingWriter,
    damage,
    file_digest,
    read_sums,
    read_verified,
    write_sums,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.bin").write_bytes(b"1" * 5000)
    (tmp_path / "two.json").write_text("{}")
    names = ("one.bin", "../two.json")
    write_sums(tmp_path / "a", {name: file_digest(tmp_path / "a" / name) for name in names})
    return tmp_path / "a"


def test_whole_files_have_no_damage_and_sha256sum_agrees(folder):
    assert damage(folder) == []
    checked = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0
    assert checked.stdout == "../two.json: OK\none.bin: OK\n"


@pytest.mark.parametrize("bit", range(0, 40_000, 4999))
def test_one_bit_is_damage(folder, bit):
    content = bytearray((folder / "one.bin").read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    (folder / "one.bin").write_bytes(content)
    assert damage(folder) == [
        f"{folder}/one.bin: is damaged or was changed: its SHA-256 is not that in {SUMS} beside it"
    ]
    with pytest.raises(ValueError, match=r"one\.bin: is damaged"):
        read_verified(folder / "one.bin")


def test_missing_unlisted_and_torn_are_damage(folder):
    (folder / "one.bin").unlink()
    assert damage(folder) == [f"{folder}/one.bin: is missing"]
    assert damage(folder, ["three"]) == [f"{folder}/three: has no checksum in {folder}/{SUMS}"]
    (folder / SUMS).write_text("0123  x\n")
    assert damage(folder) == [f"{folder}/{SUMS}:1: is damaged: '0123  x' is not a checksum"]
    (folder / SUMS).write_bytes(b"\xff")
    assert "is damaged" in damage(folder)[0]
    (folder / SUMS).unlink()
    assert read_sums(folder) == {}
    assert damage(folder) == [f"{folder}/{SUMS}: is missing or empty"]


def test_a_writer_knows_the_digest_of_what_it_wrote(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:
        writer = HashingWriter(file)
        writer.write(b"ab")
        writer.write(memoryview(b"cd"))
    assert path.read_bytes() == b"abcd"
    assert writer.digest == file_digest(path)
