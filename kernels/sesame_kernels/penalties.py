"""What a coordinate's error costs: L1, smooth L1 or the wing loss."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sesame_kernels.checks import require_number
from sesame_kernels.reference.penalties import penalty_values

__all__ = ["PENALTIES", "Penalty", "PenaltyName", "require_penalty"]

PenaltyName = Literal["l1", "smooth_l1", "wing"]
PENALTIES: tuple[PenaltyName, ...] = ("l1", "smooth_l1", "wing")


@dataclass(frozen=True)
class Penalty:
    """A function phi of the error e of one coordinate, in units of the coordinates.

    l1: |e|.
    smooth_l1: e^2 / (2 width) for |e| < width, |e| - width / 2 beyond, as
        `torch.nn.functional.smooth_l1_loss` with beta = width.
    wing: width ln(1 + |e| / curvature) for |e| < width, |e| - C beyond, where C makes it
        continuous (Feng et al., "Wing Loss for Robust Facial Landmark Localisation with
        Convolutional Neural Networks", CVPR 2018, Eq. 5).

    Attributes:
        name: one of `PENALTIES`.
        width: above 0; not used by l1.
        curvature: above 0; used by wing alone.
    """

    name: PenaltyName = "l1"
    width: float = 0.05
    curvature: float = 0.01

    def __post_init__(self) -> None:
        if self.name not in PENALTIES:
            raise ValueError(f"penalty must be one of {', '.join(PENALTIES)}, got {self.name!r}")
        for name in ("width", "curvature"):
            require_number(name, getattr(self, name))

    def __call__(self, errors: Tensor) -> Tensor:
        """phi of each error, of any shape and floating dtype, by PyTorch's own operations."""
        return penalty_values(errors, self.name, self.width, self.curvature)


def require_penalty(value: object) -> None:
    if not isinstance(value, Penalty):
        raise ValueError(f"penalty must be a Penalty, such as Penalty('wing'), got {value!r}")
