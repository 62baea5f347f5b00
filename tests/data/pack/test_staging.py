"""Copies of packs on a node: complete and verified before they are read, made once, reused."""

import multiprocessing
import os
import re
import shutil
from pathlib import Path

import pytest
from rendered_faces import textures

from sesame_hpc.data.pack import PackSettings, read_pack, staging, write_pack
from sesame_hpc.data.pack.staging import stage_pack, use_staged


@pytest.fixture
def pack(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    faces = textures(tmp_path / "files", 5)
    write_pack({"train": faces}, tmp_path / "pack", PackSettings(faces_per_shard=2))
    return tmp_path / "pack"


def staged(pack: Path, folder: Path) -> tuple[Path, list[str]]:
    told: list[str] = []
    return stage_pack(pack, folder, told.append), told


def test_the_copy_is_read_and_the_pack_is_named(pack, tmp_path):
    before = read_pack(pack, "train")
    copy, told = staged(pack, tmp_path / "node" / "tmp")
    size = sum(path.stat().st_size for path in pack.glob("train*")) / 1e6
    assert told[0] == f"{pack}: copying {size:.1f} MB of {size:.1f} MB to {copy}"
    end = rf"{re.escape(str(pack))}: copied and verified in \d+\.\d s; it is read from (.*)"
    found = re.fullmatch(end, told[-1])
    assert found
    assert found[1] == str(copy)
    assert copy.stat().st_mode & 0o077 == 0
    use_staged(pack, copy)
    try:
        shutil.move(pack / "train-00001.shard", tmp_path)  # nothing but the copy can be read
        after = read_pack(pack, "train")
        assert (after.root, after.sources) == (pack, before.sources)
        assert after.pack is not None
        for sample in after.sample_ids.tolist():
            assert after.pack.encoded(sample).size
    finally:
        use_staged(pack, None)
    with pytest.raises(FileNotFoundError, match="train-00001"):
        read_pack(pack, "train")


def test_a_copy_that_is_there_is_reused(pack, tmp_path):
    copy, _ = staged(pack, tmp_path / "node")
    first = {path.name: path.stat().st_ino for path in copy.iterdir()}
    again, told = staged(pack, tmp_path / "node")
    assert (again, told) == (copy, [f"{pack}: read from its copy in {copy}, which was there"])
    assert {path.name: path.stat().st_ino for path in copy.iterdir()} == first


def test_a_copy_that_was_interrupted_is_completed(pack, tmp_path):
    copy, _ = staged(pack, tmp_path / "node")
    kept = (copy / "train-00000.shard").stat().st_ino
    (copy / "pack.json").unlink()
    (copy / "train-00002.shard").unlink()
    assert staged(pack, tmp_path / "node")[0] == copy
    assert (copy / "train-00000.shard").stat().st_ino == kept
    assert (copy / "train-00002.shard").read_bytes() == (pack / "train-00002.shard").read_bytes()


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_copy_that_a_site_has_tidied_is_completed(pack, tmp_path, is_cut):
    copy, _ = staged(pack, tmp_path / "node")
    shard = copy / "train-00001.shard"
    content = shard.read_bytes()
    shard.unlink()
    if is_cut:
        shard.write_bytes(content[:-1])
    assert staged(pack, tmp_path / "node")[0] == copy
    assert shard.read_bytes() == content


@pytest.mark.parametrize("name", ["train.npy", "train-00001.shard"])
def test_a_damaged_copy_is_never_read(pack, tmp_path, monkeypatch, name):
    def with_a_flipped_bit(source: Path, target: Path) -> None:
        content = bytearray(source.read_bytes())
        if source.name == name:
            content[len(content) // 3] ^= 1
        target.write_bytes(content)

    monkeypatch.setattr(staging.shutil, "copyfile", with_a_flipped_bit)
    with pytest.raises(ValueError, match=r"checksum|damaged"):
        staged(pack, tmp_path / "node")
    (copy,) = (tmp_path / "node").glob("sesame-*/pack-????*[!k]")
    assert not (copy / name).exists()
    assert not (copy / "pack.json").exists()
    monkeypatch.undo()
    assert staged(pack, tmp_path / "node")[0] == copy


def test_another_pack_under_the_same_name_is_copied_anew(pack, tmp_path):
    copy, _ = staged(pack, tmp_path / "node")
    shutil.rmtree(pack)
    write_pack({"train": textures(tmp_path / "files", 3)}, pack, PackSettings())
    other, _ = staged(pack, tmp_path / "node")
    assert other != copy
    use_staged(pack, other)
    try:
        assert len(read_pack(pack, "train")) == 3
    finally:
        use_staged(pack, None)


def test_a_folder_that_others_may_write_to_is_refused(pack, tmp_path):
    own = tmp_path / "node" / f"sesame-{os.getuid()}"
    own.mkdir(parents=True)
    own.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write to it"):
        staged(pack, tmp_path / "node")


def test_without_room_nothing_is_copied(pack, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda path: usage._replace(free=5))
    with pytest.raises(OSError, match=r"to be copied, and 0\.0 MB free"):
        staged(pack, tmp_path / "node")


def _stage_in_process(pack: Path, folder: Path, told: "multiprocessing.SimpleQueue[str]") -> None:
    stage_pack(pack, folder, told.put)


def test_of_several_processes_one_copies(pack, tmp_path):
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    arguments = (pack, tmp_path / "node", told)
    processes = [context.Process(target=_stage_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = []
    while not told.empty():
        lines.append(told.get())
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum("it is read from" in line for line in lines) == 1
    assert sum("which was there" in line for line in lines) == 2
