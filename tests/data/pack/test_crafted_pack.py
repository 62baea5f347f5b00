"""Packs made on purpose: their checksums are right, their index is not."""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from rendered_faces import textures

from sesame_hpc.data.pack import PackSettings, write_pack
from sesame_hpc.data.pack import layout as shards
from sesame_hpc.data.pack.read import read_pack


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@pytest.fixture
def pack(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    faces = textures(tmp_path / "files", 2)
    write_pack({"train": faces}, tmp_path / "pack", PackSettings(size=16))
    read_pack(tmp_path / "pack", "train")
    return tmp_path / "pack"


def with_index(pack: Path, change) -> None:
    path = pack / "train-00000.shard"
    content = path.read_bytes()
    trailer = shards._TRAILER
    offset, length, _, made_from, magic = trailer.unpack(content[-trailer.size :])
    index = np.load(io.BytesIO(content[offset : offset + length]))
    index = change(index)
    encoded = index if isinstance(index, bytes) else npy(index)
    tail = trailer.pack(offset, len(encoded), zlib.crc32(encoded), made_from, magic)
    path.write_bytes(content[:offset] + encoded + tail)


def setting(field: str, value):
    def change(index: np.ndarray) -> np.ndarray:
        index[field][0] = value
        return index

    return change


HUGE = b"\x93NUMPY\x01\x00v\x00" + (
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (1152921504606846976,), }".ljust(117)
    + b"\n"
)


@pytest.mark.parametrize(
    "change",
    [
        setting("offset", -1),
        setting("offset", 2**62),
        setting("length", -1),
        setting("length", 2**62),
        setting("region", (5, 5, 5, 5)),
        setting("region", (-9, 0, 3, 3)),
        setting("stored", (0, -1)),
        setting("sample_id", 77),
        lambda index: index[:0],
        lambda index: index[0],
        lambda index: index["offset"],
        lambda index: np.zeros((2, 2)),
        lambda index: b"not numpy",
        lambda index: HUGE,
    ],
)
def test_a_crafted_index_is_named(pack, change):
    with_index(pack, change)
    with pytest.raises(ValueError, match=r"train(-00000\.shard|\.npy): "):
        read_pack(pack, "train")


@pytest.mark.parametrize(
    "name", ["../../other-00000.shard", "/dev/zero", "a/train-00000.shard", "train-00000.shard\n"]
)
def test_shards_lie_in_the_pack(pack, name):
    manifest = json.loads((pack / "pack.json").read_text())
    manifest["parts"]["train"]["shards"] = [name]
    (pack / "pack.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"pack\.json: is damaged"):
        read_pack(pack, "train")


def refuses_table(pack: Path, content: bytes) -> None:
    """With this table and its right checksum, the pack is refused by the table's name."""
    (pack / "train.npy").write_bytes(content)
    manifest = json.loads((pack / "pack.json").read_text())
    manifest["parts"]["train"]["table_crc"] = zlib.crc32(content)
    (pack / "pack.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"train\.npy: "):
        read_pack(pack, "train")


@pytest.mark.parametrize(
    "table",
    [
        np.zeros(2),
        np.zeros((2, 2), dtype=[("sample_id", "<i8")]),
        np.zeros(2, dtype=[("sample_id", "<i8"), ("image", "U3")]),
        HUGE,
        b"",
    ],
)
def test_a_crafted_table_is_named(pack, table):
    content = table if isinstance(table, bytes) else npy(table)
    refuses_table(pack, content)


def test_a_table_of_other_shapes_is_named(pack):
    table = np.load(pack / "train.npy")
    dtype = [(name, table.dtype[name]) for name in table.dtype.names if name != "box"]
    changed = np.zeros(len(table), dtype=[*dtype, ("box", "<f8", (3,))])
    for name in table.dtype.names:
        if name != "box":
            changed[name] = table[name]
    refuses_table(pack, npy(changed))


def test_a_shard_is_opened_without_parsing_python(pack, monkeypatch):
    """Threads of CPython 3.11 cannot do that at once."""
    (path,) = pack.glob("*.shard")
    expected = shards.open_shard(path).index

    def parse(*_, **__):
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr("ast.literal_eval", parse)
    np.testing.assert_array_equal(shards.open_shard(path).index, expected)
    with pytest.raises(SystemError):
        np.load(pack / "train.npy")
