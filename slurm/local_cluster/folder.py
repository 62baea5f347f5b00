"""The folder of a cluster: its paths, settings and processes."""

import hashlib
import json
import os
import random
import re
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import Process

__all__ = ["Cluster", "Settings", "free_ports", "load", "prepare", "remove"]

_RECORD = "cluster.json"
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
_LONGEST = 64  # of 107 characters for a socket, some 30 go to spool/n0/n0_12345.4294967291
_PORTS = range(10_000, 20_000)  # below those of runs, and of outgoing connections


@dataclass(frozen=True)
class Settings:
    """The settings of a cluster. Times are in seconds, `memory` in MiB per node.

    `sleeping` further nodes have no slurmd: jobs that get them wait for ever.
    """

    nodes: int = 2
    gpus: int = 2
    cpus: int = 8
    memory: int = 65_536
    accounting: bool = False
    preemption: bool = False
    grace: int = 60
    dead_after: int = 10
    max_array: int = 1001
    sleeping: int = 0

    @property
    def node_names(self) -> list[str]:
        return [f"n{index}" for index in range(self.nodes)]

    @property
    def sleeping_names(self) -> str:
        """In SLURM's notation: every other number, so that the list is long."""
        return f"s[{','.join(str(2 * index) for index in range(self.sleeping))}]"


@dataclass
class Cluster:
    """A cluster in `folder`; its files are in `state`, usually the same folder."""

    folder: Path
    state: Path
    settings: Settings
    ports: list[int]
    processes: list[Process]

    @property
    def slurm_conf(self) -> Path:
        return self.state / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.state / "munge" / "socket"

    @property
    def database_socket(self) -> Path:
        return self.state / "database.socket"

    @property
    def controller_port(self) -> int:
        return self.ports[0]

    @property
    def accounting_port(self) -> int:
        return self.ports[1]

    def node_port(self, node: str) -> int:
        return self.ports[2 + self.settings.node_names.index(node)]

    @property
    def silent_port(self) -> int:
        """The port of the sleeping nodes, on which nobody listens."""
        return self.ports[-1]

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def process(self, name: str) -> Process | None:
        return next((each for each in self.processes if each.name == name), None)

    def save(self) -> None:
        """Record the cluster, so that the next command finds the processes."""
        record = {
            "state": str(self.state),
            "settings": asdict(self.settings),
            "ports": self.ports,
            "processes": [asdict(process) for process in self.processes],
        }
        path = self.folder / _RECORD
        draft = path.with_name(f"{_RECORD}.{os.getpid()}")
        draft.write_text(json.dumps(record, indent=1))
        draft.replace(path)


def load(folder: Path) -> Cluster:
    """The cluster of a folder. Raises FileNotFoundError if none was started in it."""
    path = folder / _RECORD
    if not path.exists():
        raise FileNotFoundError(f"{folder} has no cluster: no {_RECORD}; start one first")
    record = json.loads(path.read_text())
    return Cluster(
        folder=folder,
        state=Path(record["state"]),
        settings=Settings(**record["settings"]),
        ports=record["ports"],
        processes=[Process(**process) for process in record["processes"]],
    )


def prepare(folder: Path, settings: Settings) -> Cluster:
    """Make the folders of a new cluster, or of one that is started again.

    Raises ValueError for a folder with other content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _RECORD).exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and has no cluster; give a new folder")
    state = _state_folder(folder)
    state.mkdir(mode=0o700, exist_ok=True)
    if state.owner() != folder.owner() or state.is_symlink():
        raise PermissionError(f"{state} belongs to {state.owner()}; remove it")
    for name in ("logs", "control", "database", "gpus"):
        (state / name).mkdir(exist_ok=True)
    (state / "munge").mkdir(mode=0o700, exist_ok=True)
    for node in settings.node_names:
        (state / "spool" / node).mkdir(parents=True, exist_ok=True)
    return Cluster(folder, state, settings, free_ports(3 + settings.nodes), [])


def remove(cluster: Cluster) -> None:
    """Remove the folder of a stopped cluster, and all that is in it."""
    shutil.rmtree(cluster.state)
    shutil.rmtree(cluster.folder, ignore_errors=cluster.folder == cluster.state)


def _state_folder(folder: Path) -> Path:
    """The folder itself if SLURM accepts its name, else a short one under /tmp."""
    name = str(folder)
    if _PLAIN.fullmatch(name) and len(name) <= _LONGEST:
        return folder
    return Path(f"/tmp/slurm-{os.getuid()}-{hashlib.sha256(name.encode()).hexdigest()[:10]}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` unused TCP ports."""
    candidates = random.SystemRandom().sample(_PORTS, len(_PORTS))
    free = [port for port in candidates[: 50 * count] if _is_free(port)][:count]
    if len(free) < count:
        raise OSError(f"{count} free ports are needed between {_PORTS.start} and {_PORTS.stop}")
    return free
