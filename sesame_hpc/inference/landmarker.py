"""`Landmarker`: landmarks of faces in images, from a run, an exported folder or an ONNX file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sesame_hpc.checksums import read_verified
from sesame_hpc.choices import DEVICES, Device, Weights, one_of
from sesame_hpc.data import geometry
from sesame_hpc.data.crop_scales import ONE_SCALE, checked_scales, resized_box
from sesame_hpc.extras import needed_for
from sesame_hpc.inference.backends import OnnxBackend
from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.cropping import crop_faces
from sesame_hpc.inference.exported import find_exported
from sesame_hpc.inference.image_input import AnyImage, as_images, is_one_image
from sesame_hpc.inference.landmarks import Landmarks
from sesame_hpc.inference.manifest import Manifest
from sesame_hpc.inference.refinement import refined_boxes
from sesame_hpc.inference.stream import Boxes, stream
from sesame_hpc.inference.variant import Variant
from sesame_hpc.schemes import Scheme

__all__ = ["Landmarker"]

Image = NDArray[np.uint8]
Float = NDArray[np.float64]


class Landmarker:
    """Finds the landmarks of faces whose boxes are known.

    ```python
    landmarker = Landmarker.load("runs/demo")
    landmarks = landmarker(image, [[40, 60, 210, 230]])  # uint8 RGB [H, W, 3]
    landmarks.points  # [1, 98, 2], pixels of the image
    ```
    """

    def __init__(self, model: CropModel, scales: Sequence[float] = ONE_SCALE) -> None:
        self.model = model
        self.scales = checked_scales(scales)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: Device = "auto",
        *,
        stage: str | None = None,
        weights: Weights = "last",
        flip: bool = False,
        scales: Sequence[float] = ONE_SCALE,
        batch_size: int = 32,
    ) -> "Landmarker":
        """The model at `path`: nothing in its files is ever executed.

        `path` is a run folder, a folder of `sesame export`, or one of the files in it. Of a folder
        that holds several forms, safetensors comes first where torch is installed, then ONNX (which
        imports no torch), then TorchScript, of which the weights alone are taken. Of a run folder,
        `weights` takes the last ones of `stage` (None: the run's last stage) or their moving
        average (ema), and `flip` averages with the mirrored crop; an export is what it was exported
        as. The first load of such a network calibrates its confidence on the held-out faces and
        keeps the result in the run folder; where their images are gone it says so in a warning, and
        confidences are NaN.

        Each face is looked at in crops of `scales` times the size of those of training, and what is
        found in them is averaged (multi-scale test). (0.92, 1, 1.08) takes three times as long as
        the default, one crop, and errs a little less; confidences stay those of one crop.

        Raises:
            FileNotFoundError: there is no model at `path`, or the stage is not finished.
            MissingPackage: the form needs torch, which is not installed.
            ValueError: the files are of another kind, the stage kept no such weights, an export is
                of others than asked for, the device is not there, or a scale is not from 0.5 to 2.
        """
        path, scales = Path(path), checked_scales(scales)
        if device not in DEVICES:
            raise ValueError(f"device is {device!r}; takes {one_of(DEVICES)}")
        variant = Variant(stage, weights, flip)
        path = find_exported(path)
        if path.suffix.lower() == ".onnx":
            if path.is_file():
                read_verified(path)
            backend = OnnxBackend(path, device)
            variant.check_export(backend.manifest, path)
            return cls(CropModel(backend, backend.manifest, batch_size), scales)
        with needed_for(f"{path}, which is not in ONNX,"):
            from sesame_hpc.inference.loading import load_folder

        return cls(load_folder(path, device, variant, batch_size), scales)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: Device = "auto",
        *,
        scales: Sequence[float] = ONE_SCALE,
        batch_size: int = 32,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> "Landmarker":
        """A model that was exported to a folder, or pushed to a model hub as `name`.

        Of a model on the hub, one form is downloaded into huggingface_hub's cache (or `cache_dir`)
        at its first use: safetensors where torch is installed, else ONNX. `revision` is a branch,
        tag or commit. A folder needs neither a network nor huggingface_hub.

        Raises:
            FileNotFoundError: no such folder, and no such model on the hub, or no network.
            MissingPackage: the name is not a folder, and huggingface_hub is not installed; or the
                form needs torch.
            ValueError: as `load`.
        """
        if Path(name).is_dir():
            return cls.load(name, device, scales=scales, batch_size=batch_size)
        with needed_for(f"{name}, which is not a folder,"):
            from sesame_hpc.inference import hub
        folder = hub.download(
            str(name),
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            force_download=force_download,
            local_files_only=local_files_only,
        )
        return cls.load(folder, device, scales=scales, batch_size=batch_size)

    @property
    def manifest(self) -> Manifest:
        """What the network is, and what its outputs mean."""
        return self.model.manifest

    @property
    def scheme(self) -> Scheme:
        return self.manifest.scheme

    def __call__(
        self,
        images: AnyImage | Sequence[AnyImage],
        boxes: Any | Sequence[Any] | None = None,
        *,
        passes: int = 1,
    ) -> Landmarks:
        """Landmarks of all faces of one image or of a sequence of images.

        Args:
            images: uint8 arrays [H, W, 3] RGB or [H, W] grey, PIL images (as they are: not turned
                by their EXIF tag), or paths of files (turned by it); one, or a sequence of them.
            boxes: for one image [F, 4] (or [4]), for a sequence one such array each: x_min, y_min,
                x_max, y_max in corner-based pixels. None takes each image for one face.
            passes: how often to look, at least 1. From the second time on, a face is cropped around
                the landmarks just found, which makes up for boxes of another kind than those of
                training (a detector's). A model that does not know its boxes (an export of a run
                whose held-out faces were gone) looks once.

        Returns:
            The faces in the order of images and boxes; `Landmarks.images` says whose they are.

        Raises:
            FileNotFoundError: a path where no file is.
            ValueError: an image or box of another form, or a box outside its image, naming it; or
                less than one pass.
        """
        sequence: Any = images
        wanted: Any = boxes
        if is_one_image(images):
            sequence, wanted = [images], None if boxes is None else [boxes]
        sequence = as_images(sequence)
        if not isinstance(passes, int) or passes < 1:
            raise ValueError(f"passes is {passes!r}; takes a whole number of at least 1")
        asked = _checked_boxes(sequence, wanted)
        found = self._look(sequence, asked, asked)
        offsets = self.manifest.box_offsets
        for _ in range(passes - 1):
            if offsets is None:
                break
            closer = []
            for index, image in enumerate(sequence):
                height, width = image.shape[:2]
                points = found.of_image(index).points
                closer.append(refined_boxes(points, offsets, asked[index], width, height))
            found = self._look(sequence, closer, asked)
        return found

    def stream(
        self,
        frames: Iterable[AnyImage],
        boxes: Boxes | None = None,
        *,
        passes: int = 1,
        at_once: int = 16,
    ) -> Iterator[Landmarks]:
        """Landmarks of each frame of a video, a camera or any other generator, as they come.

        ```python
        for landmarks in landmarker.stream(frames, detector):
            landmarks.points  # [F, K, 2] of one frame
        ```

        Frames are taken `at_once` at a time, no more is kept, and those that follow are not asked
        for before the results of these are taken. For a camera, 1 has the least delay.

        Args:
            frames: images as `__call__` takes them, of one size or of several.
            boxes: a function from a frame, uint8 RGB [H, W, 3], to its boxes [F, 4] (a detector
                such as `YuNet`), or an iterable of such boxes, one for each frame. None takes each
                frame for one face.
            passes: as in `__call__`.
            at_once: how many frames are looked at together, at least 1.

        Raises:
            ValueError: as `__call__`, naming the frame by its number from 0, once those before it
                are done; too few boxes; or no frame at once.
        """
        return stream(self, frames, boxes, passes=passes, at_once=at_once)

    def _look(
        self, images: Sequence[Image], boxes: Sequence[Float], asked: Sequence[Float]
    ) -> Landmarks:
        """What is found in crops from `boxes`, as found for the boxes `asked` for."""
        looks = [self._at_scale(images, boxes, scale) for scale in self.scales]
        pixels = np.mean([each for each, _ in looks], axis=0)
        return self._landmarks(pixels, np.mean([each for _, each in looks], axis=0), asked)

    def _at_scale(
        self, images: Sequence[Image], boxes: Sequence[Float], scale: float
    ) -> tuple[Float, Float]:
        """Points [F, K, 2] in pixels of the images; spreads [F, K] in sides of training's crops."""
        matrices: list[Float] = []
        points, spread = self.model.run(self._crops(images, boxes, scale, matrices))
        to_image = geometry.invert(np.concatenate([np.empty((0, 2, 3)), *matrices]))
        return geometry.apply(to_image, points * self.manifest.model.image_size), spread * scale

    def _crops(
        self,
        images: Sequence[Image],
        boxes: Sequence[Float],
        scale: float,
        matrices: list[Float],
    ) -> Iterator[NDArray[np.float32]]:
        """Crops [3, S, S] one after the other; notes the matrices of every image."""
        size, box = self.manifest.model.image_size, resized_box(self.manifest.box, scale)
        for index, (image, wanted) in enumerate(zip(images, boxes, strict=True)):
            try:
                crops, their = crop_faces(image, wanted, size, box)
            except ValueError as error:
                raise ValueError(f"image {index}: {error}") from None
            matrices.append(their)
            yield from crops

    def _landmarks(self, points: Float, spread: Float, boxes: Sequence[Float]) -> Landmarks:
        """Points [F, K, 2] in pixels, with what the spreads say of them."""
        calibration = self.manifest.calibration
        unknown = np.full(spread.shape, np.nan)
        return Landmarks(
            points=points,
            confidence=calibration.confidence(spread) if calibration else unknown,
            expected_error=calibration.expected_error(spread) if calibration else unknown,
            spread=spread,
            boxes=np.concatenate([np.empty((0, 4)), *boxes]),
            images=np.repeat(np.arange(len(boxes)), [len(some) for some in boxes]),
            scheme=self.scheme,
        )


def _checked_boxes(images: Sequence[Image], boxes: Sequence[ArrayLike] | None) -> list[Float]:
    """Float64 [F, 4] for each image, once they are of the right form and on their image."""
    if not images:
        raise ValueError("images: there are none")
    if boxes is not None and not hasattr(boxes, "__len__"):
        kind = type(boxes).__name__
        raise ValueError(
            f"boxes: are {kind}; take [F, 4] for one image, a list of such for several"
        )
    if boxes is not None and len(boxes) != len(images):
        raise ValueError(f"boxes: are for {len(boxes)} images, but there are {len(images)}")
    checked = []
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        asked = [0, 0, width, height] if boxes is None else boxes[index]
        try:
            box = np.asarray(asked, dtype=np.float64)
        except (TypeError, ValueError):
            kind = type(asked).__name__
            raise ValueError(f"boxes of image {index}: are {kind}; take numbers [F, 4]") from None
        if box.ndim == 1 and box.size == 4:
            box = box[None]
        if box.size == 0:
            box = box.reshape(0, 4)
        if box.ndim != 2 or box.shape[1] != 4:
            raise ValueError(f"boxes of image {index}: are {list(box.shape)}; take [F, 4]")
        for number, each in enumerate(box):
            if problem := box_problem(each, width, height):
                raise ValueError(f"image {index}: box {number}: {problem}")
        checked.append(box)
    return checked
