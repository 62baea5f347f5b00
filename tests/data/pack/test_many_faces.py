"""What packs of many faces must not do: hold landmarks, or files, in proportion to their number."""

import io
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import random_faces
from rendered_faces import textures

from sesame_hpc.config.schema import BoxConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.division import split_heldout
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.data.pack.table import read_table, write_table
from sesame_hpc.run.data_identity import data_identity

FACES = 4000
BYTES_OF_POINTS = 98 * 2 * 8


def marked(faces: Annotations) -> Annotations:
    seen = np.array(faces.seen)
    seen[1, 3] = 1
    return replace(faces, visibility=seen)


@pytest.mark.parametrize("change", [lambda faces: faces, marked])
def test_a_table_has_the_bytes_of_one_array(tmp_path, monkeypatch, change):
    """A pack of this version is the same file as of those before, which wrote it at once."""
    monkeypatch.setattr("sesame_hpc.data.annotations._ROWS_AT_ONCE", 7)
    faces = change(random_faces.annotations(40))
    crc = write_table(tmp_path / "train.npy", faces)
    names, sources = np.array(tuple(faces.images)), np.array(tuple(faces.sources))
    dtype = [
        ("sample_id", "<i8"),
        ("image", names.dtype),
        ("source", sources.dtype),
        ("box", "<f8", (4,)),
        ("landmarks", "<f8", (98, 2)),
        ("attributes", "?", (2,)),
        *([("visibility", "u1", (98,))] if (faces.seen < 2).any() else []),
    ]
    whole = np.zeros(len(faces), dtype)
    whole["sample_id"], whole["image"], whole["source"] = faces.sample_ids, names, sources
    whole["box"], whole["landmarks"] = faces.boxes, faces.landmarks
    whole["attributes"] = faces.attributes
    if "visibility" in (whole.dtype.names or ()):
        whole["visibility"] = faces.seen
    expected = io.BytesIO()
    np.save(expected, whole)
    assert (tmp_path / "train.npy").read_bytes() == expected.getvalue()
    assert np.array_equal(read_table(tmp_path / "train.npy", crc), whole)


def test_dividing_a_pack_copies_no_landmarks(tmp_path, monkeypatch):
    for module in ("data.annotations", "data.pack.read", "data.string_column"):
        name = "_AT_ONCE" if module.endswith("column") else "_ROWS_AT_ONCE"
        monkeypatch.setattr(f"sesame_hpc.{module}.{name}", 64)
    path = tmp_path / "images"
    path.mkdir()
    one = textures(path, 1)
    faces = replace(random_faces.annotations(FACES), root=path, images=(one.images[0],) * FACES)
    groups = [f"{row % 200}" for row in range(FACES)]
    write_pack({"train": faces}, tmp_path / "pack", PackSettings())
    read_pack(tmp_path / "pack", "train")  # what is imported and kept once
    tracemalloc.start()
    try:
        packed = read_pack(tmp_path / "pack", "train")
        train, heldout = split_heldout(packed, 400, 0, groups)
        found = data_identity({"train": train, "heldout": heldout}, BoxConfig(), "pack")
        peak = tracemalloc.get_traced_memory()[1] / FACES
    finally:
        tracemalloc.stop()
    rows = np.flatnonzero(~np.isin(np.arange(FACES), heldout.sample_ids))
    whole = replace(train, landmarks=faces.landmarks[rows], visibility=None)
    parts = {"train": whole, "heldout": heldout}
    assert found == data_identity(parts, BoxConfig(), "pack")
    assert peak < BYTES_OF_POINTS / 2


def test_a_pack_of_many_shards_keeps_few_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr("sesame_hpc.data.pack.images._OPEN_SHARDS", 3)
    (tmp_path / "files").mkdir()
    faces = textures(tmp_path / "files", 24)
    write_pack({"train": faces}, tmp_path / "pack", PackSettings(faces_per_shard=1))
    before = len(os.listdir("/proc/self/fd"))
    pack = read_pack(tmp_path / "pack", "train").pack
    assert pack is not None
    found = [bytes(pack.encoded(int(each))) for each in faces.sample_ids]
    assert found == [faces.image_path(row).read_bytes() for row in range(len(faces))]
    assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_a_table_that_is_mapped_stays_whole_when_the_pack_is_written_anew(tmp_path):
    faces = random_faces.annotations(5)
    crc = write_table(tmp_path / "train.npy", faces)
    table = read_table(tmp_path / "train.npy", crc)
    write_table(tmp_path / "train.npy", replace(faces, landmarks=faces.landmarks + 1))
    np.testing.assert_array_equal(table["landmarks"], faces.landmarks)
