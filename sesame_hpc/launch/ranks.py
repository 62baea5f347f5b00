"""A SLURM task's rank, in the environment variables that torch reads.

`srun sesame train CONFIG` needs nothing else: one task is one rank. Imports no torch.
"""

import os
from collections.abc import Mapping, MutableMapping

from sesame_hpc.launch.nodes import expand_nodes, expand_task_counts, reachable_address
from sesame_hpc.plural import counted
from sesame_hpc.printable import say

__all__ = ["join_slurm_step", "local_rank_environment", "slurm_rank_environment", "unused_tasks"]

# Below the ephemeral ports of Linux (from 32768), above those of SLURM and most services. Every
# node computes the same port, so it cannot depend on a node's own settings.
_FIRST_PORT, _PORTS = 20000, 9973
_FIRST_LOCAL_PORT, _LOCAL_PORTS = 30_000, 2_000
_CPUS = "SLURM_CPUS_PER_TASK"


def join_slurm_step(environ: MutableMapping[str, str] = os.environ) -> None:
    """Add `slurm_rank_environment` to `environ`; warn if tasks of the job are unused."""
    environ.update(slurm_rank_environment(environ))
    warning = unused_tasks(environ)
    if warning:
        say(f"sesame: {warning}", err=True)


def slurm_rank_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT of this task.

    Also SESAME_NODES, the nodes of the ranks ("n0*2,n1*2"), and SESAME_NODE, this one, for messages
    about missing ranks; SESAME_RENDEZVOUS, unique to this step; and SESAME_CPUS, the CPUs of this
    task, if --cpus-per-task was given.

    Empty if srun did not start the process as a task: outside SLURM, in a batch script itself, in
    the shell of `salloc`; and if RANK is set, as by torchrun. MASTER_ADDR and MASTER_PORT are kept
    if set.

    The master is the first node of the step, by its name if that resolves, else by its NodeAddr.
    The port is one of 20000-29981, computed from job, step and restart, so that neither two jobs on
    a node nor a restarted one share it. If another program uses it, rank 0 takes one of the next
    nine, and the others find it by SESAME_RENDEZVOUS (distributed/stores.py).

    Raises:
        ValueError: a variable is missing, is not a number, or contradicts another; or the first
            node has no address that resolves.
    """
    if "RANK" in environ or not _is_task_of_a_step(environ):
        return {}
    size = _number(environ, "SLURM_STEP_NUM_TASKS")
    rank, local_rank = _number(environ, "SLURM_PROCID"), _number(environ, "SLURM_LOCALID")
    nodes = expand_nodes(_text(environ, "SLURM_STEP_NODELIST"))
    counts = expand_task_counts(_text(environ, "SLURM_STEP_TASKS_PER_NODE"))
    node = _number(environ, "SLURM_NODEID")
    _check(rank, size, local_rank, nodes, counts, node)
    others = nodes[1:]
    master = environ.get("MASTER_ADDR") or (
        reachable_address(nodes[0], others) if size > 1 else "127.0.0.1"
    )
    own = {"SESAME_CPUS": str(_number(environ, _CPUS))} if _CPUS in environ else {}
    return own | {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(counts[node]),
        "MASTER_ADDR": master,
        "MASTER_PORT": environ.get("MASTER_PORT") or str(_port(environ)),
        "SESAME_NODES": ",".join(
            f"{name}*{count}" for name, count in zip(nodes, counts, strict=True)
        ),
        "SESAME_NODE": nodes[node],
        "SESAME_RENDEZVOUS": _rendezvous_name(environ),
    }


def local_rank_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of torch.distributed in a process of `run_here`; {} in any other."""
    if environ.get("SUBMITIT_EXECUTOR") != "local":
        return {}
    port = _FIRST_LOCAL_PORT + int(environ["SUBMITIT_LOCAL_JOB_ID"]) % _LOCAL_PORTS
    return {
        "RANK": environ["SUBMITIT_LOCAL_GLOBALID"],
        "WORLD_SIZE": environ["SUBMITIT_LOCAL_NTASKS"],
        "LOCAL_RANK": environ["SUBMITIT_LOCAL_LOCALID"],
        "LOCAL_WORLD_SIZE": environ["SUBMITIT_LOCAL_NTASKS"],
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def unused_tasks(environ: Mapping[str, str]) -> str | None:
    """A warning if this job has several tasks and the process was started without srun."""
    if "SLURM_JOB_ID" not in environ or "RANK" in environ or _is_task_of_a_step(environ):
        return None
    tasks = environ.get("SLURM_NTASKS", "1")
    if tasks == "1":
        return None
    return (
        f"job {environ['SLURM_JOB_ID']} has {tasks} tasks, but this process was started without "
        "srun and trains alone; srun sesame train ... starts one rank per task"
    )


def _is_task_of_a_step(environ: Mapping[str, str]) -> bool:
    """A batch script has SLURM_PROCID too, but no step; a shell of salloc has neither."""
    return "SLURM_JOB_ID" in environ and "SLURM_STEP_NUM_TASKS" in environ


def _text(environ: Mapping[str, str], name: str) -> str:
    try:
        return environ[name]
    except KeyError:
        raise ValueError(
            f"{name} is not set in this task of SLURM job {environ['SLURM_JOB_ID']}; "
            "srun sets it, so start the command with srun or unset SLURM_STEP_NUM_TASKS"
        ) from None


def _number(environ: Mapping[str, str], name: str) -> int:
    text = _text(environ, name)
    if not text.isdecimal():
        raise ValueError(f"{name} is {text!r}; a whole number is expected")
    return int(text)


def _check(
    rank: int, size: int, local_rank: int, nodes: list[str], counts: list[int], node: int
) -> None:
    problems = []
    if rank >= size:
        problems.append(f"SLURM_PROCID is {rank} of SLURM_STEP_NUM_TASKS={size}")
    if len(nodes) != len(counts):
        listed = counted(len(nodes), "node")
        problems.append(f"SLURM_STEP_NODELIST has {listed}, but tasks are for {len(counts)}")
    if sum(counts) != size:
        problems.append(f"SLURM_STEP_TASKS_PER_NODE sums to {sum(counts)} of {size} tasks")
    if node >= len(counts):
        problems.append(f"SLURM_NODEID is {node} of {len(counts)} nodes")
    elif local_rank >= counts[node]:
        problems.append(f"SLURM_LOCALID is {local_rank} of {counts[node]} tasks on {nodes[node]}")
    if problems:
        raise ValueError(
            f"SLURM's variables contradict each other: {'; '.join(problems)}. Variables of another "
            "job or step may have been inherited: unset SLURM_* before sbatch or srun"
        )


def _rendezvous_name(environ: Mapping[str, str]) -> str:
    """Contains srun's address: jobs of two clusters with the same id may share a machine."""
    job, step = environ["SLURM_JOB_ID"], environ.get("SLURM_STEP_ID", "0")
    names = ("SLURM_CLUSTER_NAME", "SLURM_SRUN_COMM_HOST", "SLURM_SRUN_COMM_PORT")
    return " ".join([f"{job}.{step}", *(environ.get(name, "") for name in names)])


def _port(environ: Mapping[str, str]) -> int:
    """_PORTS is prime: jobs whose ids differ by less than that get different ports."""
    job, step = _number(environ, "SLURM_JOB_ID"), _number(environ, "SLURM_STEP_ID")
    restart = int(environ.get("SLURM_RESTART_COUNT", "0"))
    return _FIRST_PORT + (37 * job + 7 * step + restart) % _PORTS
