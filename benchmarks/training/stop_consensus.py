"""What it costs a step to ask all ranks whether one of them was signalled.

torchrun --nproc-per-node 2 benchmarks/training/stop_consensus.py --step 0.005
"""

import argparse
import statistics
import time
from collections.abc import Callable

from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.distributed.world import connect


def seconds(call: Callable[[], object], step: float, times: int) -> list[float]:
    """Of each call, after `step` seconds in which the rank does something else."""
    found = []
    for _ in range(times):
        time.sleep(step)
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=float, default=0.005, help="seconds of a training step")
    parser.add_argument("--times", type=int, default=400)
    arguments = parser.parse_args()
    world = connect(RuntimeConfig(device="cpu", threads=1))
    consensus = StopConsensus(world)
    for name, call in (("poll", consensus.poll), ("wait", consensus.wait)):
        found = seconds(call, arguments.step, arguments.times)
        if world.is_main:
            last = statistics.quantiles(found, n=10)[-1]
            print(
                f"{name:<5} {world.size} ranks: median {1e6 * statistics.median(found):.0f} us, "
                f"nine of ten below {1e6 * last:.0f} us"
            )


if __name__ == "__main__":
    main()
