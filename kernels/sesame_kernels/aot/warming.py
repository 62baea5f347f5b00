"""Filling Triton's cache ahead of a run, on a machine without a GPU.

What is compiled are the kernels of a training step at given sizes, through Triton's own launch
path, so that its keys are those of the run: the same versions of Triton, PyTorch and this package,
the same architecture, dtypes, layouts and sizes. The batch does not matter. Triton's cache keeps
absolute paths: the run has to find the folder where it was filled.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sesame_kernels.aot.launches import Inputs, compiled_launches

__all__ = ["cache_at", "warm_cache"]


def warm_cache(folder: Path, arch: str, inputs: Inputs, only: Sequence[str] | None = None) -> int:
    """Compile all ops, or only some, into a cache folder, which is made if missing.

    Returns the number of kernels. Several processes may fill one folder at once.
    """
    with cache_at(folder):
        launches = compiled_launches(arch, inputs, only)
    return len({launch.binary.metadata.hash for launch in launches})


@contextmanager
def cache_at(folder: Path) -> Iterator[None]:
    """Within, Triton's cache is in this folder."""
    before = os.environ.get("TRITON_CACHE_DIR")
    os.environ["TRITON_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRITON_CACHE_DIR"]
        else:
            os.environ["TRITON_CACHE_DIR"] = before
