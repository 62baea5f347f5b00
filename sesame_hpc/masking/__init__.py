"""Adaptive masking: which regions are masked (distribution), and where in them (anchors)."""

from sesame_hpc.masking.anchors import AnchorPlan, draw_plan, place_anchors
from sesame_hpc.masking.distribution import masking_distribution

__all__ = ["AnchorPlan", "draw_plan", "masking_distribution", "place_anchors"]
