"""From rows of the annotation table to batches of crops: reading ahead, graph, errors."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.image_source import ImageSource
from sesame_hpc.data.loading.pipeline import AugmentOps, CropGraph, Feed, can_decode, sound_image

__all__ = ["Batch", "CropRunner", "PreparedBatch"]

BATCHES_READ_AHEAD = 4

Rows = NDArray[np.int64]
Prepare = Callable[[Rows], "PreparedBatch | None"]


@dataclass(frozen=True)
class Batch:
    """B faces.

    Attributes:
        images: float32 [B, 3, S, S] RGB in [0, 1], channels_last memory, on the loader's device.
        landmarks: float32 [B, K, 2] x, y in fractions of the crop side (outside [0, 1] for a
            point outside the crop), on the loader's device. In a mirrored crop point i is the
            one that has index i in the mirrored face. 0.5 where the point is not labelled.
        sample_ids: int64 [B] on the CPU.
        matrices: float64 [B, 2, 3] on the CPU, image pixels -> crop pixels, flip included.
        keys: int64 [B] on the CPU, which random numbers of a sample are keyed by: its id, and from
            bit `TURN` on its turn where an epoch has it several times. None: the ids.
        labelled: bool [B, K] on the CPU, which points are labelled, in the order of `landmarks`;
            None if the data set has all of them.
    """

    images: torch.Tensor
    landmarks: torch.Tensor
    sample_ids: torch.Tensor
    matrices: torch.Tensor
    keys: torch.Tensor | None = None
    labelled: torch.Tensor | None = None

    @property
    def random_keys(self) -> torch.Tensor:
        """`keys`, or the sample ids where there are none."""
        return self.sample_ids if self.keys is None else self.keys


@dataclass(frozen=True)
class PreparedBatch:
    """A batch without its pixels: the graph's input, and the rest of `Batch`.

    `rows` are the faces' rows, int64 [B]; `matrices` float64 [B, 2, 3], `landmarks` float64
    [B, K, 2] and `keys` int64 [B] as in `Batch`, but landmarks are NaN where not labelled.
    """

    rows: Rows
    matrices: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    feed: Feed
    keys: Rows


class CropRunner:
    """Runs prepared batches through one graph, which is built at first use and kept.

    Args:
        annotations: the faces.
        images: their images; records those that cannot be decoded.
        size: side of the crops in pixels.
        batch_size: the largest batch.
        threads: DALI's CPU threads; as many more read files.
        device: the device of the batches.
        ops: the graph's optional operations.
    """

    def __init__(
        self,
        annotations: Annotations,
        images: ImageSource,
        size: int,
        *,
        batch_size: int,
        threads: int,
        device: torch.device,
        ops: AugmentOps,
    ) -> None:
        self._annotations = annotations
        self._all_labelled = bool(annotations.labelled.all())
        self._images = images
        self._device = device
        self._readers = ThreadPoolExecutor(threads, "sesame-read")
        self._new_graph = partial(
            CropGraph, size, batch_size=batch_size, threads=threads, device=device, ops=ops
        )
        self._graph: CropGraph | None = None
        self._running: Generator[Batch, None, None] | None = None

    def start(self, batches: Sequence[Rows], prepare: Prepare) -> Iterator[Batch]:
        """Iterate over `batches` of what `prepare` takes; ends an iteration that is still running.

        A batch for which `prepare` returns None is skipped.

        Raises:
            FileNotFoundError, ValueError: while iterating, an image is missing or unreadable.
        """
        if self._running is not None:
            self._running.close()
        self._running = self._run(batches, partial(self._named, prepare))
        return self._running

    def _named(self, prepare: Prepare, rows: Rows) -> PreparedBatch | None:
        """In a reader's thread: an error there names the samples that were read."""
        try:
            return prepare(rows)
        except Exception as error:
            own = rows if rows.ndim == 1 else rows[:, 0]
            ids = ", ".join(map(str, self._annotations.sample_ids[own]))
            error.add_note(f"while reading sample ids {ids}")
            raise

    def _run(self, batches: Sequence[Rows], prepare: Prepare) -> Generator[Batch, None, None]:
        """If an undecodable image may be skipped, continues at its batch without it."""
        first = 0
        while True:
            pending: deque[tuple[int, PreparedBatch]] = deque()
            prepared = _read_ahead(self._readers, batches[first:], prepare)
            try:
                if self._graph is None:
                    self._graph = self._new_graph()
                for images in self._graph.crops(_noting(prepared, pending)):
                    _, batch = pending.popleft()
                    yield self._batch(images, batch)
                return
            except RuntimeError as error:
                self._graph = None
                if not self._skip_undecodable(pending, error):
                    raise
                first += pending[0][0]
            except Exception:
                self._graph = None
                raise

    def _batch(self, images: torch.Tensor, prepared: PreparedBatch) -> Batch:
        points, labelled = prepared.landmarks, None
        if not self._all_labelled:
            known = np.asarray(~np.isnan(points).any(axis=2))
            points, labelled = np.where(known[..., None], points, 0.5), torch.from_numpy(known)
        landmarks = torch.from_numpy(points.astype(np.float32))
        if self._device.type == "cuda":  # a copy from pageable memory would wait for the device
            landmarks = landmarks.pin_memory()
            labelled = labelled if labelled is None else labelled.pin_memory()
        return Batch(
            images=images.permute(0, 3, 1, 2),
            landmarks=landmarks.to(self._device, non_blocking=True),
            sample_ids=torch.from_numpy(self._annotations.sample_ids[prepared.rows]),
            matrices=torch.from_numpy(prepared.matrices),
            keys=torch.from_numpy(prepared.keys),
            labelled=labelled,
        )

    def _skip_undecodable(
        self, pending: deque[tuple[int, PreparedBatch]], error: RuntimeError
    ) -> bool:
        """Whether some image cannot be decoded and may be skipped; raises if it may not.

        False where this machine cannot decode now, as without memory or threads: images are not to
        blame for that.
        """
        found = False
        if not can_decode(sound_image(), self._device):
            return False
        for _, batch in pending:
            for row, encoded in zip(batch.rows, batch.feed.encoded, strict=True):
                if not can_decode(encoded, self._device):
                    found = True
                    try:
                        self._images.skip(int(row), self._images.undecodable(int(row)))
                    except ValueError as refused:
                        raise refused from error
        return found


def _read_ahead(
    readers: ThreadPoolExecutor, batches: Sequence[Rows], prepare: Prepare
) -> Iterator[tuple[int, PreparedBatch]]:
    """`prepare` of each batch in order with its number, computed ahead.

    An abandoned iterator leaves its last batches to the readers. It must not wait for them: it may
    be garbage-collected on any thread, including one that is just starting.
    """
    waiting: deque[tuple[int, Future[PreparedBatch | None]]] = deque()
    remaining = enumerate(batches)
    while True:
        while len(waiting) < BATCHES_READ_AHEAD and (entry := next(remaining, None)) is not None:
            waiting.append((entry[0], readers.submit(prepare, entry[1])))
        if not waiting:
            return
        number, future = waiting.popleft()
        if (prepared := future.result()) is not None:
            yield number, prepared


def _noting(
    prepared: Iterator[tuple[int, PreparedBatch]], pending: deque[tuple[int, PreparedBatch]]
) -> Iterator[Feed]:
    for number, batch in prepared:
        pending.append((number, batch))
        yield batch.feed
