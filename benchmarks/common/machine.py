"""What a row was measured on: the processor, and the versions of what ran."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

__all__ = ["Machine", "dali_version", "device_name", "machine", "package_version"]


@dataclass(frozen=True)
class Machine:
    """`device` equals `cpu` where nothing else was used; a package that is absent is ""."""

    device: str
    cpu: str
    threads: int
    torch: str
    triton: str
    deepspeed: str
    dali: str
    python: str


def machine(device: torch.device) -> Machine:
    return Machine(
        device=device_name(device),
        cpu=device_name(torch.device("cpu")),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        triton=package_version("triton"),
        deepspeed=package_version("deepspeed"),
        dali=dali_version(),
        python=platform.python_version(),
    )


def device_name(device: torch.device) -> str:
    """The model of a GPU, or of this machine's processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as file:
            models = [line for line in file if line.startswith("model name")]
        return models[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def dali_version() -> str:
    return package_version("nvidia-dali-cuda130") or package_version("nvidia-dali-cuda120")


def package_version(package: str) -> str:
    """The installed version, or "" where the package is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
