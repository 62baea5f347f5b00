"""Shared by the kernels on maps whose pixels are contiguous: a map as runs of pixels of one row.

A run is as many pixels as a thread loads at once. Within a run the column is a constant plus the
position in the run, and the row is constant, so that the sums of an element need no index
arithmetic: an element adds to its run, and a run adds to its map.
"""

import os

import triton
import triton.language as tl

__all__ = [
    "LOG2_E",
    "cells_of_runs",
    "entropy_of_sums",
    "entropy_slope",
    "exponentials",
    "exponents",
    "largest_probability",
    "load_runs",
    "map_address",
    "nonzero",
    "runs_of_tile",
    "safe_shift",
    "store_runs",
    "sum_triple",
]

LOG2_E = tl.constexpr(1.4426950408889634)
_INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def map_address(maps, index, num_maps, stride_b, stride_k):
    """Of the first element of a map of [B, K, P], by its index over B and K."""
    sample = (index // num_maps).to(tl.int64)
    return maps + sample * stride_b + (index % num_maps).to(tl.int64) * stride_k


@triton.jit
def runs_of_tile(start, RUNS: tl.constexpr, RUN: tl.constexpr):
    """(runs [RUNS] from `start` on, offsets of their pixels [RUNS, RUN])."""
    runs = start + tl.arange(0, RUNS)
    return runs, runs[:, None] * RUN + tl.arange(0, RUN)[None, :]


@triton.jit
def load_runs(addresses, runs, NUM_RUNS: tl.constexpr, RUNS: tl.constexpr, ACC: tl.constexpr):
    """Elements of runs as ACC, -inf outside of the map; no mask where all tiles are whole."""
    if NUM_RUNS % RUNS == 0:
        return tl.load(addresses).to(ACC)
    return tl.load(addresses, mask=(runs < NUM_RUNS)[:, None], other=float("-inf")).to(ACC)


@triton.jit
def store_runs(addresses, values, runs, NUM_RUNS: tl.constexpr, RUNS: tl.constexpr):
    if NUM_RUNS % RUNS == 0:
        tl.store(addresses, values)
    else:
        tl.store(addresses, values, mask=(runs < NUM_RUNS)[:, None])


@triton.jit
def cells_of_runs(runs, WIDTH: tl.constexpr, RUN: tl.constexpr, ACC: tl.constexpr):
    """(column of the first pixel, row) of the runs, as ACC."""
    return (runs % (WIDTH // RUN) * RUN).to(ACC), (runs // (WIDTH // RUN)).to(ACC)


@triton.jit
def safe_shift(peak):
    """What exponents subtract: 0 for -inf, since -inf - -inf is NaN."""
    return tl.where(peak == float("-inf"), 0.0, peak)


@triton.jit
def exponentials(z, shift, scale):
    """2^(scale (z - shift)): 1 at z = shift exactly, whatever the size of the logits."""
    return tl.exp2((z - shift) * scale)


@triton.jit
def exponents(z, shift, scale):
    """scale (z - shift), at least -2000: finite, where a power of it is 0 in any dtype."""
    return tl.maximum((z - shift) * scale, -2000.0)


@triton.jit
def entropy_of_sums(total, total_t):
    """The entropy in nats, from the sums of e = 2^t and of e t."""
    # A number and not LOG2_E: Triton's key of a kernel would depend on which one is compiled first,
    # where a function that several share uses a global.
    return (tl.log2(total) - total_t / total) * 0.6931471805599453


@triton.jit
def largest_probability(total):
    """1 / sum, the probability at t = 0; NaN where the sum is 0."""
    return total / total / total


@triton.jit
def entropy_slope(t, total, entropy):
    """-(ln p + entropy), the derivative of the entropy over p beta, at p = 2^t / sum."""
    return (tl.log2(total) - t) * 0.6931471805599453 - entropy


@triton.jit
def nonzero(total):
    """A divisor: 1 instead of the sum of a tile that adds nothing; NaN is kept."""
    return tl.where(total == 0.0, 1.0, total)


@triton.jit
def _add_triples(a0, a1, a2, b0, b1, b2):
    return a0 + b0, a1 + b1, a2 + b2


@triton.jit
def sum_triple(first, second, third):
    """The sums of three vectors; compiled, threads meet once for all three."""
    if _INTERPRETED:
        return tl.sum(first, axis=0), tl.sum(second, axis=0), tl.sum(third, axis=0)
    return tl.reduce((first, second, third), 0, _add_triples)
