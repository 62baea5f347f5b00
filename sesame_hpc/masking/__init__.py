"""Adaptive masking: the distribution over regions, and the anchors within them."""

from sesame_hpc.masking.anchors import AnchorPlan, draw_plan, place_anchors
from sesame_hpc.masking.distribution import masking_distribution

__all__ = ["AnchorPlan", "draw_plan", "masking_distribution", "place_anchors"]
