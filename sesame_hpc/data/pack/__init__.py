"""Packs: a data set in a few large files, for file systems that are slow with many small ones.

    pack.json              settings, splits, shards and checksums; written last
    scheme.yaml            the landmark scheme
    <split>.npy            the annotation table, one row per face, in pixels of the whole images
    <split>-00000.shard    encoded images, their index, a trailer

Without a size the images are the bytes of the original files, each once per shard. With a size they
are crops around each face, as large as augmentation can need, shrunk for training at that size and
encoded as JPEG again; originals that need neither are kept.
"""

from sesame_hpc.data.pack.images import PackedImages
from sesame_hpc.data.pack.manifest import has_pack, has_pack_split, read_settings
from sesame_hpc.data.pack.read import read_pack
from sesame_hpc.data.pack.settings import PackSettings
from sesame_hpc.data.pack.write import PackReport, write_pack

__all__ = [
    "PackReport",
    "PackSettings",
    "PackedImages",
    "has_pack",
    "has_pack_split",
    "read_pack",
    "read_settings",
    "write_pack",
]
