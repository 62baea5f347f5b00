"""Latency of one face and throughput of many, images in memory to landmarks in pixels.

    python -m benchmarks.inference.landmarker MODEL [MODEL ...] [--device cpu] [--faces 256]
                                              [--side 400]

MODEL is whatever `Landmarker.load` takes. The images are noise of 600 x 600 pixels with one face
box each of `side` pixels. Prints the median of all repetitions.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from sesame_hpc import Landmarker

IMAGE = 600


def median_seconds(call: Callable[[], object], repetitions: int) -> float:
    call()
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--faces", type=int, default=256)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=32)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (IMAGE, IMAGE, 3), dtype=np.uint8)
    low = (IMAGE - given.side) / 2
    box = np.array([[low, low, IMAGE - low, IMAGE - low]])
    for path in given.models:
        model = Landmarker.load(path, given.device, batch_size=given.batch_size)
        one = median_seconds(partial(model, image, box), 50)
        many = median_seconds(partial(model, [image] * given.faces, [box] * given.faces), 3)
        print(f"{path}: one face {1000 * one:.1f} ms; {given.faces / many:.0f} faces/s")


if __name__ == "__main__":
    main()
