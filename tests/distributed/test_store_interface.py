"""On which interfaces the ranks' store listens."""

import os
import socket
from pathlib import Path

import pytest

from sesame_hpc.distributed.stores import find_store, host_store


def listening_on(port: int) -> set[str]:
    """Addresses on which this machine listens at a port, as the kernel writes them."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {
        local.rpartition(":")[0]
        for _, local, _, state, *_ in lines
        if state == "0A" and int(local.rpartition(":")[2], 16) == port
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", "2"), ("localhost", "2"), ("127.0.0.1", "1")]
)
def test_a_store_of_one_address_listens_there_only(monkeypatch, host, local):
    port = free_port()
    here = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": local, "MASTER_ADDR": host}
    for name, value in {**here, "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    store = host_store()
    assert listening_on(port) <= {"0100007F", f"{'0' * 24}01000000"}
    store.set("key", "value")
    assert find_store(5).get("key") == b"value"


def test_a_port_in_use_is_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        here = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        for name, value in {**here, "MASTER_PORT": str(port), "SESAME_RENDEZVOUS": "a"}.items():
            monkeypatch.setenv(name, value)
        store = host_store()
        assert int(os.environ["MASTER_PORT"]) > port
        store.set("key", "value")
        assert find_store(5).get("key") == b"value"
