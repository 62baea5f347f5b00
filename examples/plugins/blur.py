"""An augmentation: blurred crops, as of a camera out of focus.

data:
  augment:
    extra: blur:Blur
    extra_settings: {probability: 0.3, sigma: 2.0}
"""

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sesame_hpc.config import Strict


class Blur:
    """Blurs a share of the crops by a Gaussian."""

    class Settings(Strict):
        """Of the augmentation."""

        probability: Annotated[float, Field(ge=0, le=1)] = 0.3
        """The share of crops that are blurred."""
        sigma: Annotated[float, Field(gt=0)] = 2.0
        """The largest standard deviation, in pixels."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, crop: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
        if random.random() >= self.settings.probability:
            return crop
        sigma = random.uniform(0.3, self.settings.sigma) if self.settings.sigma > 0.3 else 0.3
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8)
