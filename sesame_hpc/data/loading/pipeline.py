"""The DALI graph: encoded images and parameters in, crops out. The only module that names DALI.

The graph is stateless and draws no random numbers: everything that varies is an input of the
batch, so any batch can be computed at any time, by any rank.

On a GPU the graph decodes, shrinks, warps and compresses, and `appearance` does the rest there. On
a CPU it only decodes, and `cpu_crops` does the remaining operations in the same order, since DALI's
are slow there (benchmarks/LOADER.md). The whole graph also runs on a CPU, so that it is tested
without a GPU.

Patches are not pasted by DALI: on a GPU its `multi_paste`, applied to a part of a batch, fails when
that part is empty and reads memory out of bounds otherwise (DALI 2.4, seen on an H200).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sesame_hpc.data.geometry import HALF, DecodeWindow
from sesame_hpc.data.loading.appearance import recoloured, with_patches
from sesame_hpc.data.loading.augment import Augmentation
from sesame_hpc.data.loading.cpu_crops import AugmentOps, CpuCropper
from sesame_hpc.extras import needed_for

with needed_for("loading batches"):
    from nvidia.dali import Pipeline, fn, math, pipeline_def
    from nvidia.dali.types import DALIDataType, DALIImageType

__all__ = ["AugmentOps", "CropGraph", "Feed", "can_decode", "sound_image"]


@dataclass(frozen=True)
class Feed:
    """One batch of a graph's inputs.

    `encoded` are JPEG or PNG bytes, uint8 [n] each. `augmentation` may be None for a graph without
    optional operations.
    """

    encoded: list[NDArray[np.uint8]]
    window: DecodeWindow
    augmentation: Augmentation | None = None

    def inputs(self, ops: AugmentOps, whole: bool) -> tuple[Any, ...]:
        """The graph's inputs, in the order of its external source."""
        window, drawn = self.window, self.augmentation
        parts: list[Any] = [self.encoded, window.start, window.end]
        if whole:
            halved = window.shrink == HALF
            scales = np.repeat(window.shrink[:, None], 2, axis=1)
            parts += [halved, (window.shrink < 1) & ~halved, scales, window.matrix]
        if whole and drawn is not None and ops.jpeg:
            parts += [drawn.jpeg, drawn.quality]
        return tuple(x if isinstance(x, list) else np.ascontiguousarray(x) for x in parts)


@pipeline_def
def _regions(source: Any, on_gpu: bool) -> Any:
    """The first part of `_crops` alone: uint8 [h, w, 3], of any size."""
    encoded, start, end = fn.external_source(source, num_outputs=3, batch=True)
    return _region(encoded, start, end, on_gpu)


def _region(encoded: Any, start: Any, end: Any, on_gpu: bool) -> Any:
    extent = fn.peek_image_shape(encoded, dtype=DALIDataType.INT32)[:2]
    return fn.decoders.image_slice(
        encoded,
        device="mixed" if on_gpu else "cpu",
        start=math.min(start, extent - 1),
        end=math.min(end, extent),
        axes=[0, 1],
        output_type=DALIImageType.RGB,
    )


@pipeline_def(enable_conditionals=True)
def _crops(source: Any, size: int, compress: bool, on_gpu: bool) -> Any:
    """The whole graph: uint8 [size, size, 3]. An `if` on an input applies per sample.

    Shrinking with alignment 0 keeps the region's first corner in place and the scale as given,
    however the region's size is rounded, so the matrix of the warp stays exact.
    """
    inputs = fn.external_source(source, num_outputs=7 + 2 * compress, batch=True)
    encoded, start, end, halved, shrinks, scales, matrix = inputs[:7]
    image = _region(encoded, start, end, on_gpu)
    shape: dict[str, Any] = {"axes": [0, 1], "alignment": 0.0, "size_rounding": "ceil"}
    if halved:
        image = fn.tensor_resize(image, scales=[HALF, HALF], antialias=False, **shape)
    elif shrinks:
        image = fn.tensor_resize(image, scales=scales, **shape)
    image = fn.warp_affine(image, matrix=matrix, size=(size, size), fill_value=0, inverse_map=False)
    if compress:
        compressed, quality = inputs[7], inputs[8]
        if compressed:
            image = fn.jpeg_compression_distortion(image, quality=quality)
    return image


class _Inbox:
    """The graph's external source: the next batch, or StopIteration if there is none."""

    def __init__(self, ops: AugmentOps, whole: bool) -> None:
        self._ops, self._whole = ops, whole
        self._feeds: Iterator[Feed] = iter(())
        self.pending: deque[Feed] = deque()

    def refill(self, feeds: Iterable[Feed]) -> None:
        self._feeds = iter(feeds)
        self.pending.clear()

    def __call__(self) -> tuple[Any, ...]:
        feed = next(self._feeds)
        self.pending.append(feed)
        return feed.inputs(self._ops, self._whole)


class CropGraph:
    """A built graph that turns batches into crops, again and again.

    Args:
        size: side of the crops in pixels.
        batch_size: the largest batch that will be fed.
        threads: DALI's CPU threads. On the CPU as many more threads make the crops, and DALI gets
            one more to use the time in which those wait for the interpreter lock.
        device: the device of the crops; on CUDA everything is done there, decoding too.
        ops: the optional operations.
        whole: whether DALI does more than decode; None: on CUDA.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        threads: int,
        device: torch.device,
        ops: AugmentOps,
        whole: bool | None = None,
    ) -> None:
        on_gpu = device.type == "cuda"
        whole = on_gpu if whole is None else whole
        self._inbox = _Inbox(ops, whole)
        self._ops = ops
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        self._cpu_cropper = None if whole else CpuCropper(size, threads, ops)
        self._ahead = 0 if whole else 1
        self._unfinished: deque[Callable[[], torch.Tensor]] = deque()
        settings: dict[str, Any] = {"batch_size": batch_size, "device_id": _device_id(device)}
        settings |= {"num_threads": threads if whole else threads + 1}
        settings |= {"prefetch_queue_depth": 2 if whole else 4}
        self._pipeline: Pipeline = (
            _crops(self._inbox, size, ops.jpeg, on_gpu, **settings)
            if whole
            else _regions(self._inbox, on_gpu, **settings)
        )
        self._pipeline.build()

    def crops(self, feeds: Iterable[Feed]) -> Iterator[torch.Tensor]:
        """Crops of each feed, in order, computed a few batches ahead.

        Yields float32 [B, size, size, 3] RGB in [0, 1], in memory that DALI does not reuse. A new
        call ends the one before, whose iterator must not be used any more.

        Raises:
            RuntimeError: DALI could not process a batch. The graph is unusable afterwards.
        """
        self._drain()
        self._inbox.refill(feeds)
        self._pipeline.reset()
        self._pipeline.schedule_run()
        unfinished = self._unfinished = deque()
        try:
            while (outputs := self._take()) is not None:
                unfinished.append(self._finishing(outputs, self._inbox.pending.popleft()))
                if len(unfinished) > self._ahead:
                    yield self._finished(unfinished)
                else:
                    self._pipeline.schedule_run()
            while unfinished:
                yield self._finished(unfinished)
        finally:
            for finish in unfinished:  # they read DALI's buffers
                with suppress(Exception):
                    finish()

    def _finished(self, unfinished: deque[Callable[[], torch.Tensor]]) -> torch.Tensor:
        """The first unfinished crops; returns their buffer to DALI and schedules the next batch."""
        images = unfinished[0]()
        unfinished.popleft()
        self._pipeline.release_outputs()
        self._pipeline.schedule_run()
        return images

    def _drain(self) -> None:
        """Discard the batches of an abandoned iteration."""
        while self._unfinished:
            with suppress(Exception):
                self._unfinished.popleft()()
            self._pipeline.release_outputs()
        self._inbox.refill(())
        while self._take() is not None:
            self._pipeline.release_outputs()
            self._pipeline.schedule_run()

    def _take(self) -> Any | None:
        try:
            (crops,) = self._pipeline.share_outputs()
        except StopIteration:
            return None
        return crops

    def _finishing(self, outputs: Any, feed: Feed) -> Callable[[], torch.Tensor]:
        """Start a float copy that the caller may keep; the returned function waits for it."""
        if self._cpu_cropper is None:
            images = self._floats(outputs, feed.augmentation)
            return lambda: images
        regions = [np.asarray(region) for region in outputs]
        finished = self._cpu_cropper.start(regions, feed.window, feed.augmentation)
        return lambda: torch.from_numpy(finished())

    def _floats(self, outputs: Any, drawn: Augmentation | None) -> torch.Tensor:
        """A float copy for the caller's stream, after which DALI may reuse its buffer."""
        if self._stream is None:
            crops = torch.from_numpy(np.asarray(outputs.as_tensor()))
            return self._finished_crops(crops, drawn)
        with torch.cuda.stream(self._stream):
            images = self._finished_crops(torch.from_dlpack(outputs.as_tensor()), drawn)
        self._stream.synchronize()
        images.record_stream(torch.cuda.current_stream(images.device))
        return images

    def _finished_crops(self, crops: torch.Tensor, drawn: Augmentation | None) -> torch.Tensor:
        """float32 [B, S, S, 3] in [0, 1], of DALI's uint8 crops, which stay as they are."""
        if drawn is not None:
            if self._ops.occlusion:
                crops = with_patches(crops, drawn)
            if self._ops.colour:
                return recoloured(crops, drawn).div_(255)
        return crops.to(torch.float32).div_(255)


def _device_id(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return torch.cuda.current_device() if device.index is None else device.index


def can_decode(encoded: NDArray[np.uint8], device: torch.device) -> bool:
    """Whether DALI can decode an image on this device (it reports no reason for a failure)."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=_device_id(device))
    with pipeline:
        source = fn.external_source(lambda: [encoded], batch=True)
        mode = "mixed" if device.type == "cuda" else "cpu"
        pipeline.set_outputs(fn.decoders.image(source, device=mode, output_type=DALIImageType.RGB))
    try:
        pipeline.run()
    except RuntimeError:
        return False
    return True


def sound_image() -> NDArray[np.uint8]:
    """A grey JPEG image of 16 x 16 pixels, uint8 [n], which any decoder takes."""
    done, encoded = cv2.imencode(".jpg", np.full((16, 16, 3), 128, np.uint8))
    assert done
    return encoded.reshape(-1)
