"""`PackedImages`: a pack's images by sample id, from memory-mapped shards."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.data.pack.layout import open_shard

__all__ = ["PackedImages"]


class PackedImages:
    """The images of a pack's split: random access by sample id, from memory-mapped shards.

    Args:
        paths: the shards.
        size: the crop size that the pack was made for; None if it holds the original files.

    Raises:
        FileNotFoundError, ValueError: a shard is missing or damaged; names it.
    """

    def __init__(self, paths: list[Path], size: int | None) -> None:
        self.size = size
        self._shards = [open_shard(path) for path in paths]
        records = np.concatenate([shard.index for shard in self._shards])
        numbers = np.repeat(np.arange(len(paths)), [len(shard.index) for shard in self._shards])
        order = np.argsort(records["sample_id"], kind="stable")
        self._records, self._shard_of = records[order], numbers[order]
        self._position_of = {each: i for i, each in enumerate(self._records["sample_id"].tolist())}

    def encoded(self, sample_id: int) -> NDArray[np.uint8]:
        """The encoded image of a face, uint8 [n], as a read-only view of the file.

        Raises:
            ValueError: its checksum differs, or it is not in the pack; names it.
        """
        if (position := self._position_of.get(sample_id)) is None:
            raise ValueError(f"sample {sample_id} is not in the pack")
        return self._shards[self._shard_of[position]].encoded(self._records[position])

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

    def _positions(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        ids = self._records["sample_id"]
        positions = np.minimum(np.searchsorted(ids, sample_ids), len(ids) - 1)
        if (unknown := ids[positions] != sample_ids).any():
            raise ValueError(f"sample {np.asarray(sample_ids)[unknown][0]} is not in the pack")
        return positions
