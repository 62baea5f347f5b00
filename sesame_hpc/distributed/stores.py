"""The key-value store of a job's ranks: rank 0 hosts it, and all ranks connect to it.

It is at MASTER_ADDR and MASTER_PORT. A port derived from SLURM's job id (`launch/ranks.py`) may be
in use by another program, even by another job's store. SESAME_RENDEZVOUS tells them apart: rank 0
takes the first free one of a few ports, and the others look for the store of that name.

The store has no passwords: whoever can connect can read and write it. With all ranks on one host,
or with an IP address in MASTER_ADDR, it therefore listens on that address only. With a host name
that other nodes may resolve differently it listens on all interfaces, torch's default.
"""

import errno
import ipaddress
import os
import socket
import time
from datetime import timedelta

import torch.distributed as dist

__all__ = ["find_store", "host_store"]

_PORTS_TO_TRY = 10
_SECONDS_TO_CONNECT = 3.0
_SECONDS_TO_NAME = 1.0
_SECONDS_BETWEEN_ROUNDS = 0.2
_HOSTED = "hosted"
_FOR_OPERATIONS = timedelta(minutes=5)


def host_store() -> dist.Store:
    """Rank 0's client of the store, which this process hosts, or torchrun for it.

    Raises ConnectionError if no port is free, ValueError if the variables are not set.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return find_store(_FOR_OPERATIONS.total_seconds())
    host, ports = _places()
    problem = ""
    for port in ports:
        try:
            hosted = _host(host, port)
        except (dist.DistNetworkError, OSError) as error:
            problem = str(error).splitlines()[0]
            continue
        os.environ["MASTER_PORT"] = str(port)
        store = _named(hosted)
        store.set(_HOSTED, "")
        return store
    raise ConnectionError(
        f"rank 0 cannot listen on port {', '.join(map(str, ports))} of {socket.gethostname()}: "
        f"{problem}; set MASTER_PORT to a free one"
    )


def _host(host: str, port: int) -> dist.TCPStore:
    listener = _listener(host, port) if _is_one_address(host) else None
    return dist.TCPStore(
        host,
        port,
        is_master=True,
        wait_for_workers=False,
        timeout=_FOR_OPERATIONS,
        master_listen_fd=None if listener is None else listener.detach(),
    )


def _is_one_address(host: str) -> bool:
    """Whether all ranks reach the store at the address that this host knows by that name."""
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        return True
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket | None:
    """A socket that listens on one address; None if it is not an address of this host, as behind
    a translation of addresses. OSError if the port is in use there.
    """
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(socket.SOMAXCONN)
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
        else:
            return listener
    return None


def find_store(seconds: float) -> dist.Store:
    """Another client of the store. Raises TimeoutError if it is not up within `seconds`."""
    host, ports = _places()
    deadline = time.monotonic() + seconds
    while True:
        for port in ports:
            store = _look_for(host, port)
            if store is not None:
                os.environ["MASTER_PORT"] = str(port)
                return store
        if time.monotonic() > deadline:
            raise TimeoutError(f"there is no store of this job at {host}:{ports[0]}")
        time.sleep(_SECONDS_BETWEEN_ROUNDS)


def _places() -> tuple[str, list[int]]:
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise ValueError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {' and '.join(missing)} is not set: "
            "start the ranks by srun or torchrun"
        )
    first = int(os.environ["MASTER_PORT"])
    count = _PORTS_TO_TRY if _rendezvous_name() else 1
    return os.environ["MASTER_ADDR"], [first + offset for offset in range(count)]


def _rendezvous_name() -> str:
    return os.environ.get("SESAME_RENDEZVOUS", "")


def _named(store: dist.Store) -> dist.Store:
    return dist.PrefixStore(f"sesame {_rendezvous_name()}", store)


def _look_for(host: str, port: int) -> dist.Store | None:
    """The store at a port, if it is the one of this job."""
    seconds = timedelta(seconds=_SECONDS_TO_CONNECT)
    try:
        socket.create_connection((host, port), _SECONDS_TO_CONNECT).close()
        client = dist.TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=seconds)
        store = _named(client)
        if _rendezvous_name():
            store.wait([_HOSTED], timedelta(seconds=_SECONDS_TO_NAME))
    except (OSError, dist.DistError):
        return None
    client.set_timeout(_FOR_OPERATIONS)
    return store
