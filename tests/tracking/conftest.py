"""A config, and trackers of a run folder that are fed two stages in two processes' turns."""

from pathlib import Path

import numpy as np
import pytest

from sesame_hpc.config import load_config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.tracking import Trackers

TINY = """
data: {root: faces, threads: 1}
model: {stacks: 1, width: 8, levels: 1, image_size: 32, map_size: 8}
"""


@pytest.fixture
def make_config(tmp_path):
    def make(*overrides: str):
        (tmp_path / "tiny.yaml").write_text(TINY)
        return load_config(tmp_path / "tiny.yaml", [f"output={tmp_path / 'run'}", *overrides])

    return make


@pytest.fixture
def track_two_turns(tmp_path):
    """Feeds a run's trackers: preliminary, then from step 20 again, with pretrain after it."""

    def track(config) -> list[str]:
        warnings: list[str] = []
        folder = RunFolder(tmp_path / "run")
        Path(folder.path).mkdir()
        for first in (0, 20):
            trackers = Trackers(config, folder, warnings.append)
            trackers.rewind("preliminary", first)
            for step in range(first + 10, 41, 10):
                figures = {"loss": float(first + step), "note": "text", "mfu": float("nan")}
                trackers.log_metrics("preliminary", figures, step)
            if first:
                trackers.log_metrics("pretrain", {"loss": 0.5}, 7)
                trackers.log_metrics("preliminary", {"heldout_nme": 4.5}, 40)
                image = np.full((6, 9, 3), 200, np.uint8)
                trackers.log_image("pretrain", "masks", image, 7)
            trackers.close("finished" if first else "interrupted", seconds=500)
        return warnings

    return track
