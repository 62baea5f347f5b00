"""The ranks find each other, or learn within a deadline which ones are missing, on which nodes."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from sesame_hpc.distributed.node_faults import NodeFault, this_node
from sesame_hpc.distributed.stores import find_store, host_store

__all__ = ["Rendezvous", "name_ranks", "rendezvous"]

_SECONDS_TO_SHARE_OUTCOME = 1.0
_TIME_TO_READ = timedelta(seconds=30)


@dataclass(frozen=True)
class Rendezvous:
    """All ranks have arrived: `nodes` by rank, and two clients of their store.

    `listener` is for a thread that blocks on it.
    """

    store: dist.Store
    listener: dist.Store
    nodes: list[str]


def rendezvous(rank: int, size: int, device: str, minutes: float) -> Rendezvous:
    """Wait until all `size` ranks have connected to MASTER_ADDR:MASTER_PORT, hosted by rank 0.

    `device` identifies this rank's device: "cpu" or a GPU's UUID.

    Raises:
        TimeoutError: some did not within `minutes`; on every rank, naming those and their nodes.
        ConnectionError: rank 0 cannot listen there.
        ValueError: MASTER_ADDR or MASTER_PORT is not set, or two ranks have the same GPU.
        NodeFault: some ranks have a GPU and others not.
    """
    store, listener = _join(rank, minutes)
    here = {"node": this_node(), "device": device}
    store.set(f"here/{rank}", json.dumps(here))
    if rank == 0:
        _announce(store, size, minutes)
    outcome = json.loads(_outcome(store, minutes))
    if "late" in outcome:
        raise TimeoutError(outcome["late"])
    if "clash" in outcome:
        _await_readers(store, rank, size)
        if outcome.get("without"):
            raise NodeFault(outcome["clash"], tuple(outcome["without"]))
        raise ValueError(outcome["clash"])
    return Rendezvous(store, listener, outcome["nodes"])


def _await_readers(store: dist.Store, rank: int, size: int) -> None:
    """The store ends with rank 0, and so that one leaves when the others have read the outcome."""
    store.set(f"read/{rank}", "")
    if rank == 0:
        with suppress(dist.DistError):
            store.wait([f"read/{each}" for each in range(size)], _TIME_TO_READ)


def name_ranks(ranks: Sequence[int], nodes: Sequence[str]) -> str:
    """ "rank 3 (node n1)" or "ranks 2, 3 (node n1)"; `nodes` without repeats, or none known."""
    numbers = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
    where = f" (node{'s' * (len(nodes) > 1)} {', '.join(nodes)})" if nodes else ""
    return numbers + where


def _join(rank: int, minutes: float) -> tuple[dist.Store, dist.Store]:
    """Two clients of the store that rank 0 hosts."""
    start = time.monotonic()
    try:
        store = host_store() if rank == 0 else find_store(60 * minutes)
        return store, find_store(60 * minutes)
    except TimeoutError as error:
        raise TimeoutError(
            f"{_rank_0()} did not arrive within {time.monotonic() - start:.0f} s: {error}, "
            f"as seen from {this_node()}"
        ) from error


def _rank_0() -> str:
    return name_ranks([0], [each.partition("*")[0] for each in _expected_nodes()[:1]])


def _expected_nodes() -> list[str]:
    """ "n0*2", "n1*2"; empty where SESAME_NODES is not set."""
    return [each for each in os.environ.get("SESAME_NODES", "").split(",") if each]


def _announce(store: dist.Store, size: int, minutes: float) -> None:
    """Rank 0 tells all ranks which nodes they are on, or why the rendezvous fails."""
    keys = [f"here/{rank}" for rank in range(size)]
    try:
        store.wait(keys, timedelta(minutes=minutes))
    except dist.DistError:
        missing = [rank for rank, key in enumerate(keys) if not store.check([key])]
        arrived = [json.loads(store.get(key)) for key in keys if store.check([key])]
        nodes = _incomplete_nodes([each["node"] for each in arrived])
        late = f"{name_ranks(missing, nodes)} did not arrive within {60 * minutes:g} s"
        store.set("outcome", json.dumps({"late": late}))
        time.sleep(_SECONDS_TO_SHARE_OUTCOME)
        return
    arrived = [json.loads(store.get(key)) for key in keys]
    store.set("outcome", json.dumps(_clash(arrived) or {"nodes": [a["node"] for a in arrived]}))


def _incomplete_nodes(arrived: list[str]) -> list[str]:
    counts = Counter(arrived)
    expected = (each.rpartition("*") for each in _expected_nodes())
    return [name for name, _, count in expected if counts[name] < int(count)]


def _clash(arrived: list[dict[str, str]]) -> dict[str, Any] | None:
    """Why the ranks cannot train together, by their nodes and devices; which nodes lack GPUs."""
    without = [rank for rank, each in enumerate(arrived) if each["device"] == "cpu"]
    if 0 < len(without) < len(arrived):
        nodes = list(dict.fromkeys(arrived[rank]["node"] for rank in without))
        lacks = "has" if len(without) == 1 else "have"
        return {
            "clash": f"{name_ranks(without, nodes)} {lacks} no GPU, while the others do: exclude "
            f"{'that node' if len(nodes) == 1 else 'those nodes'}, or set runtime.device=cpu",
            "without": nodes,
        }
    places = [(each["node"], each["device"]) for each in arrived]
    for place, count in Counter(places).items():
        if count > 1 and place[1] != "cpu":
            ranks = [rank for rank, other in enumerate(places) if other == place]
            return {
                "clash": f"{name_ranks(ranks, [place[0]])} have the same GPU {place[1]}: ask for "
                "one GPU per task, such as --ntasks-per-node=4 --gpus-per-node=4"
            }
    return None


def _outcome(store: dist.Store, minutes: float) -> bytes:
    try:
        store.wait(["outcome"], timedelta(minutes=minutes) + timedelta(seconds=30))
        return store.get("outcome")
    except dist.DistError as error:
        raise TimeoutError(f"{_rank_0()} was lost during the rendezvous") from error
