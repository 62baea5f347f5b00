"""Two ranks of a node in their first steps:

    python compile_turn_ranks.py FOLDER SCENARIO

Writes when each rank's passes began and ended, and with Inductor what it has compiled and what it
found in the cache, to FOLDER/RANK.json.
"""

import json
import os
import socket
import sys
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch._dynamo.utils import counters

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.distributed.compile_turn import CompileTurn
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.training.engine import Engine

SCENARIOS: dict[str, tuple[Literal[0, 1], bool, float]] = {
    # ZeRO's stage, whether it is compiled, seconds that rank 1 waits
    "ZeRO 0": (0, False, 600.0),
    "ZeRO 1": (1, False, 600.0),
    "compiled": (0, True, 600.0),
    "rank 0 is late": (0, False, 0.1),
}
RANK_0_SECONDS = 1.0
"""Each pass of rank 0 takes so long."""


def train(world: World, zero: Literal[0, 1], compiled: bool, seconds: float) -> dict[str, object]:
    torch.manual_seed(0)
    stage = StageConfig(epochs=1, batch_size=8)
    runtime = RuntimeConfig(device="cpu", threads=1, zero_stage=zero)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    if compiled:
        network.compile(fullgraph=True, dynamic=False)
    engine = Engine(network, stage, runtime, world, 4)
    turn = CompileTurn(world, True, seconds)
    times: dict[str, list[float]] = {"begin": [], "end": []}

    def note(edge: str) -> None:
        if edge == "end" and world.rank == 0:
            time.sleep(RANK_0_SECONDS)
        times[edge].append(time.time())

    for _ in range(2):
        images = torch.ones(4, 4, requires_grad=True)
        with turn.forward():
            note("begin")
            loss = engine.forward(images).square().mean()
            note("end")
        turn.backward(loss)
        loss.register_hook(lambda gradient: note("begin"))
        images.register_hook(lambda gradient: note("end"))
        engine.step(loss)
    found = counters["inductor"]
    keys = {"compiled": "fxgraph_cache_miss", "found": "fxgraph_cache_hit"}
    return {**{name: found[key] for name, key in keys.items()}, **times}


def run_rank(rank: int, port: int, folder: Path, scenario: str) -> None:
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE="2",
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        SESAME_NODE="n0",
        TORCHINDUCTOR_CACHE_DIR=str(folder / "cache"),
        TORCHINDUCTOR_COMPILE_THREADS="1",
    )
    world = connect(RuntimeConfig(device="cpu", threads=1))
    said = StringIO()
    with world.detecting_failures(), redirect_stderr(said):
        result = train(world, *SCENARIOS[scenario])
    (folder / f"{rank}.json").write_text(json.dumps(result | {"said": said.getvalue()}))


def main() -> int:
    folder, scenario = Path(sys.argv[1]), sys.argv[2]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = os.fork()
    run_rank(0 if child else 1, port, folder, scenario)
    if not child:
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
