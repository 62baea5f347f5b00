"""Whether an error means that the machine ran out of memory or threads.

PyTorch, DALI and Python's threads all raise RuntimeError for that, each in its own words.
"""

__all__ = ["shortage"]

_SIGNS = {
    "can't allocate memory": "not enough memory",
    "cannot allocate memory": "not enough memory",
    "bad_alloc": "not enough memory",
    "out of memory": "not enough memory",
    "can't start new thread": "no more threads can be started (ulimit -u, ulimit -v)",
    "resource temporarily unavailable": "no more threads can be started (ulimit -u, ulimit -v)",
}


def shortage(error: BaseException) -> str | None:
    """What is lacking, and the line of the error that says so; None for any other error."""
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    for line in str(error).splitlines():
        for sign, what in _SIGNS.items():
            if sign in line.lower():
                return f"{what}: {line.strip()}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return None
