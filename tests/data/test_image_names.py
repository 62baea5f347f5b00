"""Which file a name means, however it is spelled."""

import unicodedata

import pytest
from format_files import add_image

from sesame_hpc.data.image_names import most_names_in, resolve_images, resolve_names

FILES = ["a/One.jpg", "a/two.jpg", "b/two.jpg", "c/Grüße.jpg", "my face.png", "x/deep/only.png"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/two.jpg", "a/two.jpg"),
        ("a\\two.jpg", "a/two.jpg"),
        ("./a//one.JPG", "a/One.jpg"),
        ("C/GRÜSSE.JPG", "c/Grüße.jpg"),
        (unicodedata.normalize("NFD", "c/Grüße.jpg"), "c/Grüße.jpg"),
        ("my%20face.png", "my face.png"),
        ("C:\\Users\\me\\photos\\a\\one.jpg", "a/One.jpg"),
        ("..\\..\\upload\\my face.png", "my face.png"),
        ("/home/me/x/deep/only.png", "x/deep/only.png"),
        ("only.png", "x/deep/only.png"),
        ("deep/only.png", "x/deep/only.png"),
        ("two.jpg", None),
        ("d/two.jpg", None),
        ("one.png", None),
    ],
)
def test_a_name_means_the_file_that_it_clearly_spells(name, file):
    result = resolve_names([name], FILES)
    assert result.found.get(name) == file
    assert (name in result.respelled) == (file is not None and file != name)
    assert (name in result.missing) == (file is None)


def test_what_is_not_clear_is_said():
    result = resolve_names(["two.jpg", "d/two.jpg", "a/thre.jpg"], [*FILES, "a/three.jpg"])
    assert result.missing["two.jpg"] == "could be a/two.jpg or b/two.jpg"
    assert result.missing["d/two.jpg"] == "the nearest name is a/two.jpg"
    assert result.missing["a/thre.jpg"] == "the nearest name is a/three.jpg"


def test_two_names_are_not_taken_for_one_file_by_their_ends():
    result = resolve_names(["p/one.png", "q/one.png"], ["one.png"])
    assert result.found == {}
    assert "q/one.png names that one too" in result.missing["p/one.png"]
    assert resolve_names(["p\\one.png", "p/one.png"], ["one.png"]).missing == {}


def test_the_folder_with_most_names_is_taken(tmp_path):
    for name in ("images/b.png", "images/c.png", "train/a.png"):
        add_image(tmp_path, name)
    folders = [tmp_path / "train", tmp_path / "images", tmp_path]
    assert most_names_in(folders, ["a.png", "b.png", "c.png"]) == tmp_path / "images"
    assert most_names_in(folders, ["x\\b.png", "x\\c.png"]) == tmp_path / "images"


def test_hidden_files_are_not_what_is_meant(tmp_path):
    add_image(tmp_path, "sub/one.png")
    add_image(tmp_path, "__MACOSX/one.png")
    (tmp_path / "._one.png").write_bytes(b"twin")
    assert resolve_images(tmp_path, ["one.png"]).found == {"one.png": "sub/one.png"}
