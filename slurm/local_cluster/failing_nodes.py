"""Take a node of a cluster away, as a power cut or a crash of slurmd does, and bring it back.

What SLURM made of it is read as a fact that stays: its log says that it set the node down. A state
can change between two looks, and sinfo shows one word of it, which for a node that is down and
drained is "drained".
"""

import re
import signal
import sys
from pathlib import Path

from daemons import NODE, STATE, ask, log_tail, spawn_controller, spawn_slurmd
from folder import Cluster
from patience import wait_for
from processes import Process, descendants, running, send, with_environment

__all__ = ["CONTROLLER", "fail_controller", "fail_node", "restore_controller", "restore_node"]

CONTROLLER = "slurmctld"
"""The name of the controller where a node's could stand."""

_PATIENCE = 90.0
_SILENCE = 120.0
"""Seconds within which SLURM should notice a dead node; it takes 25 to 40."""
_SET_DOWN = re.compile(r"Nodes (\S+) not responding, setting DOWN|node (\S+) state set to DOWN")


def fail_node(cluster: Cluster, node: str, daemon_only: bool) -> None:
    """Simulate a power cut of a node, or with `daemon_only` a crash of its slurmd; wait for DOWN.

    A node without power does not close its connections. So its processes are stopped first, and
    killed once the node is down.
    """
    process = _slurmd(cluster, node)
    log = _NewLines(cluster.log("slurmctld"))
    if daemon_only:
        send(signal.SIGKILL, [process.pid] if running(process) else [])
        wait_for(f"{process.name} to end", lambda: not running(process), _PATIENCE)
        _wait_until_missed(cluster, node, log)
        return
    _send_until_none_new(signal.SIGSTOP, cluster, node)
    try:
        _wait_until_missed(cluster, node, log)
    finally:
        _send_until_none_new(signal.SIGKILL, cluster, node)
        wait_for(f"{process.name} to end", lambda: not running(process), _PATIENCE)


def restore_node(cluster: Cluster, node: str) -> None:
    """Start a node's slurmd again and wait until the controller gives it jobs."""
    if running(_slurmd(cluster, node)):
        raise ValueError(f"{node} is running")
    spawn_slurmd(cluster, node)

    def is_back() -> bool:
        state = _state(cluster, node)
        if "DRAIN" in state:
            ask(cluster, "scontrol", "update", f"NodeName={node}", "State=RESUME")
        return bool(state & {"IDLE", "MIXED", "ALLOCATED"}) and not state & {
            "DRAIN",
            "NOT_RESPONDING",
        }

    wait_for(f"{node} to be back", is_back, _PATIENCE)


def fail_controller(cluster: Cluster) -> None:
    """Crash slurmctld: squeue, scontrol and sbatch get no answer, and the jobs keep running."""
    process = cluster.process(CONTROLLER)
    assert process is not None
    send(signal.SIGKILL, [process.pid] if running(process) else [])
    wait_for(f"{CONTROLLER} to end", lambda: not running(process), _PATIENCE)


def restore_controller(cluster: Cluster) -> None:
    """Start slurmctld again, from the state that it saved, and wait until it answers."""
    process = cluster.process(CONTROLLER)
    if process is not None and running(process):
        raise ValueError(f"{CONTROLLER} is running")
    spawn_controller(cluster)
    wait_for(
        f"{CONTROLLER} to answer",
        lambda: ask(cluster, "squeue").returncode == 0,
        _PATIENCE,
    )


class _NewLines:
    """The lines that a log gets from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0

    def read(self) -> str:
        with self._path.open("rb") as file:
            file.seek(self._start)
            return file.read().decode("utf-8", "replace")


def _wait_until_missed(cluster: Cluster, node: str, log: _NewLines) -> None:
    """Wait until SLURM has set a node down; if it does not, set it down, as an operator would."""

    def was_set_down() -> bool:
        lists = {name for found in _SET_DOWN.findall(log.read()) for name in found if name}
        return "DOWN" in _state(cluster, node) or any(
            node in ask(cluster, "scontrol", "show", "hostnames", each).stdout.split()
            for each in lists
        )

    def accepts_it() -> bool:
        down = (f"NodeName={node}", "State=DOWN", "Reason=silent")
        return ask(cluster, "scontrol", "update", *down).returncode == 0

    try:
        wait_for(f"SLURM to miss {node}", was_set_down, _SILENCE)
    except TimeoutError as error:
        tail = log_tail(cluster, "slurmctld")
        print(f"cluster: {error}; its state is {_state(cluster, node)}\n{tail}", file=sys.stderr)
        wait_for(f"scontrol to set {node} down", accepts_it, _PATIENCE)


def _state(cluster: Cluster, node: str) -> set[str]:
    """A node's state and flags, such as {"DOWN", "NOT_RESPONDING"}; empty without an answer."""
    shown = ask(cluster, "scontrol", "--oneliner", "show", "node", node).stdout
    found = re.search(r"\bState=(\S+)", shown)
    if found is None:
        return set()
    flags = {"NOT_RESPONDING"} if "*" in found[1] else set()
    return flags | set(re.findall(r"[A-Z_]+", found[1]))


def _send_until_none_new(number: signal.Signals, cluster: Cluster, node: str) -> None:
    """Send a signal to slurmd, slurmstepd and tasks of a node, and to processes they start."""
    daemons = (f"{STATE}={cluster.state}", f"{NODE}={node}")
    tasks = (f"SLURM_CONF={cluster.slurm_conf}", f"SLURMD_NODENAME={node}")
    done: set[int] = set()
    while new := descendants(with_environment(*daemons) | with_environment(*tasks)) - done:
        send(number, new)
        done |= new


def _slurmd(cluster: Cluster, node: str) -> Process:
    process = cluster.process(node) if node in cluster.settings.node_names else None
    if process is None:
        raise ValueError(f"no node {node}; the nodes are {', '.join(cluster.settings.node_names)}")
    return process
