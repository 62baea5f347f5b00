"""This process among the ranks: its process group, device, and collectives."""

import atexit
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.failure_detector import FailureDetector
from sesame_hpc.distributed.granted_gpus import granted_gpus
from sesame_hpc.distributed.interface import choose_gloo_interface
from sesame_hpc.distributed.node_faults import NodeFault, this_node
from sesame_hpc.distributed.rendezvous import rendezvous
from sesame_hpc.process import usable_cores

__all__ = ["World", "connect", "cpu_threads"]


@dataclass(frozen=True)
class World:
    """This process among `size` ranks, and its device.

    `control` is a gloo group for messages between the processes that do not involve the devices;
    `failure_detector` finds the rank that failed; `store` holds what a rank says to whichever rank
    asks. All are None with a single rank.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device
    control: dist.ProcessGroup | None = None
    failure_detector: FailureDetector | None = None
    store: dist.Store | None = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def detecting_failures(self) -> AbstractContextManager[None]:
        """Within it a communication error names the rank that is missing."""
        return self.failure_detector.running() if self.failure_detector else nullcontext()

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier(self.control)

    def gather(self, value: Any) -> list[Any]:
        """The picklable `value` of every rank, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def share(self, value: Any) -> Any:
        """Rank 0's picklable `value`, on every rank."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]

    def share_buffers(self, module: nn.Module) -> None:
        """Overwrite the module's buffers (batch-norm statistics) with rank 0's."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


def _device(wanted: str, local_rank: int) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ValueError("runtime.device is cuda, but no CUDA device is visible; use auto or cpu")
    if wanted == "cpu" or not available:
        if wanted == "auto":
            _check_no_gpu_was_granted(os.environ)
        return torch.device("cpu")
    index = _device_index(local_rank, torch.cuda.device_count())
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _check_no_gpu_was_granted(environ: Mapping[str, str]) -> None:
    """Raise ValueError if this SLURM task has GPUs, which torch then does not see.

    NodeFault unless this torch would see none on any node.
    """
    granted = granted_gpus(environ)
    if granted is None:
        return
    node = this_node()
    without_cuda = torch.version.cuda is None
    why = "is built without CUDA" if without_cuda else "finds no usable driver"
    text = (
        f"SLURM gave this job GPUs on node {node} ({granted}), but torch {torch.__version__} sees "
        f"none: it {why}. Run sesame doctor within a job; runtime.device=cpu trains on the CPU"
    )
    raise ValueError(text) if without_cuda else NodeFault(text, (node,))


def _device_index(local_rank: int, visible: int) -> int:
    """SLURM may expose all GPUs of a node to a task, or only its own; torchrun exposes all."""
    if "SLURM_STEP_ID" in os.environ:
        return local_rank % visible
    if local_rank >= visible:
        raise ValueError(
            f"local rank {local_rank} has no GPU: {visible} visible; start at most that many ranks "
            "per node"
        )
    return local_rank


def cpu_threads(environ: Mapping[str, str], usable: int) -> int:
    """Torch's threads for this rank, of `usable` cores: its SLURM CPUs, or its share of the node.

    SLURM may or may not bind a task to its own cores, so `usable` alone does not tell which.
    """
    own = environ.get("SESAME_CPUS")
    share = int(own) if own else usable // int(environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(usable, share))


def connect(runtime: RuntimeConfig) -> World:
    """Join the process group that torchrun or SLURM describes, or form one of a single rank.

    Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; gloo on the CPU, NCCL on CUDA.
    The group lives as long as the process, since DeepSpeed keeps it; later calls reuse it.

    Raises:
        TimeoutError: ranks did not arrive within `runtime.rendezvous_minutes`; names them.
        ValueError: the variables are incomplete, or there are not enough GPUs for the ranks.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = _device(runtime.device, local_rank)
    usable = usable_cores()
    torch.set_num_threads(runtime.threads or cpu_threads(os.environ, usable))
    backend = "nccl" if device.type == "cuda" else "gloo"
    if size == 1:
        if not dist.is_initialized():
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
            atexit.register(dist.destroy_process_group)
        return World(rank, size, local_rank, device)
    joined = _join(backend, rank, size, _device_name(device), runtime)
    return World(rank, size, local_rank, device, *joined)


def _device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return "cpu"
    return str(torch.cuda.get_device_properties(device).uuid)


_joined: list[tuple[dist.ProcessGroup, FailureDetector, dist.Store]] = []


def _join(
    backend: str, rank: int, size: int, device: str, runtime: RuntimeConfig
) -> tuple[dist.ProcessGroup, FailureDetector, dist.Store]:
    """Control group, failure detector and store of the process, made at the first call."""
    if not _joined:
        choose_gloo_interface()
        met = rendezvous(rank, size, device, runtime.rendezvous_minutes)
        timeout = timedelta(minutes=runtime.timeout_minutes)
        # NCCL ends the process at its timeout. The control group, which can name the missing rank,
        # must time out first.
        margin = timedelta(minutes=1) if backend == "nccl" else timedelta()
        dist.init_process_group(
            backend, store=met.store, rank=rank, world_size=size, timeout=timeout + margin
        )
        atexit.register(dist.destroy_process_group)
        control = dist.new_group(backend="gloo", timeout=timeout)
        store = dist.PrefixStore("ranks", met.store)
        _joined.append((control, FailureDetector(rank, met), store))
    return _joined[0]
