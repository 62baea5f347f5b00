"""The speed of each rank before a stage, in the log and in the run folder."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict

from sesame_hpc.distributed.health import RankHealth, measure_health, slow_ranks
from sesame_hpc.distributed.node_faults import EXCLUDE_BAD_NODES, NodeFault
from sesame_hpc.files import read_json, write_json_atomic
from sesame_hpc.stages.session import Session

__all__ = ["HEALTH", "record_health"]

HEALTH = "health.json"


def record_health(session: Session, stage: str) -> None:
    """Measure all ranks and name slow ones. Collective; does nothing with one rank.

    Raises NodeFault, on every rank, where nodes are slow and the profile has exclude_bad_nodes.

    health.json: {stage: {"time": seconds since 1970, "ranks": [RankHealth, ...]}}, of the last
    start of each stage.
    """
    if session.world.size == 1:
        return
    healths = measure_health(session.world)
    slow = slow_ranks(healths)
    if session.world.is_main:
        _write(session, stage, healths)
        for each in slow:
            session.monitor.message(f"slow: {each}")
    if slow and EXCLUDE_BAD_NODES in os.environ:
        session.world.barrier()  # rank 0 has written
        raise NodeFault(f"slow: {'; '.join(map(str, slow))}", tuple({each.node for each in slow}))


def _write(session: Session, stage: str, healths: Sequence[RankHealth]) -> None:
    """Rank 0 alone."""
    session.folder.lease.check()
    path = session.folder.path / HEALTH
    try:
        earlier = read_json(path)
    except (FileNotFoundError, ValueError):
        earlier = {}
    ranks = [asdict(health) for health in healths]
    write_json_atomic(path, {**earlier, stage: {"time": time.time(), "ranks": ranks}})
    slowest = min(health.gigabytes_per_second for health in healths)
    least, most = (choose(health.tflops for health in healths) for choose in (min, max))
    session.monitor.message(
        f"{stage}: matrix products at {least:.3g} to {most:.3g} TFLOP/s per rank, all-reduce at "
        f"{slowest:.3g} GB/s"
    )
