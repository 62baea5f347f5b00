"""How fast training is, and of what the machine could do: images/s, waiting, MFU, memory."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Throughput", "matmul_rate", "peak_memory", "reset_peak_memory", "training_flops"]

_SIDES = {"cpu": 1024, "cuda": 8192}
_REPEATS = 5


@dataclass(frozen=True)
class Throughput:
    """What was measured since the last record.

    `images_per_second` over all ranks; `data_wait`, the share of the time in which the device
    waited for data, mean of the ranks; `mfu`, the FLOPs that the network needs over those that the
    devices' matrix product does in the same time and precision; `peak_memory_gib` of the rank that
    used most since the stage began (on the CPU: of the process's life).
    """

    images_per_second: float
    data_wait: float
    mfu: float
    peak_memory_gib: float


def training_flops(network: nn.Module, image_size: int) -> float:
    """Floating-point operations of forward and backward for one image [3, S, S].

    Counted where convolutions and matrix products happen, without computing anything: a head that
    runs in a kernel of our own is left out. Two operations a multiply-add.
    """
    was_training = network.training
    network.eval()  # where nothing is compiled or made a second time
    real = [*network.named_parameters(), *network.named_buffers()]
    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
        state = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype, requires_grad=tensor.requires_grad)
            for name, tensor in real
        }
        images = torch.empty(1, 3, image_size, image_size)
        _total(functional_call(network, state, (images,))).backward()
    network.train(was_training)
    return float(counter.get_total_flops())


def _total(outputs: Tensor | list[Tensor]) -> Tensor:
    return torch.stack([each.sum() for each in outputs]).sum()


@lru_cache
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best of a few large matrix products; measured once a process.

    In float32 on CUDA it is TF32's rate where convolutions may use that, as they do by default.
    """
    side = _SIDES[device.type]
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        seconds = min(_seconds(lambda: left @ right, device) for _ in range(_REPEATS))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    return 2.0 * side**3 / seconds


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float:
    """GiB: of tensors on CUDA, of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
