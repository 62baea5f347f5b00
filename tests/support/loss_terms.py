"""Terms of the losses, one point at a time."""

import math

__all__ = ["heatmap_term"]


def heatmap_term(marginal: list[float], label: float, sigma: float) -> float:
    """Cross-entropy of N cells against a Gaussian around `label`, in fractions of the crop."""
    count = len(marginal)
    centres = [(index + 0.5) / count for index in range(count)]
    weights = [math.exp(-((centre - label) ** 2) / (2 * sigma**2)) for centre in centres]
    total = max(sum(weights), 1e-6)
    return -sum(w / total * math.log(p + 1e-6) for w, p in zip(weights, marginal, strict=True))
