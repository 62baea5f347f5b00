"""Time `Landmarker`: the latency of one face and the throughput of many.

From images in memory to landmarks in pixels. MODEL is whatever `Landmarker.load` takes. The images
are noise of 600 x 600 pixels, each with one square face box of `--side` pixels. Times are medians
of all repetitions.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.common.script import script_parser
from sesame_hpc import Landmarker

__all__ = ["main"]

IMAGE = 600


def median_seconds(call: Callable[[], object], repetitions: int) -> float:
    """Of a call, after one that is not timed."""
    call()
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.inference.landmarker", __doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--faces", type=int, default=256, help="for throughput; default: 256")
    parser.add_argument("--side", type=int, default=400, help="pixels of a box; default: 400")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (IMAGE, IMAGE, 3), dtype=np.uint8)
    low = (IMAGE - options.side) / 2
    box = np.array([[low, low, IMAGE - low, IMAGE - low]])
    for path in options.models:
        model = Landmarker.load(path, options.device, batch_size=options.batch_size)
        images, boxes = [image] * options.faces, [box] * options.faces
        one = median_seconds(partial(model, image, box), 50)
        many = median_seconds(partial(model, images, boxes), 3)
        print(f"{path}: {1000 * one:.1f} ms for one face; {options.faces / many:.0f} faces/s")


if __name__ == "__main__":
    main()
