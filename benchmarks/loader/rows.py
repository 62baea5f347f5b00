"""What the table of the loaders holds."""

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """One provider's rate: the median, the lowest and the highest of several measurements.

    `cpu_ms` is processor time per image over all processes, which depends little on what else the
    machine does. `what` is train, eval, decode, operator, or step, whose provider is a preset.
    """

    what: str
    provider: str
    source: str
    size: int
    images_per_second: float
    lowest: float
    highest: float
    cpu_ms: float
    workers: int
    batch: int
    device: str
    cpu: str
    cores: int
    dali: str
    opencv: str
    torch: str
    albumentations: str
    python: str
