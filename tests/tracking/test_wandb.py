"""W&B without a network: its offline runs."""

import json

import pytest

wandb = pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[track]'")


def test_an_offline_run_is_written_and_continued(make_config, track_two_turns, tmp_path):
    settings = ["log.tensorboard=false", "track.trackers=[wandb]", "track.wandb.mode=offline"]
    assert not track_two_turns(make_config(*settings))
    run_id = json.loads((tmp_path / "run" / "trackers.json").read_text())["wandb"]
    files = sorted((tmp_path / "run" / "wandb").glob(f"offline-run-*-{run_id}*/run-{run_id}.wandb"))
    assert files
    written = b"".join(path.read_bytes() for path in files)
    for name in (b"preliminary/loss/l1_coord", b"pretrain/loss/masked_mse", b"pretrain/masks"):
        assert name in written
