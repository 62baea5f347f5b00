"""A split's annotations as one array in a file, and the scheme as YAML."""

import io
import zlib
from pathlib import Path

import numpy as np
import yaml
from numpy.lib import format as npy
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.string_column import StringColumn
from sesame_hpc.files import replacing
from sesame_hpc.schemes import Scheme

__all__ = ["file_crc", "read_table", "scheme_yaml", "write_table"]

_BYTES_AT_ONCE = 1 << 20
_NAMES = {"sample_id", "image", "source", "box", "landmarks", "attributes"}


def write_table(path: Path, faces: Annotations) -> int:
    """Write the annotation table and return its CRC-32.

    It has visibility where not all points are visible.
    """
    marked, points = bool((faces.seen < 2).any()), faces.scheme.num_landmarks
    images, sources = StringColumn.of(faces.images), StringColumn.of(faces.sources)
    dtype = np.dtype(
        [
            ("sample_id", "<i8"),
            ("image", f"<U{max(images.longest(), 1)}"),
            ("source", f"<U{max(sources.longest(), 1)}"),
            ("box", "<f8", (4,)),
            ("landmarks", "<f8", (points, 2)),
            ("attributes", "?", faces.attributes.shape[1:]),
            *([("visibility", "u1", (points,))] if marked else []),
        ]
    )
    header = io.BytesIO()
    about = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (len(faces),)}
    npy.write_array_header_1_0(header, about)
    crc = zlib.crc32(header.getvalue())
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(header.getvalue())
        for rows, landmarks in faces.blocks():
            block = np.zeros(len(landmarks), dtype=dtype)
            block["sample_id"], block["box"] = faces.sample_ids[rows], faces.boxes[rows]
            block["image"], block["source"] = list(images[rows]), list(sources[rows])
            block["landmarks"], block["attributes"] = landmarks, faces.attributes[rows]
            if marked:
                block["visibility"] = faces.seen[rows]
            file.write(block.data)
            crc = zlib.crc32(block.data, crc)
    return crc


def read_table(path: Path, crc: int) -> NDArray[np.void]:
    """The rows that `write_table` wrote, mapped from the file: read as they are used.

    Raises:
        ValueError: the file is not what was written.
    """
    if file_crc(path) != crc:
        raise ValueError(f"{path}: its checksum differs: the file is damaged; pack again")
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    is_table = isinstance(table, np.ndarray) and table.ndim == 1
    if not is_table or _NAMES - {*(table.dtype.names or ())}:
        raise ValueError(f"{path}: is not a table of faces; pack the data set again")
    return table


def file_crc(path: Path) -> int:
    """CRC-32 of a file's bytes."""
    crc = 0
    with path.open("rb") as file:
        while some := file.read(_BYTES_AT_ONCE):
            crc = zlib.crc32(some, crc)
    return crc


def scheme_yaml(scheme: Scheme) -> str:
    """A YAML file that `load_scheme` reads as the same scheme."""
    content = {
        "name": scheme.name,
        "points": list(scheme.points),
        "regions": {name: list(members) for name, members in scheme.regions.items()},
        "mirror": list(scheme.mirror),
        "normaliser": list(scheme.normaliser),
        "edges": {"open": [list(edge) for edge in scheme.edges]},
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
