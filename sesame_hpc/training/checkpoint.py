"""A stage's checkpoints on disk: which is the newest whole one, and the final weights.

checkpoints/<stage>/
    step-00000420/          written by the engine; whole once `latest.json` names it
    latest.json             {"tag": "step-00000420"}
    weights.safetensors     the finished network
    result.json             what the finished network achieves; its presence ends the stage
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from sesame_hpc.distributed.world import World
from sesame_hpc.files import write_json_atomic
from sesame_hpc.models.weights import load_weights, save_weights
from sesame_hpc.training.engine import Engine

__all__ = ["Checkpoints", "load_weights", "save_weights"]


class Checkpoints:
    """The engine's checkpoints in one folder; `keep` of them stay."""

    def __init__(self, folder: Path, keep: int, world: World) -> None:
        self.folder = folder
        self.keep = keep
        self.world = world

    def save(self, engine: Engine, step: int, state: dict[str, Any]) -> None:
        """Save, then name the checkpoint as latest, then drop the oldest. Collective."""
        tag = f"step-{step:08d}"
        if self.world.is_main:
            shutil.rmtree(self.folder / tag, ignore_errors=True)
        self.world.barrier()
        self.world.share_buffers(engine.module)
        engine.save(self.folder, tag, state)
        self.world.barrier()
        if self.world.is_main:
            _sync_to_disk(self.folder / tag)
            write_json_atomic(self.folder / "latest.json", {"tag": tag})
            self._prune(tag)

    def load_latest(self, engine: Engine) -> dict[str, Any] | None:
        """Restore the newest whole checkpoint and return its state; None where there is none.

        Raises ValueError for one that cannot be read, naming the others that could be.
        """
        marker = self.folder / "latest.json"
        tag = self.world.share(
            json.loads(marker.read_text())["tag"]
            if self.world.is_main and marker.exists()
            else None
        )
        if tag is None:
            return None
        try:
            return engine.load(self.folder, tag)
        except Exception as error:
            others = sorted(path.name for path in self.folder.glob("step-*") if path.name != tag)
            raise ValueError(
                f"checkpoint {self.folder / tag} cannot be read ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); to go on from another, put its name into "
                f"{marker}: {', '.join(others) or 'there is none, so remove that file'}"
            ) from error

    def _prune(self, latest: str) -> None:
        others = sorted(path for path in self.folder.glob("step-*") if path.name != latest)
        for path in others[: len(others) - (self.keep - 1)]:
            shutil.rmtree(path)


def _sync_to_disk(folder: Path) -> None:
    """A power cut must not leave a name in `latest.json` without the bytes behind it."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
