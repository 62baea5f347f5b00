"""One suite for the reference and for Triton: interpreted, compiled and emulated, on a GPU."""

import os
from collections.abc import Iterator

import pytest
import torch
from ptx.launching import emulated  # type: ignore[import-not-found]  # beside this file
from sesame_kernels.dispatch import triton_on_cpu


@pytest.fixture(
    params=[
        "reference",
        pytest.param("interp", marks=pytest.mark.interp),
        pytest.param("ptx", marks=pytest.mark.ptx),
        pytest.param("cuda", marks=pytest.mark.gpu),
    ]
)
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A device on whose tensors the public ops run one of the implementations."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        yield torch.device("cuda")
    elif request.param == "interp":
        if os.environ.get("TRITON_INTERPRET") != "1":
            pytest.skip("TRITON_INTERPRET is not 1: Triton compiles in this process")
        with triton_on_cpu():
            yield torch.device("cpu")
    elif request.param == "ptx":
        if os.environ.get("TRITON_INTERPRET") == "1":
            pytest.skip("TRITON_INTERPRET is 1: make test-ptx")
        with emulated():
            yield torch.device("cpu")
    else:
        yield torch.device("cpu")


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Uninitialised memory holds NaN: an element that no kernel writes shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)
