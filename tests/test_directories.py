"""What is said about a directory that is not there."""

import pytest

from sesame_hpc.directories import no_directory


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo", "photo is not a directory (did you mean {}/photos?)"),
        ("notes.txt", "notes.txt is not a directory but a file"),
        ("note.txt", "note.txt is not a directory"),
        ("faces", "faces is not a directory"),
        ("gone/photos", "gone/photos is not a directory"),
        ("n" * 300, "n is not a directory"),
    ],
)
def test_what_may_be_meant_is_named(tmp_path, name, said):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert no_directory(tmp_path / name).endswith(said.format(tmp_path))
