"""Files of a shared folder, which a node may see as it was a minute ago."""

import os
import time
from contextlib import suppress
from pathlib import Path

from sesame_hpc.distributed.node_faults import this_node

__all__ = ["wait_until_seen"]

_SECONDS, _PAUSE = 120.0, 0.2


def wait_until_seen(path: Path, seconds: float = _SECONDS) -> None:
    """Wait until this node sees `path`, which another node has written.

    Raises FileNotFoundError where it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise FileNotFoundError(
                f"{path} is there on the node of rank 0, but not on node {this_node()}, after "
                f"{seconds:g} s: is it on a file system that all nodes share?"
            )
        for folder in (path.parent.parent, path.parent):
            with suppress(OSError):
                os.listdir(folder)  # NFS then asks its server again
        time.sleep(_PAUSE)
