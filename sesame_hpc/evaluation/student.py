"""Quantiles of Student's t, which intervals of few faces or seeds need."""

import math

import numpy as np

__all__ = ["student_quantile"]

_STEPS = 20_000
_ALMOST_NORMAL = 10_000.0


def student_quantile(degrees: float, level: float = 0.95) -> float:
    """t such that Student's t with `degrees` (at least 1) of freedom is in [-t, t] by `level`.

    With t = sqrt(nu) tan(a) the density is in proportion to cos(a)^(nu - 1); it is integrated by
    the trapezoidal rule.
    """
    nu = min(max(degrees, 1.0), _ALMOST_NORMAL)
    # cos(a) ** (nu - 1) has vanished long before 12 of its widths.
    angles = np.linspace(0.0, min(math.pi / 2, 12.0 / math.sqrt(nu)), _STEPS + 1)
    density = np.cos(angles).clip(0.0) ** (nu - 1.0)
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = float(np.interp(level * mass[-1], mass, angles))
    return math.sqrt(nu) * math.tan(angle)
