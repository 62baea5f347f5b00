"""Runs as they lie on disk, and SLURM's commands as they answered once."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from few_faces import add_few_faces

from sesame_hpc.config import dump_config, load_config
from sesame_hpc.launch.ledger import JobRecord, Ledger, Submission

__all__ = [
    "fake_command",
    "finish_stage",
    "sacct_line",
    "squeue_line",
    "submitted",
    "tiny_config",
]

TINY = """
data: {heldout: 8, threads: 1}
model: {stacks: 1, width: 8, levels: 2, image_size: 32, map_size: 8}
stages:
  preliminary: {epochs: 2, batch_size: 8}
  pretrain: {epochs: 2, batch_size: 8}
  finetune: {epochs: 2, batch_size: 8}
runtime: {device: cpu, threads: 1}
log: {every_steps: 1, eval_epochs: 1, images_epochs: 0, tensorboard: false}
"""


def tiny_config(folder: Path, *overrides: str) -> Path:
    """A config file of a run in `folder`/runs/tiny, on data in `folder`/faces."""
    add_few_faces(folder / "faces")
    path = folder / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    own = [f"output={folder / 'runs/tiny'}", f"data.root={folder / 'faces'}", *overrides]
    path.write_text(dump_config(load_config(path, own)), encoding="utf-8")
    return path


def finish_stage(run: Path, stage: str) -> None:
    """As the end of a stage leaves it."""
    folder = run / "checkpoints" / stage
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"seconds": 1.0}), encoding="utf-8")


def submitted(run: Path, first_id: int = 11, task: int | None = None) -> Ledger:
    """A run whose four jobs were submitted as the ids from `first_id` on, two ranks each."""
    jobs = []
    for number, stage in enumerate(("preliminary", "pretrain", "finetune", "report"), first_id):
        job = str(number) if task is None else f"{number}_{task}"
        before = f"afterok:{number - 1}" if number > first_id else None
        jobs.append(JobRecord(stage, job, 2, 2, f"logs/{job}_%t_log.out", before, "sesame-tiny"))
    ledger = Ledger(run)
    ledger.add(Submission.now("slurm", "local", tuple(jobs)))
    return ledger


def squeue_line(
    job: str,
    state: str,
    nodes: str = "",
    reason: str = "None",
    restarts: int = 0,
    start: str = "",
    name: str = "sesame-tiny",
) -> str:
    """A line as squeue of SLURM 22.05 prints it."""
    what = f"{job:<40}{name:<120}{state:<24}{nodes:<4000}"
    return f"{what}{reason:<100}{restarts:<12}{start or 'N/A':<28}"


def sacct_line(job: str, state: str, nodes: str = "None assigned") -> str:
    return f"{job}|sesame-tiny|{state}|{nodes}"


def fake_command(
    folder: Path, name: str, lines: Sequence[str] = (), error: str = "", code: int = 0
) -> None:
    """Put a command into `folder`/bin that prints these lines and exits with `code`."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    (place / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (place / f"{name}.err").write_text(error, encoding="utf-8")
    script = place / name
    script.write_text(
        f'#!/bin/sh\n/bin/cat "{place / name}.txt"\n/bin/cat "{place / name}.err" >&2\n'
        f'echo "$@" >> "{place / name}.asked"\nexit {code}\n',
        encoding="utf-8",
    )
    os.chmod(script, 0o755)
