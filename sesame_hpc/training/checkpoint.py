"""A stage's checkpoints on disk: the newest complete one, and the final weights.

checkpoints/<stage>/
    step-00000420/          state.pt and its SHA256SUMS; complete once it has the name
    latest.json             {"tag": "step-00000420", "steps": 9000}: of how many in the stage
    weights.safetensors     the finished network
    result.json             the figures of the finished network; a stage is finished once it exists

state.pt does not depend on the number of ranks or on ZeRO's stage (see training/moments.py): a run
may go on with others.

Order of a save: rank 0 writes and syncs state.pt in a folder with a temporary name, lists its
checksum there, syncs the folder, gives it its name, syncs that, and then replaces latest.json. A
power cut leaves the checkpoint before or this one, never a part of it.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sesame_hpc.checksums import HashingWriter, damage, write_sums
from sesame_hpc.distributed.shared_folder import wait_until_seen
from sesame_hpc.distributed.world import World
from sesame_hpc.files import (
    make_folder,
    naming,
    read_json,
    sync_folder,
    temporary_name,
    write_json_atomic,
)
from sesame_hpc.models.weights import load_weights, save_weights
from sesame_hpc.plural import counted
from sesame_hpc.training.divergence import Diverged
from sesame_hpc.training.engine import Engine

__all__ = ["Checkpoints", "load_weights", "save_weights"]

_PREFIX = "step-"
_STATE = "state.pt"
_LATEST = "latest.json"


class Checkpoints:
    """The engine's checkpoints in one folder.

    Kept are the newest one and the newest `keep` of those whose step `is_scheduled`, none of which
    makes room for one that an interruption saved. `check_writer` raises where another process has
    taken over the folder. `notes` are sentences on what the last load found damaged.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        world: World,
        check_writer: Callable[[], None] = lambda: None,
        is_scheduled: Callable[[int], bool] = lambda step: True,
    ) -> None:
        self.folder = folder
        self.keep = keep
        self.world = world
        self.notes: list[str] = []
        self._check_writer = check_writer
        self._is_scheduled = is_scheduled

    def save(
        self, engine: Engine, step: int, state: dict[str, Any], steps: int | None = None
    ) -> Path:
        """Save, mark the checkpoint as latest, and remove the oldest; its folder. Collective.

        `steps`, those of the whole stage, is noted in latest.json.

        Raises Diverged on every rank, and saves nothing, where a tensor of the network, the
        optimizer or the average is not finite.
        """
        self._refuse_not_finite(engine, step, state)
        self.world.share_buffers(engine.module)
        content = {"engine": engine.state(), "loop": state}
        if self.world.is_main:
            self._check_writer()
            tag = _tag(step)
            partial = self.folder / temporary_name(tag)
            make_folder(partial)
            write_sums(partial, {_STATE: _write(partial / _STATE, content)})
            self._take_name(partial, self.folder / tag)
            of = {} if steps is None else {"steps": steps}
            write_json_atomic(self.folder / _LATEST, {"tag": tag, **of})
            self._prune(step)
        self.world.barrier()
        return self.folder / _tag(step)

    def _refuse_not_finite(self, engine: Engine, step: int, state: dict[str, Any]) -> None:
        counts = self.world.gather(engine.count_not_finite(state.get("average") or ()))
        bad, total = max(counts)
        if bad:
            kept = self.newest_step()
            raise Diverged(
                f"{bad} of {total} tensors of the network and its optimizer are not finite after "
                f"step {step}, and so no checkpoint of it is saved; "
                + (f"that of step {kept} is kept" if kept is not None else "there is none before"),
                step,
            )

    def load_latest(self, engine: Engine) -> dict[str, Any] | None:
        """Restore the newest complete checkpoint and return its state; None if there is none.

        A damaged one is skipped in favour of the newest before it whose checksums are right.
        Raises ValueError for one that is whole and cannot be loaded.
        """
        return self._load(engine, self._latest_step() if self.world.is_main else None)

    def has_whole(self) -> bool:
        """Whether `load_latest` would find a checkpoint. Collective."""
        found = self.world.is_main and self._choose(self._latest_step())[0] is not None
        return bool(self.world.share(found))

    def go_back(self, engine: Engine, step: int, count: int) -> dict[str, Any] | None:
        """Restore the `count`-th newest scheduled checkpoint before `step`; forget those after it.

        The oldest where there are fewer; None if there is none, and then nothing is changed.
        Otherwise as `load_latest`, which restores the same one from now on. Collective.
        """
        self.world.barrier()
        steps = [_step(path) for path in self._folders()]
        before = [each for each in steps if each < step and self._is_scheduled(each)]
        chosen = self.world.share(before[-count:][0] if before else None)
        if chosen is None:
            return None
        if self.world.is_main:
            self._check_writer()
            write_json_atomic(self.folder / _LATEST, self._latest() | {"tag": _tag(chosen)})
            for path in self._folders():
                if _step(path) > chosen:
                    self._remove(path)
        return self._load(engine, chosen)

    def _load(self, engine: Engine, latest: int | None) -> dict[str, Any] | None:
        """The newest whole one, of those up to step `latest` if rank 0 gives that."""
        tag, self.notes = self.world.share(self._choose(latest) if self.world.is_main else None)
        if tag is None:
            return None
        path = self.folder / tag / _STATE
        wait_until_seen(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            engine.restore(content["engine"])
            return content["loop"]
        except Exception as error:
            raise ValueError(
                f"checkpoint {self.folder / tag} is whole, but it cannot be read by this run "
                f"({type(error).__name__}: {str(error).splitlines()[0]}); was it written by "
                "another version of this program?"
            ) from error

    def newest_step(self) -> int | None:
        """The step of the newest checkpoint by name; None if there is none."""
        steps = [_step(path) for path in self._folders()]
        return max(steps, default=None)

    def _choose(self, latest: int | None) -> tuple[str | None, list[str]]:
        """The tag to load, and what is to be said of those that are damaged."""
        notes: list[str] = []
        lost: int | None = None
        for path in reversed(self._folders()):
            if latest is not None and _step(path) > latest:
                continue
            damaged = damage(path)
            if not damaged:
                if lost is not None and (gone := max(lost, latest or 0) - _step(path)):
                    notes.append(
                        f"resuming at step {_step(path)}, the newest checkpoint that is whole: "
                        f"{counted(gone, 'step')} to be trained again"
                    )
                return path.name, notes
            lost = _step(path) if lost is None else lost
            notes.append(f"checkpoint {damaged[0]}")
        if lost is not None or latest is not None:
            notes.append(
                f"no checkpoint in {self.folder} is whole: the stage starts again, "
                f"{counted(max(lost or 0, latest or 0), 'step')} to be trained again"
            )
        return None, notes

    def _latest_step(self) -> int | None:
        """The step that latest.json names; None where it is missing or damaged."""
        found = re.fullmatch(rf"{_PREFIX}(\d+)", str(self._latest().get("tag")))
        return int(found[1]) if found else None

    def _latest(self) -> dict[str, Any]:
        """What latest.json says; {} where it is missing or damaged."""
        try:
            found = read_json(self.folder / _LATEST)
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _folders(self) -> list[Path]:
        """Checkpoints that have their name, the newest last."""
        found = [path for path in self.folder.glob(f"{_PREFIX}*") if path.name[5:].isdecimal()]
        return sorted(found, key=_step)

    def _take_name(self, partial: Path, path: Path) -> None:
        """`partial`, in place of a checkpoint of the same step if there is one."""
        old = path.with_name(temporary_name(path.name))
        if path.exists():
            os.replace(path, old)
        os.replace(partial, path)
        sync_folder(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _prune(self, step: int) -> None:
        """Remove those before `step` that need not be kept."""
        found = [path for path in self._folders() if _step(path) <= step]
        scheduled = [path for path in found if self._is_scheduled(_step(path))]
        others = [path for path in found if not self._is_scheduled(_step(path))]
        room = max(0, self.keep - len(scheduled))
        kept = scheduled[-self.keep :] + others[max(0, len(others) - room) :]
        for path in found[:-1]:
            if path not in kept:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        """Under a temporary name first: no part of one stays."""
        old = path.with_name(temporary_name(path.name))
        os.replace(path, old)
        shutil.rmtree(old, ignore_errors=True)


def _tag(step: int) -> str:
    return f"{_PREFIX}{step:08d}"


def _step(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _write(path: Path, content: dict[str, Any]) -> str:
    """Write a new file, on disk at return; its SHA-256."""
    with naming(path), path.open("xb") as file:
        writer = HashingWriter(file)
        try:
            torch.save(content, writer)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        except (RuntimeError, OSError) as error:
            cause = writer.error or error
            if isinstance(cause, OSError) and cause.errno is not None:
                raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from None
            raise
    return writer.digest
