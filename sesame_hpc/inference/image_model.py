"""The network with all that a `Landmarker` does around it: images and boxes in, pixels out.

For software without Python: geometry, crops and calibration are in the graph. The crops are those
of `cropping.crop_image`, as products with two matrices per axis: averages over blocks of pixels,
rounded as 8-bit images are, and bilinear weights.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sesame_hpc.data.geometry import LARGEST_BILINEAR_SHRINK
from sesame_hpc.inference.calibration import FARTHEST, Calibration
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.models.prediction import PredictionNet

__all__ = ["CalibrationNet", "ImageNet"]

_HALVINGS = 14
_SPARE_CELLS = 20
"""Block cells beside those under the crop: the margins of `geometry.decode_window`, rounded up."""


class ImageNet(nn.Module):
    """images uint8 [N, H, W, 3] RGB, boxes float32 [N, F, 4] -> what `Landmarks` has, float32.

    That is points [N, F, K, 2] in pixels of the images, whose corner is (0, 0), spread [N, F, K] in
    fractions of the crop side, and with a calibration confidence [N, F, K] in [0, 1] and
    expected_error [N, F, K] in percent of the normaliser. Boxes are x_min, y_min, x_max, y_max in
    pixels and must not be empty; every image has F of them. One pass.
    """

    def __init__(self, network: PredictionNet, manifest: Manifest) -> None:
        super().__init__()
        self.network = network
        self.size = manifest.model.image_size
        # The exporter rounds Python's floats to fp32, and divides by way of reciprocals.
        for name, value in (("_side", self.size), ("_scale", manifest.box.scale), ("_one", 1.0)):
            number = torch.tensor(value, dtype=torch.float64)
            self.register_buffer(name, number, persistent=False)
        self.is_letterbox = manifest.box.protocol == "letterbox"
        calibration = manifest.calibration
        self.calibration = None if calibration is None else CalibrationNet(calibration)

    def forward(self, images: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        exact = boxes.double()
        low, high = exact[..., :2], exact[..., 2:]
        side = (high - low).amax(-1, keepdim=True) * self.get_buffer("_scale")
        zoom = self.get_buffer("_side") / side
        shift = 0.5 * self.size - zoom * ((low + high) / 2)
        crops = self._crops(images, exact, zoom, shift)
        points, spread = self.network(crops.flatten(0, 1))
        faces = boxes.shape[:2]
        points, spread = points.unflatten(0, faces).double(), spread.unflatten(0, faces)
        pixels = (points * self.size - shift[..., None, :]) / zoom[..., None]
        found = (pixels.float(), spread)
        return found if self.calibration is None else (*found, *self.calibration(spread))

    def _crops(self, images: Tensor, boxes: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
        """[N, F, 3, S, S] in [0, 1]; zoom [N, F, 1] and shift [N, F, 2] are from image to crop."""
        block = _block(self.get_buffer("_one") / (zoom * zoom).sqrt())
        height, width = images.shape[1], images.shape[2]
        down, rows = self._axis(1, height, boxes, zoom, shift, block)
        across, columns = self._axis(0, width, boxes, zoom, shift, block)
        pixels = images.float().flatten(2)[:, None]
        cells = (down @ pixels).unflatten(-1, (width, 3)).permute(0, 1, 4, 2, 3)
        cells = cells @ across.transpose(-1, -2)[:, :, None]
        halves = (block == 2)[..., None, None]
        cells = torch.where(halves, (cells + 0.5).floor(), cells.round())
        crops = rows[:, :, None] @ cells @ columns.transpose(-1, -2)[:, :, None]
        return (crops / 255).clamp(0, 1)

    def _axis(
        self, axis: int, extent: int, boxes: Tensor, zoom: Tensor, shift: Tensor, block: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From the pixels of an axis (0: x) to block cells [N, F, C, extent], and to crop pixels
        [N, F, S, C]; float32."""
        shift = shift[..., axis, None]
        # In the order of `geometry`, bit for bit: its sides are rounded to whole pixels.
        one = self.get_buffer("_one")
        inverse = one / zoom
        origin = -(inverse * shift)
        margin = 3 * (one / (zoom * zoom).sqrt()) + 2
        start = (origin - margin).floor().clamp(min=0)
        end = (self.size * inverse + origin + margin).ceil()
        end = torch.maximum(end + _modulo(start - end, block), start + 1)
        if self.is_letterbox:
            low, high = boxes[..., axis, None], boxes[..., axis + 2, None]
            half = (high - low) / 2 * self.get_buffer("_scale")
            start = torch.maximum(start, ((low + high) / 2 - half).round())
            end = torch.minimum(end, ((low + high) / 2 + half).round())
        end = end.clamp(max=extent)
        cells = torch.arange(2 * self.size + _SPARE_CELLS, dtype=torch.float64)
        first = start + cells * block
        averages = _averages(first[..., None], end[..., None], block[..., None], extent)
        places = torch.arange(self.size, dtype=torch.float64) + 0.5
        places = (places - shift - zoom * start) / (zoom * block) - 0.5
        weights = (1 - (cells - places[..., None]).abs()).clamp(min=0)
        return averages.float(), weights.float()


def _block(per_cell: Tensor) -> Tensor:
    """The smallest of 1, 2, 4, ... that leaves at most `LARGEST_BILINEAR_SHRINK` to the warp."""
    block = torch.ones_like(per_cell)
    for halving in range(_HALVINGS):
        block = block + (per_cell > LARGEST_BILINEAR_SHRINK * 2**halving) * float(2**halving)
    return block


def _modulo(value: Tensor, divisor: Tensor) -> Tensor:
    """As Python's %, never negative."""
    return value - (value / divisor).floor() * divisor


def _averages(first: Tensor, end: Tensor, block: Tensor, extent: int) -> Tensor:
    """[..., C, extent]: the mean over the block of each cell, of which `first` [..., C, 1] is the
    first pixel. Pixels from `end` on are the one before; a cell beyond it is black."""
    pixels = torch.arange(extent, dtype=torch.float64)
    inside = (pixels >= first) & (pixels < first + block) & (pixels < end)
    repeated = (first + block - end).clamp(min=0) * (pixels == end - 1)
    return (inside + repeated) * (first < end) / block


class CalibrationNet(nn.Module):
    """`Calibration` in PyTorch: spread [..., K] -> confidence and expected error, float32."""

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        for name in ("usual", "scale", "base", "weights"):
            self._keep(name, getattr(calibration, name))
        knots = calibration.knots
        for name, values in (("error", calibration.error), ("within", calibration.within)):
            self._keep(f"{name}_first", values[0])
            self._keep(f"{name}_steps", [after - before for before, after in pairwise(values)])
        self._keep("knots", knots[:-1])
        self._keep("widths", [high - low for low, high in pairwise(knots)])

    def _keep(self, name: str, values: object) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def forward(self, spread: Tensor) -> tuple[Tensor, Tensor]:
        away = (spread.double().log() - self.get_buffer("usual")) / self.get_buffer("scale")
        away = away.clamp(-FARTHEST, FARTHEST)
        own = torch.stack((away, away.abs()), -1)
        both = torch.cat((own, own.mean(-2, keepdim=True).expand_as(own)), -1)
        score = self.get_buffer("base").log() + (both * self.get_buffer("weights")).sum(-1)
        share = (score[..., None] - self.get_buffer("knots")) / self.get_buffer("widths")
        share = share.clamp(0, 1)
        confidence, error = (
            (self.get_buffer(f"{name}_first") + (share * self.get_buffer(f"{name}_steps")).sum(-1))
            for name in ("within", "error")
        )
        return confidence.float(), error.float()
