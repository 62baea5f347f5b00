"""Philox4x32-10 in int64 tensors, number for number what Triton's `tl.philox` gives.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A 32-bit word lives in the
low half of an int64, so a product of two words is exact; what it leaves in the high half of the
odd words is masked off after the next exclusive or.
"""

import math

import torch
from torch import Tensor

__all__ = ["normals", "philox"]

_WORD = 0xFFFFFFFF
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_ROUNDS = 10


def _high_mixed(product: Tensor, word: Tensor, key: int) -> Tensor:
    return (product >> 32).bitwise_xor(word).bitwise_xor_(key).bitwise_and_(_WORD)


def philox(
    seed: int, c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four random words for each counter (c0, c1, c2, c3), words in the low halves of int64.

    The counters are int64 of [0, 2^32) and broadcast; the high halves of the result are arbitrary.
    """
    key0, key1 = seed & _WORD, seed >> 32 & _WORD
    for _ in range(_ROUNDS):
        even = c0 * _MULTIPLIERS[0]
        odd = c2 * _MULTIPLIERS[1]
        c0, c2 = _high_mixed(odd, c1, key0), _high_mixed(even, c3, key1)
        c1, c3 = odd, even
        key0, key1 = key0 + _KEY_STEPS[0] & _WORD, key1 + _KEY_STEPS[1] & _WORD
    return c0, c1, c2, c3


def _uniform(word: Tensor) -> Tensor:
    """float32 in [0, 1): the word as int32, folded at 0, as `tl.uint_to_uniform_float`."""
    signed = word.to(torch.int32)
    return (signed >> 31).bitwise_xor_(signed).to(torch.float32).mul_(4.6566127342e-10)


def normals(words: tuple[Tensor, Tensor, Tensor, Tensor], count: int) -> list[Tensor]:
    """The first `count` (1 to 4) of the standard normals that Box-Muller makes of four words."""
    result = []
    for first, second in (words[:2], words[2:])[: (count + 1) // 2]:
        radius = _uniform(first).clamp_(min=1e-7).log_().mul_(-2.0).sqrt_()
        angle = _uniform(second).mul_(2.0 * math.pi)
        result.append(angle.cos().mul_(radius))
        if len(result) < count:
            result.append(angle.sin_().mul_(radius))
    return result
