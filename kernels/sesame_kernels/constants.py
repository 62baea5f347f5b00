"""Numbers that kernels and references share."""

import math

__all__ = ["CUTOFF"]

CUTOFF = 25 * math.log(2)
"""Where r^2 / (2 sigma^2) exceeds this, lambda < 2^-25 is 0: 1 - lambda rounds to 1 in float32."""
