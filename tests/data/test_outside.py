"""Lists that name files outside their data set: not one byte of these is copied."""

from pathlib import Path

import pytest
from format_files import TRIO, add_image
from typer.testing import CliRunner

from sesame_hpc.cli.main import app
from sesame_hpc.data.formats.export import export_annotations
from sesame_hpc.data.pack.table import scheme_yaml
from sesame_hpc.schemes import Scheme


@pytest.fixture
def root(tmp_path):
    add_image(tmp_path / "private", "secret.png", seed=2)
    (tmp_path / "private" / "secret.txt").write_text("secret")
    root = tmp_path / "faces"
    add_image(root, "own.png", seed=1)
    add_image(root / "below", "another.png", seed=3)
    (root / "linked.png").symlink_to(tmp_path / "private" / "secret.png")
    (root / "folder").symlink_to(tmp_path / "private")
    (root / "text.png").write_text("secret")
    (root / "inside.png").symlink_to(root / "own.png")
    return root


def name_image(root: Path, image: str) -> None:
    columns = ",".join(f"{axis}{number}" for number in range(3) for axis in "xy")
    lines = [f"image,{columns}", "own.png,1,1,9,1,5,9", f"{image},1,1,9,1,5,9"]
    (root / "train.csv").write_text("\n".join(lines) + "\n")


def pack(root: Path, out: Path, *options: str) -> str:
    scheme = scheme_file(root.parent / "trio.yaml", TRIO)
    arguments = ["data", "pack", str(root), str(out), "--scheme", str(scheme), *options]
    result = CliRunner().invoke(app, arguments)
    return str(result.exception) if result.exception else ""


def scheme_file(path: Path, scheme: Scheme) -> Path:
    path.write_text(scheme_yaml(scheme))
    return path


OUTSIDE = ["../private/secret.png", "{}/private/secret.png", "linked.png", "folder/secret.png"]


@pytest.mark.parametrize("image", OUTSIDE)
def test_images_outside_the_data_set_are_not_copied(root, tmp_path, image):
    name_image(root, image.format(tmp_path))
    with pytest.raises(ValueError, match=r"^1 image outside .*train\.csv:3\).*--allow-outside"):
        export_annotations(root, tmp_path / "out", "coco", "csv", TRIO, copy=True)
    assert "1 image outside" in pack(root, tmp_path / "pack")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pack").exists()
    export_annotations(root, tmp_path / "linked", "coco", "csv", TRIO)
    export_annotations(root, tmp_path / "asked", "coco", "csv", TRIO, copy=True, allow_outside=True)
    assert pack(root, tmp_path / "pack", "--allow-outside") == ""


@pytest.mark.parametrize("image", ["text.png", "../private/secret.txt"])
def test_what_is_not_an_image_is_never_copied(root, tmp_path, image):
    name_image(root, image)
    for allow in (False, True):
        with pytest.raises(ValueError, match=r"outside|train\.csv:3\): is not an image"):
            export_annotations(
                root, tmp_path / "out", "coco", "csv", TRIO, copy=True, allow_outside=allow
            )
    assert "is not an image" in pack(root, tmp_path / "pack", "--allow-outside")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("image", ["inside.png", "below/another.png", "below/../own.png"])
def test_links_and_paths_within_the_data_set_are_copied(root, tmp_path, image):
    name_image(root, image)
    export_annotations(root, tmp_path / "out", "coco", "csv", TRIO, copy=True)
    link = tmp_path / "link to faces"
    link.symlink_to(root)
    assert pack(link, tmp_path / "pack") == ""
