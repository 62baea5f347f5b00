"""From rows of an annotation table to batches of crops: reading files ahead, graph, messages."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pipeline import CropGraph, Feed, Looks, can_decode

__all__ = ["Batch", "CropRunner", "PreparedBatch", "read_pictures"]

BATCHES_READ_AHEAD = 2

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B faces.

    Attributes:
        images: float32 [B, 3, S, S] RGB in [0, 1], channels_last memory, on the loader's device.
        landmarks: float32 [B, K, 2] x, y in fractions of the crop side (outside [0, 1] where a
            point lies outside the crop), on the loader's device. In a mirrored crop point i is
            the one that is called i there.
        sample_ids: int64 [B] on the CPU.
        matrices: float64 [B, 2, 3] on the CPU, picture pixels -> crop pixels, flip included.
    """

    images: torch.Tensor
    landmarks: torch.Tensor
    sample_ids: torch.Tensor
    matrices: torch.Tensor


@dataclass(frozen=True)
class PreparedBatch:
    """A batch before its pixels: what the graph needs, and what goes around it.

    `rows` are the faces' rows, int64 [B]; `matrices` float64 [B, 2, 3] and `landmarks` float64
    [B, K, 2] as in `Batch`.
    """

    rows: Rows
    matrices: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    feed: Feed


class CropRunner:
    """Runs prepared batches through one graph, built at first use and kept between epochs.

    Args:
        annotations: the faces.
        size: side of the crops in pixels.
        batch_size: the largest batch.
        threads: DALI's CPU threads, and as many more that read files.
        device: where batches go.
        looks: the graph's optional operations.
    """

    def __init__(
        self,
        annotations: Annotations,
        size: int,
        *,
        batch_size: int,
        threads: int,
        device: torch.device,
        looks: Looks,
    ) -> None:
        self._annotations = annotations
        self._device = device
        self._readers = ThreadPoolExecutor(threads, "sesame-read")
        self._new_graph = partial(
            CropGraph, size, batch_size=batch_size, threads=threads, device=device, looks=looks
        )
        self._graph: CropGraph | None = None
        self._running: Generator[Batch, None, None] | None = None

    def start(
        self, batches: Sequence[Rows], prepare: Callable[[Rows], PreparedBatch]
    ) -> Iterator[Batch]:
        """Iterate over `batches` of rows; ends an iteration that is still under way.

        Raises:
            FileNotFoundError, ValueError: while iterating, a picture is missing or unreadable.
        """
        if self._running is not None:
            self._running.close()
        self._running = self._run(batches, prepare)
        return self._running

    def _run(
        self, batches: Sequence[Rows], prepare: Callable[[Rows], PreparedBatch]
    ) -> Generator[Batch, None, None]:
        if self._graph is None:
            self._graph = self._new_graph()
        under_way: deque[PreparedBatch] = deque()
        prepared = _read_ahead(self._readers, batches, prepare)
        try:
            for images in self._graph.crops(_remember(prepared, under_way)):
                yield self._batch(images, under_way.popleft())
        except Exception as error:
            self._graph = None
            if isinstance(error, RuntimeError):
                self._raise_if_undecodable(under_way, error)
            raise

    def _batch(self, images: torch.Tensor, prepared: PreparedBatch) -> Batch:
        landmarks = torch.from_numpy(prepared.landmarks.astype(np.float32))
        return Batch(
            images=images.permute(0, 3, 1, 2),
            landmarks=landmarks.to(self._device),
            sample_ids=torch.from_numpy(self._annotations.sample_ids[prepared.rows]),
            matrices=torch.from_numpy(prepared.matrices),
        )

    def _raise_if_undecodable(self, under_way: deque[PreparedBatch], error: RuntimeError) -> None:
        for batch in under_way:
            for row, encoded in zip(batch.rows, batch.feed.encoded, strict=True):
                if not can_decode(encoded, self._device):
                    raise ValueError(
                        f"{_place(self._annotations, row)}: the picture cannot be decoded; "
                        "valid are whole JPEG and PNG files"
                    ) from error


def _read_ahead(
    readers: ThreadPoolExecutor,
    batches: Sequence[Rows],
    prepare: Callable[[Rows], PreparedBatch],
) -> Iterator[PreparedBatch]:
    """`prepare` of each batch in order, computed by the readers before it is asked for.

    An iterator that nobody finishes leaves its last batches to the readers. It must not wait for
    them: it may be collected on any thread, one that is just starting included.
    """
    waiting: deque[Future[PreparedBatch]] = deque()
    remaining = iter(batches)
    while True:
        while len(waiting) < BATCHES_READ_AHEAD and (rows := next(remaining, None)) is not None:
            waiting.append(readers.submit(prepare, rows))
        if not waiting:
            return
        yield waiting.popleft().result()


def _remember(prepared: Iterator[PreparedBatch], under_way: deque[PreparedBatch]) -> Iterator[Feed]:
    for batch in prepared:
        under_way.append(batch)
        yield batch.feed


def read_pictures(annotations: Annotations, rows: Rows) -> list[NDArray[np.uint8]]:
    """The encoded bytes of the pictures of `rows`, uint8 [n] each.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file cannot be read or is empty. Both name the file and the annotation line.
    """
    return [_read_picture(annotations, int(row)) for row in rows]


def _read_picture(annotations: Annotations, row: int) -> NDArray[np.uint8]:
    try:
        encoded = np.fromfile(annotations.image_path(row), dtype=np.uint8)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{_place(annotations, row)}: no such picture") from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{_place(annotations, row)}: cannot be read ({reason})") from error
    if not encoded.size:
        raise ValueError(f"{_place(annotations, row)}: the file is empty; valid are JPEG and PNG")
    return encoded


def _place(annotations: Annotations, row: int) -> str:
    return f"{annotations.image_path(row)} ({annotations.sources[row]})"
