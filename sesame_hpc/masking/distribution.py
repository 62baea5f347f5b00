"""From regional error to the probability that a region is masked (section III.B of the paper)."""

import math
from collections.abc import Mapping

from sesame_hpc.config import MaskingConfig

__all__ = ["masking_distribution"]


def masking_distribution(
    regional_nme: Mapping[str, float], masking: MaskingConfig
) -> dict[str, float]:
    """p(region) proportional to NME ** alpha, each at least `floor`; sums to 1.

    The paper normalises regional NME into probabilities (alpha = 1); alpha = 0 is the uniform
    control. Raises ValueError for an NME that is not a positive number, or a floor that is too
    large for the number of regions.
    """
    for region, nme in regional_nme.items():
        if not (math.isfinite(nme) and nme > 0):
            raise ValueError(f"NME of region {region!r} is {nme}; it must be a positive number")
    if masking.floor * len(regional_nme) > 1:
        raise ValueError(
            f"masking.floor {masking.floor} is too large for {len(regional_nme)} regions; "
            f"at most {1 / len(regional_nme):.4f}"
        )
    weights = {region: nme**masking.alpha for region, nme in regional_nme.items()}
    return _raise_to_floor(weights, masking.floor)


def _raise_to_floor(weights: dict[str, float], floor: float) -> dict[str, float]:
    """Normalise; regions below the floor get it, the others share the rest proportionally."""
    low: set[str] = set()
    while True:
        rest = 1.0 - floor * len(low)
        total = math.fsum(weight for region, weight in weights.items() if region not in low)
        shares = {
            region: floor if region in low else rest * weight / total
            for region, weight in weights.items()
        }
        under = {region for region, share in shares.items() if share < floor} - low
        if not under:
            return shares
        low |= under
