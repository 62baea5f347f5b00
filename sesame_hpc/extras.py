"""Which extra of sesame-hpc installs a package that the core does without."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = [
    "PACKAGES",
    "MissingPackage",
    "has",
    "needed_for",
    "require",
    "require_module",
    "which_extra",
]

PACKAGES = {
    "torch": ("torch", "torch"),
    "safetensors": ("safetensors", "torch"),
    "sesame_kernels": ("sesame-kernels", "train"),
    "nvidia.dali": ("nvidia-dali", "train"),
    "deepspeed": ("deepspeed", "train"),
    "triton": ("triton", "train"),
    "submitit": ("submitit", "train"),
    "tensorboard": ("tensorboard", "train"),
    "timm": ("timm", "timm"),
    "onnx": ("onnx", "export"),
    "onnxscript": ("onnxscript", "export"),
    "mlflow": ("mlflow-skinny", "track"),
    "wandb": ("wandb", "track"),
    "huggingface_hub": ("huggingface_hub", "hub"),
}
"""By module: the package that holds it, and the extra of sesame-hpc that brings it."""

_WITH_TORCH = ("train", "export")


class MissingPackage(ImportError):
    """A package of an extra is not installed; the message says how to install it."""


def has(module: str) -> bool:
    """Whether a module of `PACKAGES` can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def require(extra: str, purpose: str) -> None:
    """Raise MissingPackage where a package of `extra` is not installed.

    `purpose` begins the message: "training", "export to ONNX".
    """
    for module, (package, of) in PACKAGES.items():
        if (of == extra or (extra in _WITH_TORCH and of == "torch")) and not has(module):
            raise MissingPackage(_text(purpose, package, extra), name=module)


def require_module(module: str, purpose: str) -> None:
    """`require` for one module of `PACKAGES`."""
    if not has(module):
        raise MissingPackage(_text(purpose, *PACKAGES[module]), name=module)


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Within it, an import that fails for a package of an extra raises MissingPackage."""
    try:
        yield
    except ModuleNotFoundError as error:
        text = which_extra(error, purpose)
        if text is None:
            raise
        raise MissingPackage(text, name=error.name) from None


def which_extra(error: ImportError, purpose: str) -> str | None:
    """What `needed_for` says of an import error; None where no extra has the package."""
    if isinstance(error, MissingPackage):
        return str(error)
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    for module, (package, extra) in PACKAGES.items():
        if f"{error.name}.".startswith(f"{module}.") or f"{module}.".startswith(f"{error.name}."):
            return _text(purpose, package, extra)
    return None


def _text(purpose: str, package: str, extra: str) -> str:
    return f"{purpose} needs {package}: pip install 'sesame-hpc[{extra}]'"
