"""Images of faces by sample id: from memory-mapped shards, from memory, or of several tables."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.pack.layout import RECORD, StoredImage, open_shard

__all__ = ["ImagesInMemory", "PackedImages", "StoredImages"]


class StoredImages(ABC):
    """Images of faces, each whole or a part of it, shrunk: random access by sample id.

    Args:
        records: what is stored of each face, `layout.RECORD` [N], in any order.
        size: the crop size that the images are made for; None where they are the original files.
    """

    def __init__(self, records: NDArray[np.void], size: int | None) -> None:
        self.size = size
        self._order = np.argsort(records["sample_id"], kind="stable")
        self._records = records[self._order]
        self._position_of = {each: i for i, each in enumerate(self._records["sample_id"].tolist())}

    def holds(self, sample_id: int) -> bool:
        """Whether `encoded` gives the image of a face; else it is the face's file."""
        return True

    @abstractmethod
    def encoded(self, sample_id: int) -> NDArray[np.uint8]:
        """The encoded image of a face, uint8 [n], read-only.

        Raises:
            ValueError: it cannot be read, or it is not in the pack.
        """

    @property
    def sample_ids(self) -> NDArray[np.int64]:
        """The sample ids of the index, ascending."""
        return self._records["sample_id"].copy()

    def records(self, sample_ids: NDArray[np.int64]) -> NDArray[np.void]:
        """The index records of these faces, `layout.RECORD` [B].

        Raises:
            ValueError: one of them is not in the pack.
        """
        return self._records[self._positions(sample_ids)]

    def matrices(self, sample_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """From pixels of the whole images to pixels of the stored ones: [B, 2, 3]."""
        records = self.records(sample_ids)
        region = records["region"]
        scale = records["stored"] / np.maximum(region[:, 2:] - region[:, :2], 1)
        scale[records["original"]] = 1
        matrices = np.zeros((len(records), 2, 3))
        matrices[:, 0, 0], matrices[:, 1, 1] = scale.T
        matrices[:, :, 2] = -scale * region[:, :2]
        return matrices

    def _position(self, sample_id: int) -> int:
        if (position := self._position_of.get(sample_id)) is None:
            raise ValueError(f"sample {sample_id} is not in the pack")
        return position

    def _positions(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        ids = self._records["sample_id"]
        positions = np.minimum(np.searchsorted(ids, sample_ids), len(ids) - 1)
        if (unknown := ids[positions] != sample_ids).any():
            raise ValueError(f"sample {np.asarray(sample_ids)[unknown][0]} is not in the pack")
        return positions


class PackedImages(StoredImages):
    """The images of a pack's part, from memory-mapped shards.

    Args:
        paths: the shards.
        size: the crop size that the pack was made for; None where it holds the original files.

    Raises:
        FileNotFoundError, ValueError: a shard is missing or damaged, by its name.
    """

    def __init__(self, paths: list[Path], size: int | None) -> None:
        self._shards = [open_shard(path) for path in paths]
        super().__init__(np.concatenate([shard.index for shard in self._shards]), size)
        numbers = np.repeat(np.arange(len(paths)), [len(shard.index) for shard in self._shards])
        self._shard_of = numbers[self._order]

    def encoded(self, sample_id: int) -> NDArray[np.uint8]:
        """The encoded image of a face, uint8 [n], as a read-only view of the file.

        Raises:
            ValueError: its checksum differs, by shard and sample, or it is not in the pack.
        """
        position = self._position(sample_id)
        return self._shards[self._shard_of[position]].encoded(self._records[position])


class ImagesInMemory(StoredImages):
    """Images that are in memory; of some there may be an error in their place."""

    def __init__(
        self, images: Sequence[StoredImage | ValueError], ids: NDArray[np.int64], size: int
    ) -> None:
        records = np.zeros(len(images), RECORD)
        records["sample_id"] = ids
        for record, image in zip(records, images, strict=True):
            if isinstance(image, StoredImage):
                record["region"], record["stored"] = image.region, image.stored
                record["image"] = image.image
            else:
                record["original"] = True
        super().__init__(records, size)
        self._images = [
            image if isinstance(image, ValueError) else np.frombuffer(image.encoded, np.uint8)
            for image in (images[index] for index in self._order)
        ]

    def encoded(self, sample_id: int) -> NDArray[np.uint8]:
        """The encoded image of a face. Raises ValueError where there is an error in its place."""
        image = self._images[self._position(sample_id)]
        if isinstance(image, ValueError):
            raise image
        return image


class JoinedImages(StoredImages):
    """The images of several tables, whose sample ids differ: of some stored, of others files.

    Args:
        parts: for each table its images, or None where they are files, and its sample ids.
    """

    def __init__(self, parts: Sequence[tuple[StoredImages | None, NDArray[np.int64]]]) -> None:
        sizes = [images.size for images, _ in parts if images is not None and images.size]
        records = []
        self._images_of: dict[int, StoredImages] = {}
        for images, ids in parts:
            if images is None:
                files = np.zeros(len(ids), RECORD)
                files["sample_id"], files["original"] = ids, True
                records.append(files)
            else:
                records.append(images.records(ids))
                self._images_of |= dict.fromkeys(ids.tolist(), images)
        super().__init__(np.concatenate(records), min(sizes, default=None))

    def holds(self, sample_id: int) -> bool:
        images = self._images_of.get(sample_id)
        return images is not None and images.holds(sample_id)

    def encoded(self, sample_id: int) -> NDArray[np.uint8]:
        """The encoded image of one of the pack's faces, uint8 [n].

        Raises:
            ValueError: it cannot be read.
        """
        if (images := self._images_of.get(sample_id)) is None:
            raise ValueError(f"the image of sample {sample_id} is a file")
        return images.encoded(sample_id)
