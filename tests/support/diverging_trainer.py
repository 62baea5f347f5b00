"""A stage whose learning rate rises until its loss diverges, trained by the real loop and engine.

`python diverging_trainer.py FOLDER ORDERS`: ORDERS is a JSON list of {"run", "settings", "die_at",
"stop_at", "spoil", "poison", "ranks"}, each done in a forked process per rank, in order.
FOLDER/RUN is the folder of a run. A process kills itself before its `die_at`-th file operation and
is signalled after step `stop_at`. Unless the stage went back, it has at step `spoil` a loss that is
not finite, and at step `poison` a finite loss whose gradient is not. Of several ranks, the last one
alone is signalled or has such a loss. A rank appends a line of JSON to FOLDER/RUN.jsonl, or from
rank 1 on to FOLDER/RUN-RANK.jsonl: {"error"} or {"result", "weights", "lr"}.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from crash_trainer import die_at
from torch import Tensor, nn

from sesame_hpc.config import Config, StageConfig, load_config
from sesame_hpc.console import SafeConsole
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.compile_turn import CompileTurn
from sesame_hpc.distributed.interruption import Interrupted, listen
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.files import remove_leftovers
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.ema import ModelEMA
from sesame_hpc.training.engine import Engine
from sesame_hpc.training.loop import Data, Instruments, Learner, Schedule, TrainingLoop
from sesame_hpc.training.metrics_window import MetricsWindow
from sesame_hpc.training.monitor import Monitor
from sesame_hpc.training.skipped import SkippedFaces

STAGE, EPOCHS, STEPS = "preliminary", 8, 5
_TARGET = 20.0
_FIRST_PORT = 29_100


class Loader:
    """Rows of a regression, other ones at each step and on each rank."""

    steps_per_epoch = STEPS
    images = SimpleNamespace(may_skip=False)

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        for step in range(start, STEPS):
            generator = torch.Generator().manual_seed(1000 * epoch + step + 100 * self._rank)
            rows = 0.9 + 0.2 * torch.rand(8, 4, generator=generator)
            yield Batch(rows, rows, torch.arange(8), torch.zeros(8, 2, 3))


class Task:
    """The mean distance of the network's output from a target: Adam overshoots it."""

    def __init__(self, loop: list[TrainingLoop], order: dict[str, Any]) -> None:
        self._loop, self._order = loop, order

    def _is_due(self, what: str, step: int) -> bool:
        (loop,) = self._loop
        world = loop.learner.checkpoints.world
        return step == self._order.get(what) and world.rank == world.size - 1

    def loss(self, forward: Any, batch: Batch, epoch: int) -> Tensor:
        (loop,) = self._loop
        step = loop.learner.engine._scheduler.last_epoch + 1
        if self._is_due("stop_at", step):
            os.kill(os.getpid(), signal.SIGUSR1)
        loss = (forward(batch.images) - _TARGET).abs().mean()
        if loop._rewound is None and self._is_due("spoil", step):
            return loss * math.nan
        if loop._rewound is None and self._is_due("poison", step):
            return loss + (0 * next(loop.learner.network.parameters())).sqrt().sum()
        return loss

    def validate(self) -> dict[str, float]:
        return {}

    def save_images(self, epoch: int) -> None:
        pass


def make_loop(config: Config, world: World, monitor: Monitor, order: dict) -> TrainingLoop:
    torch.manual_seed(0)
    stage = StageConfig(epochs=EPOCHS, batch_size=8, lr=60.0, final_lr=59.0, warmup_steps=30)
    engine = Engine(nn.Linear(4, 1), stage, config.runtime, world, EPOCHS * STEPS)
    schedule = Schedule(STAGE, EPOCHS, STEPS, 1, config.log, config.checkpoint, config.divergence)
    folder = config.output / "checkpoints" / STAGE
    remove_leftovers(folder)
    checkpoints = Checkpoints(
        folder, config.checkpoint.keep, world, is_scheduled=schedule.saves_after
    )
    loader: Any = Loader(world.rank)
    loops: list[TrainingLoop] = []
    task: Any = Task(loops, order)
    turn = CompileTurn(world, compiles=False, seconds=0)
    loop = TrainingLoop(
        schedule,
        Learner(task, engine, ModelEMA(engine.module, 0.5), checkpoints, turn),
        Data(loader, SkippedFaces(loader, world, monitor)),
        Instruments(monitor, MetricsWindow(world, 1e3)),
        StopConsensus(world),
    )
    loops.append(loop)
    return loop


def train(folder: Path, order: dict) -> dict[str, Any]:
    run = folder / order["run"]
    config = load_config(Path(order["config"]), [f"output={run}", *order.get("settings", [])])
    (run / "checkpoints" / STAGE).mkdir(parents=True, exist_ok=True)
    world = connect(config.runtime)
    if order.get("die_at"):
        die_at(order["die_at"])
    console = SafeConsole(quiet=True)
    with Monitor(config, RunFolder(run), world, console) as monitor:
        loop = make_loop(config, world, monitor, order)
        try:
            result = loop.run()
        except (FloatingPointError, Interrupted) as error:
            return {"error": f"{type(error).__name__}: {error}"}
    state = {**loop.learner.engine.module.state_dict()}
    average = loop.learner.ema.state() if loop.learner.ema else []
    weights = [value.tolist() for value in [*state.values(), *average]]
    return {"result": result, "weights": weights, "lr": loop.learner.engine.lr}


def main() -> None:
    folder, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    from sesame_hpc.training.engine import _import_deepspeed

    _import_deepspeed(torch.device("cpu"))
    for number, order in enumerate(orders):
        ranks = order.get("ranks", 1)
        for rank in range(ranks):
            if os.fork() == 0:
                if ranks > 1:
                    os.environ |= _rank_environment(rank, ranks, number)
                run_rank(folder, order, f"{order['run']}-{rank}" if rank else order["run"])
        ended = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(ranks)]
        if not set(ended) <= {0, -signal.SIGKILL}:
            sys.exit(f"{order} failed")


def run_rank(folder: Path, order: dict, name: str) -> None:
    """In the forked process: never returns."""
    code = 1
    try:
        listen()
        found = train(folder, order)
        with (folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _rank_environment(rank: int, ranks: int, number: int) -> dict[str, str]:
    port = str(_FIRST_PORT + (os.getppid() * 40 + number * 11) % 6000)
    return {
        **dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(ranks)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "SESAME_RENDEZVOUS": f"diverging {port}",
    }


if __name__ == "__main__":
    main()
