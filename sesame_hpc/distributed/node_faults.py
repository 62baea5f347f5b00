"""Errors whose cause is a node and not the run: the same job would run on another node.

Imports no torch.
"""

import os
import re
import socket

__all__ = ["EXCLUDE_BAD_NODES", "NodeFault", "faulty_nodes", "this_node"]

EXCLUDE_BAD_NODES = "SESAME_EXCLUDE_BAD_NODES"
"""Environment variable: how many faulty nodes a run's jobs may exclude; not set: none."""

_HARDWARE = re.compile(
    r"uncorrectable (ECC|NVLink) error|hardware stack error|fallen off the bus|"
    r"CUDA-capable device\(s\) is/are busy or unavailable|no CUDA-capable device is detected|"
    r"CUDA driver initialization failed|CUDA error: (unknown error|initialization error|"
    r"system not yet initialized)",
    re.IGNORECASE,
)
"""Errors of CUDA's runtime (cudaError_t) that code does not cause."""


class NodeFault(ValueError):
    """The nodes `nodes` cannot run this job, or slow it down."""

    def __init__(self, text: str, nodes: tuple[str, ...]) -> None:
        super().__init__(text)
        self.nodes = nodes


def this_node() -> str:
    """The node of this rank, as SLURM names it; else the host's name."""
    return os.environ.get("SESAME_NODE") or socket.gethostname()


def faulty_nodes(error: BaseException) -> tuple[str, ...]:
    """The nodes that `error` shows to be faulty; () where it may have another cause.

    A RuntimeError of CUDA is of this rank's own node. Errors that are about another rank say which
    nodes are, by an attribute `nodes` as that of NodeFault.
    """
    nodes = getattr(error, "nodes", ())
    if nodes:
        return tuple(nodes)
    is_hardware = isinstance(error, RuntimeError) and _HARDWARE.search(str(error)) is not None
    return (this_node(),) if is_hardware else ()
