"""Before training: a copy of the pack on each node's own disk, where the profile asks for it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from sesame_hpc.config import Config
from sesame_hpc.data.pack.staging import stage_pack, use_staged
from sesame_hpc.distributed.node_faults import this_node
from sesame_hpc.distributed.world import World
from sesame_hpc.printable import say

__all__ = ["STAGE_DATA", "stage_data"]

STAGE_DATA = "SESAME_STAGE_DATA"
"""Environment variable: the folder on each node, such as $TMPDIR, whose variables are those of the
node; set from `stage_data` of the profile."""

_SECONDS_BETWEEN_LOOKS = 5.0


def stage_data(config: Config, world: World) -> None:
    """Copy the pack that `config` trains on to each node, once per node, and read the copy.

    Where it cannot be copied, that node reads the shared pack, and the log says why. The run names
    the shared pack in any case. Does nothing for other formats and without `STAGE_DATA`.
    Collective; while nodes copy, all ranks exchange messages, so that no communication times out.
    """
    folder, root = os.environ.get(STAGE_DATA), config.data.root
    if not folder or config.data.format != "pack":
        return
    node = this_node()

    def tell(text: str) -> None:
        say(f"sesame: node {node}: {text}", err=True)

    leads = world.local_rank == 0
    with ThreadPoolExecutor(1, "sesame-stage") as pool:
        copying = pool.submit(_copied, root, folder, tell) if leads else None
        while True:
            done = copying is None or copying.done()
            if all(world.gather(done)):
                break
            if copying is not None:
                wait([copying], _SECONDS_BETWEEN_LOOKS)
    own = copying.result() if copying is not None else None
    found = dict(each for each in world.gather((node, own) if leads else None) if each is not None)
    use_staged(root, found[node])


def _copied(root: Path, folder: str, tell: Callable[[str], None]) -> Path | None:
    place = os.path.expanduser(os.path.expandvars(folder))
    if not os.path.isabs(place):
        tell(f"stage_data: {folder} is not a folder on this node; the shared pack is read")
        return None
    try:
        return stage_pack(root, Path(place), tell)
    except (OSError, ValueError) as error:
        tell(f"{error}; the shared pack is read")
        return None
