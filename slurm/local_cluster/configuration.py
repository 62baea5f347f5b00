"""The configuration files of a cluster on one machine, and the reasons for each setting."""

import os
import pwd
import socket
from pathlib import Path

from folder import Cluster
from programs import slurm_version

__all__ = ["write_configuration"]

_CGROUPS_CAN_BE_OFF = (24, 5)


def write_configuration(cluster: Cluster) -> None:
    """Write the munge key, slurm.conf, gres.conf, cgroup.conf and, if wanted, slurmdbd.conf."""
    _write_key(cluster.state / "munge" / "key")
    _write(cluster.slurm_conf, _slurm_conf(cluster))
    _write(cluster.state / "gres.conf", _gres_conf(cluster))
    _write(cluster.state / "cgroup.conf", _cgroup_conf())
    if cluster.settings.accounting:
        _write(cluster.state / "slurmdbd.conf", _slurmdbd_conf(cluster), mode=0o600)


def _write(path: Path, lines: list[str], mode: int = 0o644) -> None:
    path.touch(mode=mode)
    path.write_text("\n".join(lines) + "\n")


def _write_key(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(1024))


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _slurm_conf(cluster: Cluster) -> list[str]:
    return [
        *_who_and_where(cluster),
        *_nothing_of_the_system(),
        *_quick_decisions(cluster),
        *_preemption(cluster),
        *_accounting(cluster),
        *_nodes(cluster),
        *_partitions(cluster),
        *_sleeping_nodes(cluster),
    ]


def _who_and_where(cluster: Cluster) -> list[str]:
    state = cluster.state
    return [
        "ClusterName=local",
        f"SlurmctldHost={_host()}(127.0.0.1)",
        f"SlurmctldPort={cluster.controller_port}",
        f"SlurmUser={_user()}",
        f"SlurmdUser={_user()}",
        "AuthType=auth/munge",
        # A requeued job waits for a credential to expire: 121 s by default.
        f"AuthInfo=socket={cluster.munge_socket},cred_expire=5",
        f"StateSaveLocation={state}/control",
        f"SlurmdSpoolDir={state}/spool/%n",
        f"SlurmctldPidFile={state}/slurmctld.pid",
        f"SlurmdPidFile={state}/%n.pid",
        f"SlurmctldLogFile={cluster.log('slurmctld')}",
        f"SlurmdLogFile={cluster.log('%n')}",
        "MailProg=/bin/true",
    ]


def _nothing_of_the_system() -> list[str]:
    """Settings that need no root, cgroups or other file systems."""
    return [
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "MpiDefault=none",
        "SlurmdParameters=config_overrides",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
    ]


def _quick_decisions(cluster: Cluster) -> list[str]:
    """Seconds instead of the minutes of a large cluster, but long timeouts for a busy machine."""
    return [
        "SchedulerType=sched/backfill",
        "SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0",
        "KillWait=2",
        # Without accounting there is no record of a job after the controller purges it.
        f"MinJobAge={30 if cluster.settings.accounting else 86_400}",
        f"MaxArraySize={cluster.settings.max_array}",
        "InactiveLimit=0",
        "MessageTimeout=15",
        # Else a node whose processes take longer than a minute to die, as a busy machine's may, is
        # drained ("Kill task failed").
        "UnkillableStepTimeout=600",
        "ReturnToService=2",
        f"SlurmdTimeout={cluster.settings.dead_after}",
    ]


def _preemption(cluster: Cluster) -> list[str]:
    if not cluster.settings.preemption:
        return []
    return [
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "SlurmctldParameters=preempt_send_user_signal",
    ]


def _accounting(cluster: Cluster) -> list[str]:
    """Jobs are charged to the account root, and refused where they name another."""
    if not cluster.settings.accounting:
        return ["AccountingStorageType=accounting_storage/none"]
    return [
        "AccountingStorageType=accounting_storage/slurmdbd",
        "AccountingStorageHost=127.0.0.1",
        f"AccountingStoragePort={cluster.accounting_port}",
        f"AccountingStoragePass={cluster.munge_socket}",
        "AccountingStorageEnforce=associations",
    ]


def _nodes(cluster: Cluster) -> list[str]:
    settings = cluster.settings
    shape = (
        f"CPUs={settings.cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={settings.cpus} "
        f"ThreadsPerCore=1 RealMemory={settings.memory}"
    )
    gpus = f" Gres=gpu:{settings.gpus}" if settings.gpus else ""
    lines = [
        f"NodeName={node} NodeHostname={_host()} NodeAddr=127.0.0.1 "
        f"Port={cluster.node_port(node)} {shape}{gpus}"
        for node in settings.node_names
    ]
    return ["GresTypes=gpu", *lines] if settings.gpus else lines


def _partitions(cluster: Cluster) -> list[str]:
    common = f"Nodes={','.join(cluster.settings.node_names)} MaxTime=INFINITE State=UP"
    if not cluster.settings.preemption:
        return [f"PartitionName=main Default=YES {common}"]
    grace = cluster.settings.grace
    return [
        f"PartitionName=main Default=YES {common} PriorityTier=5 PreemptMode=OFF",
        f"PartitionName=low {common} PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}",
        f"PartitionName=scavenger {common} PriorityTier=1 PreemptMode=CANCEL GraceTime={grace}",
        f"PartitionName=high {common} PriorityTier=10 PreemptMode=OFF",
    ]


def _sleeping_nodes(cluster: Cluster) -> list[str]:
    """Nodes of a cloud. SLURM believes that it wakes those that a job gets, and waits for them."""
    settings = cluster.settings
    if not settings.sleeping:
        return []
    address = f"NodeAddr=127.0.0.1 Port={cluster.silent_port}"
    return [
        "SuspendProgram=/bin/true",
        "ResumeProgram=/bin/true",
        "SuspendTime=36000",
        "ResumeTimeout=36000",
        f"NodeName={settings.sleeping_names} State=CLOUD {address} RealMemory={settings.memory}",
        f"PartitionName=cloud Nodes={settings.sleeping_names} MaxTime=INFINITE State=UP",
    ]


def _gres_conf(cluster: Cluster) -> list[str]:
    """GPUs whose device files, which SLURM requires, are numbered links to /dev/null."""
    gpus = cluster.settings.gpus
    if not gpus:
        return []
    for index in range(gpus):
        device = cluster.state / "gpus" / f"gpu{index}"
        if not device.is_symlink():
            device.symlink_to("/dev/null")
    numbers = "0" if gpus == 1 else f"[0-{gpus - 1}]"
    return ["AutoDetect=off", f"Name=gpu File={cluster.state}/gpus/gpu{numbers}"]


def _cgroup_conf() -> list[str]:
    what = ("Cores", "Devices", "RAMSpace", "SwapSpace")
    lines = [f"Constrain{each}=no" for each in what]
    return [*lines, "CgroupPlugin=disabled"] if slurm_version() >= _CGROUPS_CAN_BE_OFF else lines


def _slurmdbd_conf(cluster: Cluster) -> list[str]:
    return [
        "DbdHost=localhost",
        "DbdAddr=127.0.0.1",
        f"DbdPort={cluster.accounting_port}",
        f"SlurmUser={_user()}",
        "AuthType=auth/munge",
        f"AuthInfo=socket={cluster.munge_socket}",
        "StorageType=accounting_storage/mysql",
        "StorageHost=localhost",
        f"StorageUser={_user()}",
        "StorageLoc=slurm_acct_db",
        f"PidFile={cluster.state}/slurmdbd.pid",
        f"LogFile={cluster.log('slurmdbd')}",
    ]
