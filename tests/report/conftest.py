"""A run folder as a finished run leaves it, with predictions that are labels plus known noise."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sesame_hpc.choices import STAGES
from sesame_hpc.config import dump_config, load_config
from sesame_hpc.data.division import heldout_count, split_heldout
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.evaluation.figures import figures
from sesame_hpc.evaluation.predictions import write_predictions
from sesame_hpc.files import write_json_atomic
from sesame_hpc.masking import masking_distribution
from sesame_hpc.run.data_identity import data_identity
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage
from sesame_hpc.stages.summary import write_summary
from sesame_hpc.training.records import MetricsLog

SIDE = 96
NOISE = {"preliminary": 3.0, "finetune": 2.0}
STARTED = {
    "command": "sesame train <it> & more",
    "directory": "/",
    "packages": {"torch": "2.13.0"},
    "git": {"revision": "abc", "dirty": True},
    "gpus": [],
    "cores": 2,
}


def _write_face(path: Path, generator: np.random.Generator) -> None:
    """An image of noise and a 68-point file with the eye corners 40 pixels apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)
    points = generator.uniform(20.0, 76.0, (68, 2))
    points[36], points[45] = (28.0, 40.0), (68.0, 40.0)
    rows = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    path.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A .pts set of 14 training and 5 test faces; one image's name needs escaping."""
    generator = np.random.default_rng(7)
    root = tmp_path / "faces"
    for index in range(14):
        _write_face(root / "train" / f"face{index:02}.png", generator)
    for index in range(4):
        _write_face(root / "test" / f"face{index:02}.png", generator)
    _write_face(root / "test" / "<b>&\"quoted'.png", generator)
    return root


@pytest.fixture
def make_run(tmp_path: Path, data: Path) -> Callable[..., RunFolder]:
    """Make `runs/<name>` with these stages finished; those in `averaged` kept an EMA."""

    def make(
        *stages: str,
        name: str = "run",
        averaged: tuple[str, ...] = (),
        settings: Sequence[str] = (),
        noise: float = 1.0,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / "runs" / name)
        folder.path.mkdir(parents=True)
        base = tmp_path / "base.yaml"
        base.write_text(f"output: {tmp_path}\ndata: {{root: {data}, format: pts, heldout: 6}}\n")
        config = load_config(base, settings)
        folder.config_file.write_text(dump_config(config))
        write_json_atomic(folder.environment_file, {"starts": [STARTED]})
        for stage in stages:
            _finish(folder, stage, data, stage in averaged, noise)
        if stages == STAGES:
            write_summary(folder, "ibug68")
        return folder

    return make


def _finish(folder: RunFolder, stage: str, data: Path, averaged: bool, scale: float) -> None:
    config = folder.config()
    with MetricsLog(folder.metrics_file) as log:
        for step in range(1, 61):
            loss = 0.2 / step
            log.append(
                stage,
                1 + step // 20,
                step,
                loss=loss,
                lr=0.01 / step,
                images_per_second=50.0 + step,
                **({} if stage == "pretrain" else {"data_wait": 0.02, "mfu": step / 100}),
                peak_memory_gib=1.5,
            )
            if step % 20 == 0 and stage != "pretrain":
                log.append(stage, step // 20, step, heldout_nme=10.0 - step / 20)
    if stage == "pretrain":
        folder.images.mkdir()
        sheet = np.full((5 * 40, 8 * 40, 3), 128, np.uint8)
        cv2.imwrite(str(folder.images / "pretrain-epoch-0003.png"), sheet)
        finish_stage(folder, stage, {"seconds": 12.5, "heldout_loss": 0.01})
        return
    everything = read_annotations(data, "pts", "train")
    count = heldout_count(config.data.heldout, len(everything))
    train, heldout = split_heldout(everything, count, config.seed)
    parts = {"heldout": heldout, "test": read_annotations(data, "pts", "test")}
    write_json_atomic(
        folder.data_file, data_identity({"train": train, **parts}, config.data.box, "pts")
    )
    result: dict[str, Any] = {"seconds": 30.25}
    for part, faces in parts.items():
        random = np.random.default_rng((len(faces), config.seed))
        noise = random.normal(0, scale * NOISE[stage], faces.landmarks.shape)
        spread = np.random.default_rng(5).uniform(0.02, 0.04, noise.shape[:2]).astype(np.float32)
        path = folder.predictions(stage, part)
        write_predictions(path, faces.landmarks + noise, faces, spread)
        result[part] = figures(faces.landmarks + noise, faces, {"box": "square"}).to_json()
        if averaged:
            points = faces.landmarks + 0.9 * noise
            write_predictions(folder.predictions(stage, part, averaged=True), points, faces)
            result[part]["ema"] = figures(points, faces, {"box": "square"}).to_json()
    if stage == "preliminary":
        shares = masking_distribution(result["heldout"]["regions"], config.masking)
        write_json_atomic(folder.masking_file, shares)
    finish_stage(folder, stage, result)


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    """A finished run."""
    return make_run(*STAGES)
