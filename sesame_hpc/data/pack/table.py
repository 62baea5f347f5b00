"""A split's annotations as one array in a file, and the scheme as YAML."""

import io
import zlib
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.schemes import Scheme

__all__ = ["read_table", "scheme_yaml", "write_table"]

_NAMES = {"sample_id", "image", "source", "box", "landmarks", "attributes"}


def write_table(path: Path, faces: Annotations) -> int:
    """Write the annotation table and return its CRC-32.

    It has visibility where not all points are visible.
    """
    names, sources = np.array(faces.images), np.array(faces.sources)
    dtype = [
        ("sample_id", "<i8"),
        ("image", names.dtype),
        ("source", sources.dtype),
        ("box", "<f8", (4,)),
        ("landmarks", "<f8", faces.landmarks.shape[1:]),
        ("attributes", "?", faces.attributes.shape[1:]),
        *([("visibility", "u1", faces.seen.shape[1:])] if (faces.seen < 2).any() else []),
    ]
    table = np.empty(len(faces), dtype=dtype)
    table["sample_id"], table["image"], table["source"] = faces.sample_ids, names, sources
    table["box"], table["landmarks"] = faces.boxes, faces.landmarks
    table["attributes"] = faces.attributes
    if (faces.seen < 2).any():
        table["visibility"] = faces.seen
    buffer = io.BytesIO()
    np.save(buffer, table, allow_pickle=False)
    write_bytes_atomic(path, buffer.getvalue())
    return zlib.crc32(buffer.getvalue())


def read_table(path: Path, crc: int) -> NDArray[np.void]:
    """The rows that `write_table` wrote.

    Raises:
        ValueError: the file is not what was written.
    """
    content = path.read_bytes()
    if zlib.crc32(content) != crc:
        raise ValueError(f"{path}: its checksum differs: the file is damaged; pack again")
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    is_table = isinstance(table, np.ndarray) and table.ndim == 1
    if not is_table or _NAMES - {*(table.dtype.names or ())}:
        raise ValueError(f"{path}: is not a table of faces; pack the data set again")
    return table


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
