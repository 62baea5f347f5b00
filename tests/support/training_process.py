"""`sesame train` as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["TINY", "clean_environment", "kill_when", "start_training", "train"]

TINY = """
data: {heldout: 8, threads: 2}
model: {stacks: 2, width: 8, levels: 2, image_size: 32, map_size: 8}
stages:
  preliminary: {epochs: 3, batch_size: 8}
  pretrain: {epochs: 3, batch_size: 8}
  finetune: {epochs: 3, batch_size: 8}
runtime: {device: cpu, threads: 1}
checkpoint: {every_steps: 2}
log: {every_steps: 1, eval_epochs: 1, images_epochs: 1, tensorboard: false}
"""


def clean_environment() -> dict[str, str]:
    """This process's environment without what a launcher or the interpreter tests may have set."""
    drop = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SESAME_", "SLURM_", "TRITON_INTERPRET")
    return {key: value for key, value in os.environ.items() if not key.startswith(drop)}


def start_training(
    config: Path, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """`sesame train` as a process of its own, with `variables` in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "sesame_hpc", "train", str(config), *arguments],
        env=clean_environment() | dict(variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def train(config: Path, *arguments: str) -> str:
    """Run `sesame train` to its end and return what it printed."""
    process = start_training(config, *arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def kill_when(config: Path, run: Path, stage: str, step: int) -> None:
    """Start the run and SIGKILL it once `stage` has recorded `step`."""
    process = start_training(config)
    deadline = time.monotonic() + 180
    wanted = f'"stage": "{stage}", "epoch": {(step - 1) // 5 + 1}, "step": {step},'
    while process.poll() is None and time.monotonic() < deadline:
        metrics = run / "metrics.jsonl"
        if metrics.exists() and wanted in metrics.read_text():
            break
        time.sleep(0.02)
    interrupted = process.poll() is None
    process.kill()
    output, _ = process.communicate()
    assert interrupted, f"ended before step {step} of {stage}:\n{output}"
