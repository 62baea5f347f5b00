"""Where there is no CUDA device, Triton kernels run interpreted in this process.

Triton reads the variable when it is first imported, hence here, before any test module.
"""

import os
import signal
from collections.abc import Iterator

import pytest
import torch

pytest_plugins = ["run_fixtures"]

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True, scope="module")
def _threads_as_before() -> Iterator[None]:
    """Training in this process sets PyTorch's threads, which decide the last bits of its sums."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pytest_addoption(parser) -> None:
    group = parser.getgroup("crash")
    group.addoption("--crash-minutes", type=float, default=0.0, help="minutes of crash trials")
    group.addoption("--crash-seed", type=int, default=0, help="seed of the crash trials")
    group.addoption("--crash-trial", help="one crash trial alone, as kill:3")
    group.addoption("--crash-table", help="file for the figures of the crash trials")


# Tests' own processes inherit what is ignored here: a shell starts what it puts into the background
# without SIGINT, and nohup starts it without SIGHUP.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
