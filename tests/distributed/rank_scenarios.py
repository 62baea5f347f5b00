"""Ranks as processes that meet and then come to grief, each scenario in its own way.

    python rank_scenarios.py FOLDER SCENARIO...

runs the scenarios side by side, and writes the text and exit code of each rank to
FOLDER/SCENARIO-RANK.txt and .code. Torch is imported once, before the processes fork.
"""

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.node_faults import faulty_nodes
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.training.step_errors import StepPlace

__all__ = ["SCENARIOS"]

RUNTIME = RuntimeConfig(device="cpu", threads=1, rendezvous_minutes=10, timeout_minutes=10)


def fails(world: World, culprit: int) -> None:
    if world.rank == culprit:
        raise ValueError("image 7 cannot be read")
    world.barrier()


def lacks_memory(world: World, culprit: int) -> None:
    place = StepPlace("stage pretrain, epoch 1, step 3", world.rank)
    place.sample_ids = [4, 9]
    with place.named():
        if world.rank == culprit:
            torch.empty(2**60, dtype=torch.uint8)
        world.barrier()


def has_a_faulty_gpu(world: World, culprit: int) -> None:
    if world.rank == culprit:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
    world.barrier()


def is_killed(world: World, culprit: int) -> None:
    if world.rank == culprit:
        os.kill(os.getpid(), signal.SIGKILL)
    StopConsensus(world).wait()


def hangs(world: World, culprit: int) -> None:
    if world.rank == culprit:
        time.sleep(120)
    world.gather(world.rank)


def is_caught(world: World, culprit: int) -> None:
    """The others are where no collective operation tells them of the culprit's end."""
    if world.rank == culprit:
        raise ValueError("image 7 cannot be read")
    time.sleep(120)


def meets_strangers(world: World, culprit: int) -> None:
    """Another job's ranks came first, to the same port."""
    print(world.gather(os.environ["SESAME_RENDEZVOUS"]), os.environ["MASTER_PORT"])


def ends_well(world: World, culprit: int) -> None:
    world.barrier()
    time.sleep(world.rank)


def fails_later(world: World, culprit: int) -> None:
    """Within a second call of `detecting_failures`."""
    with world.detecting_failures():
        world.barrier()
    with world.detecting_failures():
        fails(world, culprit)


SHORT = RUNTIME.model_copy(update={"timeout_minutes": 0.1})
IMPATIENT = RUNTIME.model_copy(update={"rendezvous_minutes": 0.2})

# name: what happens, number of ranks, who does it, settings, ranks that never start
SCENARIOS: dict[str, tuple[Callable[[World, int], None], int, int, RuntimeConfig, tuple]] = {
    "rank 1 fails": (fails, 2, 1, RUNTIME, ()),
    "rank 1 fails later": (fails_later, 2, 1, RUNTIME, ()),
    "rank 0 fails": (fails, 2, 0, RUNTIME, ()),
    "rank 1 lacks memory": (lacks_memory, 2, 1, RUNTIME, ()),
    "rank 2 has a faulty GPU": (has_a_faulty_gpu, 3, 2, RUNTIME, ()),
    "rank 1 is killed": (is_killed, 3, 1, RUNTIME, ()),
    "rank 0 is killed": (is_killed, 2, 0, RUNTIME, ()),
    "rank 1 hangs": (hangs, 3, 1, SHORT, ()),
    "rank 0 is caught": (is_caught, 2, 1, RUNTIME, ()),
    "ranks 2 and 3 are missing": (ends_well, 4, 0, IMPATIENT, (2, 3)),
    "rank 0 is missing": (ends_well, 2, 0, IMPATIENT, (0,)),
    "strangers": (meets_strangers, 4, 0, RUNTIME, ()),
    "all is well": (ends_well, 2, 0, RUNTIME, ()),
}


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    """Two ranks per node, nodes n0, n1, ..."""
    nodes = (size + 1) // 2
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank % 2),
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "SESAME_NODE": f"n{rank // 2}",
        "SESAME_RENDEZVOUS": f"{port}",
        "SESAME_NODES": ",".join(f"n{node}*{min(2, size - 2 * node)}" for node in range(nodes)),
    }


def _split_into_strangers(rank: int) -> None:
    """Ranks 0, 1 are those of one job and 2, 3 those of another, which comes a little later."""
    pair = rank // 2
    time.sleep(pair)
    os.environ.update(RANK=str(rank % 2), WORLD_SIZE="2", SESAME_RENDEZVOUS=f"job {pair}")


def _run_rank(name: str, rank: int, port: int, output: Path) -> None:
    action, size, culprit, runtime, _ = SCENARIOS[name]
    os.environ.update(_environment(rank, size, port))
    if action is meets_strangers:
        _split_into_strangers(rank)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = 0
    try:
        world = connect(runtime)
        with nullcontext() if action is fails_later else world.detecting_failures():
            action(world, culprit)
        print("done")
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        print(f"faulty: {', '.join(faulty_nodes(error))}", flush=True)
        traceback.print_exc()
        code = 2
    sys.stdout.flush()
    os._exit(code)


def _free_ports(count: int) -> list[int]:
    """As launch/ranks.py takes them: below those that Linux gives to any socket, 20 apart."""
    start = 20000 + os.getpid() % 450 * 20
    found = []
    for port in range(start, start + 1000, 20):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found[:count]


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    children = {}
    for name, port in zip(names, _free_ports(len(names)), strict=True):
        for rank in range(SCENARIOS[name][1]):
            if rank in SCENARIOS[name][4]:
                continue
            place = folder / f"{name}-{rank}"
            child = os.fork()
            if child == 0:
                _run_rank(name, rank, port, place.with_suffix(".txt"))
            children[child] = place
    while children:
        child, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        children.pop(child).with_suffix(".code").write_text(str(code))


if __name__ == "__main__":
    main()
