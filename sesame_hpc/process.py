"""What every process of ours sets before it imports torch."""

import os

__all__ = ["set_process_defaults"]


def set_process_defaults() -> None:
    """Settings that the user may say otherwise.

    Threads that sleep at barriers instead of spinning: as fast on an idle machine, and several
    times faster where others want the same cores. And no warnings from torch's C++, whose stack
    traces bury the message that a missing rank is worth.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
