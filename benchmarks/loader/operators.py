"""DALI's operators alone, OpenCV's beside them, and decoding, which limits the loader."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import cv2
import numpy as np
from nvidia.dali import Pipeline, fn, math
from nvidia.dali.types import DALIDataType, DALIImageType

from benchmarks.loader.meter import BATCH, Run
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import DecodeWindow

__all__ = ["decoders", "operators"]

CALLS = 256
"""Of an OpenCV function in one run."""

IMAGE = 300

Graph = Callable[..., Any]
"""Makes the output of a DALI pipeline of its inputs."""


def decoders(
    faces: Annotations, window: DecodeWindow, threads: int, on_gpu: bool
) -> Iterator[tuple[str, Run]]:
    """Decoding the images of `faces`: whole, the regions of `window` only, and by OpenCV."""
    encoded = [_encoded(faces, row) for row in range(len(faces))]
    device = "mixed" if on_gpu else "cpu"

    def whole(image: Any) -> Any:
        return fn.decoders.image(image, device=device, output_type=DALIImageType.RGB)

    def regions(image: Any, start: Any, end: Any) -> Any:
        extent = fn.peek_image_shape(image, dtype=DALIDataType.INT32)[:2]
        return fn.decoders.image_slice(
            image,
            device=device,
            start=math.min(start, extent - 1),
            end=math.min(end, extent),
            axes=[0, 1],
            output_type=DALIImageType.RGB,
        )

    corners = [list(window.start), list(window.end)]
    yield "decode whole, DALI", _dali(whole, [encoded], threads, on_gpu)
    yield "decode region, DALI", _dali(regions, [encoded, *corners], threads, on_gpu)
    if not on_gpu:
        yield (
            "decode whole, OpenCV",
            _opencv(lambda i: cv2.imdecode(encoded[i % len(encoded)], 1), threads),
        )


def operators(size: int, threads: int, on_gpu: bool) -> Iterator[tuple[str, Run]]:
    """The graph's operators on crops of `size` pixels and images of 300, already in memory."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (IMAGE, IMAGE, 3)).astype(np.uint8), (0, 0), 3)
    crop = cv2.resize(image, (size, size))
    zoom = 0.9 * size / IMAGE
    affine = np.array([[zoom, 0.2 * zoom, 3], [-0.2 * zoom, zoom, 5]], dtype=np.float32)
    homography = np.concatenate([affine, [[0, 0, 1]]]).astype(np.float32)
    colour = np.concatenate([0.9 * np.eye(3), np.full((3, 1), 5)], axis=1).astype(np.float32)
    shape: dict[str, Any] = {"size": (size, size), "fill_value": 0, "inverse_map": False}
    shrink: dict[str, Any] = {"scales": [0.5, 0.5], "axes": [0, 1], "antialias": False}
    graphs: dict[str, tuple[Graph, list[np.ndarray]]] = {
        "warp_affine, DALI": (lambda x, m: fn.warp_affine(x, matrix=m, **shape), [image, affine]),
        "warp_perspective, DALI": (
            lambda x, m: fn.experimental.warp_perspective(x, m, **shape),
            [image, homography],
        ),
        "tensor_resize 1/2, DALI": (lambda x: fn.tensor_resize(x, **shrink), [image]),
        "coord_transform, DALI": (
            lambda x, m: fn.coord_transform(x, MT=m, dtype=DALIDataType.UINT8),
            [crop, colour],
        ),
        "color_twist, DALI": (
            lambda x: fn.color_twist(x, brightness=1.1, contrast=0.9, saturation=1.2),
            [crop],
        ),
        "jpeg_compression_distortion, DALI": (
            lambda x: fn.jpeg_compression_distortion(x, quality=60),
            [crop],
        ),
    }
    for name, (build, inputs) in graphs.items():
        if on_gpu and "perspective" in name:
            continue
        yield name, _dali(build, [[each] * BATCH for each in inputs], threads, on_gpu, True)
    if on_gpu:
        return
    plain: dict[str, Callable[[int], object]] = {
        "warpAffine, OpenCV": lambda i: cv2.warpAffine(image, affine, (size, size)),
        "resize 1/2, OpenCV": lambda i: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=3),
        "transform, OpenCV": lambda i: cv2.transform(crop, colour),
        "JPEG, OpenCV": lambda i: cv2.imdecode(cv2.imencode(".jpg", crop, [1, 60])[1], 1),
    }
    for name, run in plain.items():
        yield name, _opencv(run, threads)


def _encoded(faces: Annotations, row: int) -> np.ndarray:
    if faces.pack is not None:
        return faces.pack.encoded(int(faces.sample_ids[row])).copy()
    return np.fromfile(faces.image_path(row), dtype=np.uint8)


def _dali(build: Graph, inputs: list[Any], threads: int, on_gpu: bool, upload: bool = False) -> Run:
    """Runs one batch of `build(*inputs)`; each input is a list of samples, used cyclically."""
    position = count(step=BATCH)

    def source() -> tuple[list, ...]:
        first = next(position)
        return tuple([each[(first + i) % len(each)] for i in range(BATCH)] for each in inputs)

    pipeline = Pipeline(batch_size=BATCH, num_threads=threads, device_id=0 if on_gpu else None)
    with pipeline:
        nodes: list[Any] = list(fn.external_source(source, num_outputs=len(inputs), batch=True))
        if on_gpu and upload:
            nodes[0] = nodes[0].gpu()
        pipeline.set_outputs(build(*nodes))
    pipeline.build()

    def run() -> int:
        pipeline.run()
        return BATCH

    return run


def _opencv(run: Callable[[int], object], threads: int) -> Run:
    """Runs `CALLS` calls on `threads` threads."""
    pool = ThreadPoolExecutor(threads)

    def share(first: int) -> int:
        calls = range(first, CALLS, threads)
        for i in calls:
            run(i)
        return len(calls)

    return lambda: sum(pool.map(share, range(threads)))
