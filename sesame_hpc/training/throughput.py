"""Training throughput: images per second, data wait, MFU and peak memory."""

import resource
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

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

    `images_per_second` over all ranks; `data_wait`, the fraction of the time in which the device
    waited for data, averaged over ranks; `mfu`, the FLOPs of the network over those of a matrix
    product on the same devices, in the same time and precision; `peak_memory_gib` of the rank that
    used most, since the stage began (on the CPU: since the process began).

    Of several ranks, `rank_seconds` are those from asking for a batch to the end of its forward
    pass, by rank: what each takes before it waits for the others; and `slowest_rank`, on
    `slowest_node`, is the one that takes most.
    """

    images_per_second: float
    data_wait: float
    mfu: float
    peak_memory_gib: float
    rank_seconds: list[float] | None = None
    slowest_rank: int | None = None
    slowest_node: str | None = None

    def to_record(self) -> dict[str, Any]:
        """What applies, for metrics.jsonl."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def training_flops(network: nn.Module, image_size: int) -> float:
    """Floating-point operations of forward and backward for one image [3, S, S].

    Counts convolutions and matrix products; a head that runs in a kernel of sesame_kernels is left
    out, on a CPU in part. A multiply-add is two operations. On a CPU the passes are computed, which
    for a small network takes a quarter of the time of counting without computing, as for other
    devices.
    """
    was_training = network.training
    network.eval()  # neither compiled nor recomputed in this mode
    real = [*network.named_parameters(), *network.named_buffers()]
    computed = all(tensor.device.type == "cpu" for _, tensor in real)
    with nullcontext() if computed else FakeTensorMode(), FlopCounterMode(display=False) as counter:
        state = {
            name: (tensor.detach() if computed else torch.empty(tensor.shape, dtype=tensor.dtype))
            for name, tensor in real
        }
        for name, tensor in real:
            state[name].requires_grad_(tensor.requires_grad)
        images = torch.zeros(1, 3, image_size, image_size)
        _total(functional_call(network, state, (images,))).backward()
    network.train(was_training)
    return float(counter.get_total_flops())


def _total(outputs: Tensor | Sequence[Any]) -> Tensor:
    """The sum of everything in `outputs`, however nested."""
    if isinstance(outputs, Tensor):
        return outputs.sum()
    return torch.stack([_total(each) for each in outputs]).sum()


@lru_cache
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, the fastest of a few; measured only once.

    In float32 on CUDA it is the rate of TF32 if convolutions may use it, as they may by default.
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
    """In GiB: of tensors on CUDA, of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
