"""Synthetic faces with 98 exact landmarks, in the official WFLW layout; numpy and OpenCV only."""

from .write import synthesise

__all__ = ["synthesise"]
