"""Philox4x32-10 in int64 tensors, with exactly the numbers of Triton's `tl.philox`.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A 32-bit word is in the low
half of an int64, so a product of two words is exact; its remainder in the high half of the odd
words is masked after the next exclusive or.
"""

import math

import torch
from torch import Tensor

__all__ = ["normals", "philox"]

_WORD = 0xFFFFFFFF
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_ROUNDS = 10


def philox(
    seed: int, c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four random words for each counter (c0, c1, c2, c3), words in the low halves of int64.

    The counters are int64 of [0, 2^32) and broadcast; the high halves of the result are arbitrary.
    """
    high = c0.new_empty(torch.broadcast_shapes(c0.shape, c1.shape, c2.shape, c3.shape))
    for turn in range(_ROUNDS):
        # After the first round no word is the caller's or broadcasts.
        in_place = turn > 0 and all(word.shape == high.shape for word in (c0, c1, c2, c3))
        keys = [
            key + turn * step & _WORD
            for key, step in zip((seed, seed >> 32), _KEY_STEPS, strict=True)
        ]
        even = c0.mul_(_MULTIPLIERS[0]) if in_place else c0 * _MULTIPLIERS[0]
        odd = c2.mul_(_MULTIPLIERS[1]) if in_place else c2 * _MULTIPLIERS[1]
        if in_place:
            c1.bitwise_xor_(torch.bitwise_right_shift(odd, 32, out=high))
            c3.bitwise_xor_(torch.bitwise_right_shift(even, 32, out=high))
        else:
            c1, c3 = c1 ^ odd >> 32, c3 ^ even >> 32
        c0, c2 = (
            word.bitwise_xor_(key).bitwise_and_(_WORD)
            for word, key in zip((c1, c3), keys, strict=True)
        )
        c1, c3 = odd, even
    return c0, c1, c2, c3


def _uniform_(uniform: Tensor, word: Tensor, signed: Tensor, sign: Tensor) -> Tensor:
    """float32 in [0, 1): the word as int32, folded at 0, as `tl.uint_to_uniform_float`.

    `signed` and `sign` are int32 to work in.
    """
    torch.bitwise_right_shift(signed.copy_(word), 31, out=sign)
    return uniform.copy_(signed.bitwise_xor_(sign)).mul_(4.6566127342e-10)


def normals(words: tuple[Tensor, Tensor, Tensor, Tensor], count: int) -> list[Tensor]:
    """The first `count` (1 to 4) of the standard normals that Box-Muller makes from four words."""
    size = words[0].shape
    signed, sign = words[0].new_empty((2, *size), dtype=torch.int32)
    radius, *result = words[0].new_empty((5, *size), dtype=torch.float32)
    for cosine in range(0, count, 2):
        _uniform_(radius, words[cosine], signed, sign)
        radius.clamp_(min=1e-7).log_().mul_(-2.0).sqrt_()
        angle = _uniform_(result[cosine + 1], words[cosine + 1], signed, sign).mul_(2.0 * math.pi)
        torch.cos(angle, out=result[cosine]).mul_(radius)
        if cosine + 1 < count:
            angle.sin_().mul_(radius)
    return result[:count]
