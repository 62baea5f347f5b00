"""A small synthetic data set, a config that trains on it in seconds, and a finished run.

A plugin of pytest's, so that all folders of tests have the same ones.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from training_process import TINY, train

from sesame_hpc.config import dump_config, load_config
from sesame_hpc.synth import synthesise


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training and 10 test faces of 96 pixels in the WFLW layout."""
    root = tmp_path_factory.mktemp("synth") / "faces"
    synthesise(root, train=48, test=10, seed=3, size=96, workers=1)
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> tuple[Path, Path, str]:
    """(config, run folder, output) of a finished run that kept an EMA in finetune; read it only."""
    folder = tmp_path_factory.mktemp("finished")
    config, run = folder / "tiny.yaml", folder / "run"
    text = f"output: {run}{TINY}".replace("{heldout", f"{{root: {faces}, heldout")
    config.write_text(text.replace("finetune: {", "finetune: {ema: 0.5, "))
    return config, run, train(config)


@pytest.fixture
def write_config(faces: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the tiny config, with overrides, for a run folder `runs/<name>` under tmp_path."""

    def write(name: str, *overrides: str) -> Path:
        base = tmp_path / "tiny.yaml"
        base.write_text(TINY)
        paths = (f"data.root={faces}", f"output={tmp_path / 'runs' / name}")
        path = tmp_path / f"{name}.yaml"
        path.write_text(dump_config(load_config(base, [*paths, *overrides])))
        return path

    return write
