"""Masking: the distribution over regions, the anchors within them, and random patches."""

from sesame_hpc.masking.anchors import AnchorPlan, draw_plan, place_anchors
from sesame_hpc.masking.distribution import masking_distribution
from sesame_hpc.masking.patches import draw_patches

__all__ = ["AnchorPlan", "draw_patches", "draw_plan", "masking_distribution", "place_anchors"]
