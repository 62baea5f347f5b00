"""The precision of a run, where the config leaves the choice to the machine."""

import torch

from sesame_hpc.config import Config, RuntimeConfig

__all__ = ["autocast_dtype", "resolve_precision"]


def autocast_dtype(runtime: RuntimeConfig, device: torch.device) -> torch.dtype:
    """The dtype of convolutions and matrix products: float32 or bfloat16.

    `auto` is bfloat16 where the device multiplies it in hardware: NVIDIA GPUs since Ampere, and
    CPUs with AVX512-BF16 or AMX.
    """
    wanted = runtime.precision
    if wanted == "bf16" or (wanted == "auto" and _multiplies_bf16(device)):
        return torch.bfloat16
    return torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        able = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # an older torch, or a processor it cannot query
        return False
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def resolve_precision(config: Config, earlier: Config | None, device: torch.device) -> Config:
    """`config` with `auto` replaced, so that a run keeps its precision wherever it resumes.

    A resumed run keeps the precision of `earlier`, the config in its run folder.
    """
    if config.runtime.precision != "auto":
        return config
    if earlier is not None and earlier.runtime.precision != "auto":
        precision = earlier.runtime.precision
    else:
        is_bf16 = autocast_dtype(config.runtime, device) == torch.bfloat16
        precision = "bf16" if is_bf16 else "fp32"
    runtime = config.runtime.model_copy(update={"precision": precision})
    return config.model_copy(update={"runtime": runtime})
