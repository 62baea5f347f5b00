"""Names and addresses of SLURM nodes, from SLURM's notation."""

import re
import socket
import subprocess
from collections.abc import Sequence

__all__ = ["expand_nodes", "expand_task_counts", "reachable_address"]

_NODE = re.compile(r"(?:[^,\[\]]|\[[^\[\]]+\])+")
_BRACKET = re.compile(r"\[([^\[\]]+)\]")
_COUNT = re.compile(r"(\d+)(?:\(x(\d+)\))?")
_SCONTROL_SECONDS = 30


def expand_nodes(nodelist: str) -> list[str]:
    """Node names of "n[00-02,5],gpu7", in its order, as `scontrol show hostnames` gives them.

    Raises ValueError if it is not such a list.
    """
    groups = _NODE.findall(nodelist)
    if not groups or ",".join(groups) != nodelist:
        raise ValueError(f"{nodelist!r} is not a SLURM node list such as n[0-3],gpu7")
    return [name for group in groups for name in _expand_brackets(group)]


def _expand_brackets(group: str) -> list[str]:
    found = _BRACKET.search(group)
    if not found:
        return [group]
    head, tail = group[: found.start()], _expand_brackets(group[found.end() :])
    numbers = [number for part in found[1].split(",") for number in _expand_range(part, group)]
    return [head + number + rest for number in numbers for rest in tail]


def _expand_range(part: str, group: str) -> list[str]:
    """ "08-10" -> 08, 09, 10: the first number's width is kept."""
    first, _, last = part.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise ValueError(f"{part!r} in the SLURM node list {group!r} is not a range such as 00-12")
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]


def expand_task_counts(counts: str) -> list[int]:
    """Tasks per node of "2(x2),1": [2, 2, 1]. Raises ValueError for another form."""
    found = [_COUNT.fullmatch(part) for part in counts.split(",")]
    if not all(found):
        raise ValueError(f"{counts!r} is not a SLURM list of tasks per node such as 2(x2),1")
    return [int(match[1]) for match in found if match for _ in range(int(match[2] or 1))]


def reachable_address(node: str, others: Sequence[str] = ()) -> str:
    """The address of `node` to connect to: its name if that resolves, else its NodeAddr.

    A name that resolves to a loopback address, as in the /etc/hosts of Debian, is useless to
    `others`; then NodeAddr is preferred. Raises ValueError if neither resolves.
    """
    if _resolves(node) and not (others and _is_loopback(node)):
        return node
    address = _node_address(node)
    if address and _resolves(address):
        return address
    if _resolves(node):
        return node
    known = f"its NodeAddr {address!r} does not either" if address else "scontrol has no such node"
    raise ValueError(
        f"the name of node {node} does not resolve on {socket.gethostname()}, and {known}; "
        "set MASTER_ADDR to an address that every node of the job can reach"
    )


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


def _is_loopback(name: str) -> bool:
    return all(
        str(found[4][0]).startswith(("127.", "::1")) for found in socket.getaddrinfo(name, 0)
    )


def _node_address(node: str) -> str | None:
    try:
        shown = subprocess.run(
            ["scontrol", "show", "node", node, "-o"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_SCONTROL_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bNodeAddr=(\S+)", shown)
    return found[1] if found else None
