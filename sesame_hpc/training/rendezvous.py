"""The ranks find each other, or learn within a deadline who did not come and from which node."""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist

__all__ = ["Meeting", "meet", "name_ranks"]

_SECONDS_TO_SPREAD_THE_WORD = 1.0


@dataclass(frozen=True)
class Meeting:
    """All ranks are there, on these `nodes`, by rank. `ear` is a second client of the store, for a
    thread that waits on it.
    """

    store: dist.Store
    ear: dist.Store
    nodes: list[str]


def meet(rank: int, size: int, device: str, minutes: float) -> Meeting:
    """Wait until all `size` ranks have come to MASTER_ADDR:MASTER_PORT, where rank 0 listens.

    `device` identifies what this rank computes on, "cpu" or a GPU's UUID.

    Raises:
        TimeoutError: some did not within `minutes`; on every rank, naming them and their nodes.
        ConnectionError: rank 0 cannot listen there.
        ValueError: MASTER_ADDR or MASTER_PORT is not set; two ranks have the same GPU.
    """
    host, port = _master()
    store = _store(host, port, rank, minutes)
    ear = _client(host, port, minutes)
    here = {"node": _node(), "device": device}
    store.set(f"here/{rank}", json.dumps(here))
    if rank == 0:
        _judge(store, size, minutes)
    verdict = json.loads(_verdict(store, minutes))
    if "late" in verdict:
        raise TimeoutError(verdict["late"])
    if "clash" in verdict:
        raise ValueError(verdict["clash"])
    return Meeting(store, ear, verdict["nodes"])


def name_ranks(ranks: Sequence[int], nodes: Sequence[str]) -> str:
    """ "rank 3 (node n1)" or "ranks 2, 3 (node n1)"; `nodes` without repeats, or none known."""
    numbers = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
    where = f" (node{'s' * (len(nodes) > 1)} {', '.join(nodes)})" if nodes else ""
    return numbers + where


def _node() -> str:
    return os.environ.get("SESAME_NODE") or socket.gethostname()


def _master() -> tuple[str, int]:
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise ValueError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {' and '.join(missing)} is not set: "
            "start the ranks by srun or torchrun"
        )
    return os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


def _store(host: str, port: int, rank: int, minutes: float) -> dist.TCPStore:
    torchrun_listens = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if rank > 0 or torchrun_listens:
        return _client(host, port, minutes)
    try:
        return dist.TCPStore(
            host,
            port,
            is_master=True,
            wait_for_workers=False,
            multi_tenant=True,
            timeout=timedelta(minutes=minutes),
        )
    except dist.DistNetworkError as error:
        raise ConnectionError(
            f"rank 0 cannot listen on port {port} of {_node()}: "
            f"{str(error).splitlines()[0]}; set MASTER_PORT to a free one"
        ) from error


def _client(host: str, port: int, minutes: float) -> dist.TCPStore:
    start = time.monotonic()
    try:
        return dist.TCPStore(
            host,
            port,
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(minutes=minutes),
        )
    except dist.DistError as error:
        first = [each.partition("*")[0] for each in _expected_nodes()[:1]]
        raise TimeoutError(
            f"{name_ranks([0], first)} did not answer at {host}:{port} within "
            f"{time.monotonic() - start:.0f} s, asked from {_node()}"
        ) from error


def _expected_nodes() -> list[str]:
    """ "n0*2", "n1*2"; empty where nobody has said."""
    return [each for each in os.environ.get("SESAME_NODES", "").split(",") if each]


def _judge(store: dist.Store, size: int, minutes: float) -> None:
    """Rank 0 tells all who is there, or why this is the end."""
    keys = [f"here/{rank}" for rank in range(size)]
    try:
        store.wait(keys, timedelta(minutes=minutes))
    except dist.DistError:
        missing = [rank for rank, key in enumerate(keys) if not store.check([key])]
        arrived = [json.loads(store.get(key)) for key in keys if store.check([key])]
        nodes = _incomplete_nodes([each["node"] for each in arrived])
        late = f"{name_ranks(missing, nodes)} did not arrive within {60 * minutes:g} s"
        store.set("verdict", json.dumps({"late": late}))
        time.sleep(_SECONDS_TO_SPREAD_THE_WORD)
        return
    arrived = [json.loads(store.get(key)) for key in keys]
    store.set("verdict", json.dumps(_clash(arrived) or {"nodes": [a["node"] for a in arrived]}))


def _incomplete_nodes(arrived: list[str]) -> list[str]:
    counts = Counter(arrived)
    expected = (each.rpartition("*") for each in _expected_nodes())
    return [name for name, _, count in expected if counts[name] < int(count)]


def _clash(arrived: list[dict[str, str]]) -> dict[str, str] | None:
    places = [(each["node"], each["device"]) for each in arrived]
    for place, count in Counter(places).items():
        if count > 1 and place[1] != "cpu":
            ranks = [rank for rank, other in enumerate(places) if other == place]
            return {
                "clash": f"{name_ranks(ranks, [place[0]])} have the same GPU {place[1]}: ask for "
                "one GPU a task, such as --ntasks-per-node=4 --gpus-per-node=4"
            }
    return None


def _verdict(store: dist.Store, minutes: float) -> bytes:
    try:
        store.wait(["verdict"], timedelta(minutes=minutes) + timedelta(seconds=30))
        return store.get("verdict")
    except dist.DistError as error:
        raise TimeoutError(f"{name_ranks([0], [])} went away while the ranks gathered") from error
