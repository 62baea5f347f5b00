"""Random numbers keyed by their use, independent of the rank and the time at which they are drawn.

The key of a stream is (seed, stage, epoch, sample id, purpose). A hash of seed, stage and purpose
is the key of Philox, and (epoch, sample id) is the high half of its counter, so streams of one
Philox key cannot overlap.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["epoch_permutation", "keyed_generator"]

WHOLE_EPOCH = 0


@lru_cache(maxsize=256)
def _philox_key(seed: int, stage: str, purpose: str) -> NDArray[np.uint64]:
    name = f"{int(seed)}\0{stage}\0{purpose}".encode()
    return np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), dtype="<u8")


def keyed_generator(
    seed: int, stage: str, epoch: int, sample_id: int, purpose: str
) -> np.random.Generator:
    """The generator of one stream; about 6 us.

    Args:
        seed: the run's seed, any integer.
        stage: name of the training stage.
        epoch: at least 0.
        sample_id: at least 0.
        purpose: what the numbers are used for, such as "augment"; purposes are independent.
    """
    counter = np.array([0, 0, epoch, sample_id], dtype=np.uint64)
    return np.random.Generator(
        np.random.Philox(counter=counter, key=_philox_key(seed, stage, purpose))
    )


def epoch_permutation(
    seed: int, stage: str, epoch: int, count: int, purpose: str = "order"
) -> NDArray[np.int64]:
    """The order of `count` rows in an epoch; int64 [count]."""
    return keyed_generator(seed, stage, epoch, WHOLE_EPOCH, purpose).permutation(count)
