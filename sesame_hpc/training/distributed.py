"""Who am I among the ranks: the process group, the device, the collectives of training."""

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from sesame_hpc.config import RuntimeConfig

__all__ = ["World", "connect"]


@dataclass(frozen=True)
class World:
    """This process among `size` ranks, and its device.

    `control` is a gloo group for messages between the processes, which leave the devices alone;
    None for one rank.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device
    control: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

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
        return torch.device("cpu")
    index = _device_index(local_rank, torch.cuda.device_count())
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _device_index(local_rank: int, visible: int) -> int:
    """SLURM may show a task all GPUs of its node, or its own alone; torchrun shows all of them."""
    if "SLURM_STEP_ID" in os.environ:
        return local_rank % visible
    if local_rank >= visible:
        raise ValueError(
            f"local rank {local_rank} has no GPU: {visible} visible; start at most that many a node"
        )
    return local_rank


def _set_cpu_threads(threads: int | None) -> None:
    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(threads or max(1, len(os.sched_getaffinity(0)) // local_ranks))


def connect(runtime: RuntimeConfig) -> World:
    """Join the process group that torchrun or SLURM describes, or form one alone.

    Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; gloo on the CPU, NCCL on CUDA.
    The group lives as long as the process, since DeepSpeed holds on to it; a second call joins it.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = _device(runtime.device, local_rank)
    _set_cpu_threads(runtime.threads)
    if not dist.is_initialized():
        options: dict[str, Any] = {"timeout": timedelta(minutes=runtime.timeout_minutes)}
        if size == 1:
            options |= {"store": dist.HashStore(), "rank": 0, "world_size": 1}
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", **options)
        atexit.register(dist.destroy_process_group)
    return World(rank, size, local_rank, device, _control_group(size, runtime.timeout_minutes))


@cache
def _control_group(size: int, timeout_minutes: float) -> dist.ProcessGroup | None:
    if size == 1:
        return None
    return dist.new_group(backend="gloo", timeout=timedelta(minutes=timeout_minutes))
