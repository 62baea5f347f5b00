"""W&B without a network: its offline runs."""

import json
import time
from pathlib import Path

import pytest

wandb = pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[track]'")


def test_an_offline_run_is_written_and_continued(make_config, track_two_turns, tmp_path):
    settings = ["log.tensorboard=false", "track.trackers=[wandb]", "track.wandb.mode=offline"]
    assert not track_two_turns(make_config(*settings))
    run_id = json.loads((tmp_path / "run" / "trackers.json").read_text())["wandb"]
    names = (b"preliminary/loss/l1_coord", b"pretrain/loss/masked_mse", b"pretrain/masks")

    def written() -> bytes:
        folders = f"offline-run-*-{run_id}*/run-{run_id}.wandb"
        return b"".join(map(_records, (tmp_path / "run" / "wandb").glob(folders)))

    # W&B's service writes the files, on a busy machine a moment after it has said that it did.
    end = time.monotonic() + 60
    while not all(name in written() for name in names):
        assert time.monotonic() < end, written()
        time.sleep(0.1)


def _records(path: Path) -> bytes:
    """What a .wandb file holds, without the headers that LevelDB's log format puts within records.

    Blocks have 32 KiB, and a part of a record a header of 7 bytes: checksum, length, kind.
    """
    content, place, parts = path.read_bytes(), 7, []
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
    return b"".join(parts)
