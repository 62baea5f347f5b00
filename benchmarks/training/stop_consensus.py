"""Time what a step spends on asking all ranks whether one of them was told to stop.

torchrun --nproc-per-node 2 -m benchmarks.training.stop_consensus --step 0.005
"""

import statistics
import time
from collections.abc import Callable, Sequence

from benchmarks.common.script import script_parser
from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.stop_consensus import StopConsensus
from sesame_hpc.distributed.world import connect

__all__ = ["main"]


def seconds(call: Callable[[], object], step: float, times: int) -> list[float]:
    """Seconds of each call, after `step` seconds in which the rank does something else."""
    found = []
    for _ in range(times):
        time.sleep(step)
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.stop_consensus", __doc__)
    parser.add_argument("--step", type=float, default=0.005, help="seconds per training step")
    parser.add_argument("--times", type=int, default=400, help="calls of each; default: 400")
    options = parser.parse_args(arguments)
    world = connect(RuntimeConfig(device="cpu", threads=1))
    consensus = StopConsensus(world)
    for name, call in (("poll", consensus.poll), ("wait", consensus.wait)):
        found = seconds(call, options.step, options.times)
        if world.is_main:
            last = statistics.quantiles(found, n=10)[-1]
            print(
                f"{name:<5} {world.size} ranks: median {1e6 * statistics.median(found):.0f} us, "
                f"nine out of ten below {1e6 * last:.0f} us"
            )


if __name__ == "__main__":
    main()
