"""Start the daemons of a cluster in order, wait until its nodes are idle, and end everything."""

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from folder import Cluster
from patience import Patience, wait_for
from processes import Process, descendants, end, running, send, spawn, with_environment
from programs import find

__all__ = [
    "NODE",
    "STATE",
    "ask",
    "is_up",
    "log_tail",
    "spawn_controller",
    "spawn_slurmd",
    "start",
    "stop",
]

_PATIENCE = 90.0
STATE, NODE = "LOCAL_CLUSTER_STATE", "LOCAL_CLUSTER_NODE"
"""Environment variables of the daemons: the cluster's folder, and the node of a slurmd."""


def ask(cluster: Cluster, *command: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run a client command of SLURM, such as squeue, against the cluster.

    Its exit code is 124 if it was stopped after `timeout` seconds.
    """
    try:
        return subprocess.run(
            [find(command[0]), *command[1:]],
            env=os.environ | {"SLURM_CONF": str(cluster.slurm_conf)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {timeout:.0f} s")


def is_up(cluster: Cluster) -> bool:
    """Whether every started daemon is running."""
    return bool(cluster.processes) and all(map(running, cluster.processes))


def start(cluster: Cluster) -> None:
    """Start all daemons and wait for idle nodes. Raises RuntimeError with a failed one's log.

    Each process is recorded at once, so that `stop` finds it after an interruption.
    """
    _spawn_munged(cluster)
    if cluster.settings.accounting:
        _spawn_accounting(cluster)
    spawn_controller(cluster)
    for node in cluster.settings.node_names:
        spawn_slurmd(cluster, node)
    _wait(cluster, "the nodes to be idle", lambda: _all_idle(cluster))


def _environment(cluster: Cluster) -> dict[str, str]:
    """The minimal environment of daemons; its marker identifies them and their slurmstepd."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return kept | {
        "SLURM_CONF": str(cluster.slurm_conf),
        "MYSQL_UNIX_PORT": str(cluster.database_socket),
        STATE: str(cluster.state),
    }


def _spawn(cluster: Cluster, name: str, command: list[str], **variables: str) -> Process:
    environment = _environment(cluster) | variables
    process = spawn(name, command, cluster.log(f"{name}-output"), environment)
    cluster.processes = [each for each in cluster.processes if each.name != name] + [process]
    cluster.save()
    return process


def _spawn_munged(cluster: Cluster) -> None:
    munge = cluster.state / "munge"
    # --force: group-writable home folders are common, and this folder is private.
    command = [find("munged"), "--foreground", "--force", "--num-threads=2"]
    command += [f"--key-file={munge}/key", f"--seed-file={munge}/seed", f"--pid-file={munge}/pid"]
    command += [f"--log-file={munge}/log", f"--socket={cluster.munge_socket}"]
    _spawn(cluster, "munged", command)
    _wait(cluster, "munge", cluster.munge_socket.is_socket)


def _spawn_accounting(cluster: Cluster) -> None:
    """A database on a socket that only this user can access, and slurmdbd for it."""
    command = [find("mariadbd"), "--no-defaults", "--skip-grant-tables", "--skip-networking"]
    command += [f"--datadir={cluster.state}/database", f"--socket={cluster.database_socket}"]
    command += [f"--pid-file={cluster.state}/mariadbd.pid", "--innodb-buffer-pool-size=64M"]
    command += ["--user=root"] if os.getuid() == 0 else []
    _spawn(cluster, "mariadbd", command)
    _wait(cluster, "the database", cluster.database_socket.is_socket)
    _spawn(cluster, "slurmdbd", [find("slurmdbd"), "-D"])
    _wait(cluster, "slurmdbd", lambda: _listens(cluster.accounting_port))
    _join_account(cluster)


def _join_account(cluster: Cluster) -> None:
    """Let this user's jobs be charged to the account root, which every cluster has.

    Only before slurmctld starts: that of SLURM 22.05 crashes when it hears of a new member later.
    slurmdbd finds no more than one member of one account, since this database has no system tables,
    and so no stored procedures.
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    for what in (("cluster", "local"), ("user", user, "Account=root")):
        ask(cluster, "sacctmgr", "--immediate", "add", *what)


def spawn_controller(cluster: Cluster) -> None:
    """Start slurmctld, from the state that an earlier one saved if there is one."""
    _spawn(cluster, "slurmctld", [find("slurmctld"), "-D", "-f", str(cluster.slurm_conf)])


def spawn_slurmd(cluster: Cluster, node: str) -> None:
    command = [find("slurmd"), "-D", "-N", node, "-f", str(cluster.slurm_conf)]
    _spawn(cluster, node, command, **{NODE: node})


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _states(cluster: Cluster) -> dict[str, str]:
    """Node names and their states, as n0 -> idle; empty while the controller is not available."""
    answer = ask(cluster, "sinfo", "--noheader", "--Node", "--format=%N %T")
    return dict(line.split() for line in answer.stdout.splitlines())


def _all_idle(cluster: Cluster) -> bool:
    states = _states(cluster)
    return set(states) == set(cluster.settings.node_names) and set(states.values()) == {"idle"}


def _wait(cluster: Cluster, what: str, ready: Callable[[], bool]) -> None:
    """Wait for daemons that are starting; fail at once if one has ended."""

    def ready_or_failed() -> bool:
        for process in cluster.processes:
            if not running(process):
                raise RuntimeError(f"{process.name} ended\n{log_tail(cluster, process.name)}")
        return ready()

    try:
        wait_for(what, ready_or_failed, _PATIENCE)
    except TimeoutError as error:
        raise RuntimeError(f"{error}\n{log_tail(cluster, cluster.processes[-1].name)}") from None


def log_tail(cluster: Cluster, name: str) -> str:
    """The last lines that a daemon wrote, with the files they are in."""
    parts = []
    for path in (cluster.log(name), cluster.log(f"{name}-output")):
        if path.exists() and (lines := path.read_text(errors="replace").splitlines()):
            parts += [f"{path}:", *(f"  {line}" for line in lines[-12:])]
    return "\n".join(parts)


def stop(cluster: Cluster) -> None:
    """Cancel all jobs, end all daemons, and kill remaining processes of jobs."""
    controller = cluster.process("slurmctld")
    if controller and running(controller):
        _cancel_jobs(cluster)
    for process in reversed(cluster.processes):
        end(process)
    strays = with_environment(f"{STATE}={cluster.state}")
    strays |= with_environment(f"SLURM_CONF={cluster.slurm_conf}", "SLURM_JOB_ID=")
    send(signal.SIGKILL, descendants(strays))
    cluster.processes = []
    cluster.save()


def _cancel_jobs(cluster: Cluster) -> None:
    patience = Patience(10)
    ask(cluster, "scancel", "--me", timeout=10)
    while not patience.is_over() and ask(cluster, "squeue", "--noheader").stdout.strip():
        time.sleep(0.2)
