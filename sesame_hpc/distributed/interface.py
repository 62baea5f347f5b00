"""The network interface of gloo, whose default is that of the host name: often loopback."""

import fcntl
import os
import socket
import struct

__all__ = ["choose_gloo_interface"]

_VARIABLE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915


def choose_gloo_interface() -> None:
    """Set GLOO_SOCKET_IFNAME to the interface that routes to another node, unless it is set.

    Does nothing if all ranks are on this host, or if no such interface is found.
    """
    if _VARIABLE in os.environ or not _several_nodes():
        return
    address = _address_towards(_peer())
    name = _interface_of(address) if address else None
    if name:
        os.environ[_VARIABLE] = name


def _several_nodes() -> bool:
    return os.environ.get("LOCAL_WORLD_SIZE", "1") != os.environ.get("WORLD_SIZE", "1")


def _peer() -> str:
    """The master node; on that node itself another one, if its name is known."""
    nodes = [each.partition("*")[0] for each in os.environ.get("SESAME_NODES", "").split(",")]
    if len(nodes) > 1 and os.environ.get("SESAME_NODE") == nodes[0]:
        return nodes[1]
    return os.environ.get("MASTER_ADDR", "")


def _address_towards(peer: str) -> str | None:
    """This host's IPv4 address on the route to `peer`; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def _interface_of(address: str) -> str | None:
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue
        if socket.inet_ntoa(answer[20:24]) == address:
            return name
    return None
