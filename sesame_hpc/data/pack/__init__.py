"""Packs: a data set in a few large files, for file systems that dislike thousands of small ones.

    pack.json              settings, parts, shards and checksums; written last
    scheme.yaml            the landmark scheme
    <part>.npy             the annotation table, one row a face, in pixels of the whole images
    <part>-00000.shard     encoded images one after the other, their index, a trailer

Without a size the images are the original files' bytes, once per shard however many faces they
show. With a size they are crops around each face, as large as augmentation can ask for, shrunk to
what training at that size needs, and encoded as JPEG again; originals that need neither stay.
"""

from sesame_hpc.data.pack.images import PackedImages
from sesame_hpc.data.pack.read import has_pack, has_pack_split, read_pack, read_settings
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
