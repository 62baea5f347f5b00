"""Files with the same bytes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from rendered_faces import textures

from sesame_hpc.data.copies import are_copies


def test_files_with_the_same_bytes_are_copies_under_any_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    others = textures(tmp_path / "a", 6)
    first = others.image_path(0)
    shutil.copy(first, tmp_path / "b" / "again.png")
    changed = bytearray(others.image_path(1).read_bytes())
    changed[-1] ^= 1
    (tmp_path / "b" / "changed.jpg").write_bytes(changed)
    names = ("again.png", "changed.jpg", "gone.jpg")
    faces = replace(others.select(np.arange(3)), root=tmp_path / "b", images=names)
    assert are_copies(faces, [others]).tolist() == [True, False, False]
    fifth = others.select(np.array([4]))
    assert are_copies(others, [fifth]).tolist() == [False, False, False, False, True, False]
    assert not are_copies(faces, []).any()
