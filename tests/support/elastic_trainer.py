"""A run that moves between numbers of ranks: `python elastic_trainer.py FOLDER PHASES`.

PHASES is a JSON list of {"config": FILE, "settings": [...], "ranks": N, "stop_at": STEP or null,
"watched": [RANK, ...], "fails": RANK or null}, done one after the other. Each rank is a forked
process that trains; once it has trained STEP, all of them are signalled as SLURM does before a time
limit. FOLDER/PHASE-RANK.txt has what a rank said, and ends with its exit code. What a rank restores
is held against the checkpoint, bit for bit. Ranks that are watched have a callback, which prints
its events, one as JSON per line; that of the rank that fails raises an error at the third step.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from sesame_hpc import Callback
from sesame_hpc.cli.errors import USER_ERRORS
from sesame_hpc.config import load_config
from sesame_hpc.distributed.interruption import RankFailed, exit_when_saved
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.train import train
from sesame_hpc.training.callbacks import CallbackError
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.engine import _import_deepspeed
from sesame_hpc.training.loop import TrainingLoop

_FIRST_PORT = 23_000


def stop_at(last: int) -> None:
    """Signal this process once it has recorded step `last`."""
    original = TrainingLoop._record

    def record(self: TrainingLoop, epoch: int, step: int) -> None:
        original(self, epoch, step)
        if step == last:
            os.kill(os.getpid(), signal.SIGUSR1)

    TrainingLoop._record = record  # type: ignore[method-assign]


def compare_with_file() -> None:
    """Say at each restore whether this rank's state is that of the file."""
    original = Checkpoints.load_latest

    def load_latest(self: Checkpoints, engine: Any) -> dict[str, Any] | None:
        found = original(self, engine)
        if found is not None:
            tag = json.loads((self.folder / "latest.json").read_text())["tag"]
            saved = torch.load(self.folder / tag / "state.pt", weights_only=True)["engine"]
            print(f"restored {tag}: {'same' if same(saved, engine.state()) else 'OTHER'} bits")
        return found

    Checkpoints.load_latest = load_latest  # type: ignore[method-assign]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor) and one.is_floating_point():
        return one.flatten().view(torch.int32).equal(other.flatten().view(torch.int32))
    return bool((one == other).all()) if isinstance(one, torch.Tensor) else one == other


class Watcher(Callback):
    """Prints its events, and whether what they speak of is on disk by then."""

    def __init__(self, run: Path, fails: bool) -> None:
        self.run, self.fails = RunFolder(run), fails

    def _print(self, event: Any, **what: Any) -> None:
        about = {"event": type(event).__name__, "rank": event.rank, "step": event.step}
        print(json.dumps(about | what), flush=True)

    def on_stage_start(self, event: Any) -> None:
        self._print(event, steps=event.steps)

    def on_step(self, event: Any) -> None:
        self._print(event, loss=float(event.loss))
        if self.fails and event.step == 3:
            raise KeyError("no such thing")

    def on_validation(self, event: Any) -> None:
        self._print(event, figures=event.figures)

    def on_checkpoint(self, event: Any) -> None:
        self._print(event, whole=(event.path / "state.pt").is_file())

    def on_stage_end(self, event: Any) -> None:
        finished = self.run.is_finished(event.stage) and self.run.weights(event.stage).is_file()
        self._print(event, whole=finished, nme=event.result["heldout"]["nme"])


def run_rank(phase: dict[str, Any], rank: int, port: int, output: Path) -> None:
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    size = str(phase["ranks"])
    if size != "1":
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        os.environ |= {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"SESAME_RENDEZVOUS": f"elastic {port}"}
    code = 0
    try:
        compare_with_file()
        if phase["stop_at"] is not None:
            stop_at(phase["stop_at"])
        config = load_config(Path(phase["config"]), phase["settings"])
        watched = rank in phase["watched"]
        watchers = [Watcher(config.output, rank == phase["fails"])] if watched else []
        with exit_when_saved(lambda: ""):
            train(config, callbacks=watchers)
    except SystemExit as end:
        code = int(end.code or 0)
    except (*USER_ERRORS, CallbackError, RankFailed) as error:
        print(f"{type(error).__name__}: {error}")
        code = 2
    print(f"exit code {code}", flush=True)
    os._exit(0)


def main() -> None:
    folder, phases = Path(sys.argv[1]), json.loads(sys.argv[2])
    _import_deepspeed(torch.device("cpu"))
    assert "mlflow" not in sys.modules, "DeepSpeed imports mlflow, which takes a second"
    for number, phase in enumerate(phases):
        port = _FIRST_PORT + (os.getpid() * 40 + number * 11) % 6000
        ranks = range(phase["ranks"])
        for rank in ranks:
            if os.fork() == 0:
                run_rank(phase, rank, port, folder / f"{number}-{rank}.txt")
        for _ in ranks:
            os.wait()


if __name__ == "__main__":
    main()
