"""Render a data set of synthetic faces in the official WFLW layout."""

import json
import signal
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from sesame_hpc.choices import SPLITS
from sesame_hpc.files import new_folder, remove_leftovers
from sesame_hpc.process import usable_cores

from .render import Face, render_face

__all__ = ["VERSION", "face_generator", "image_name", "synthesise"]

VERSION = 1
_RECORD = "synth.json"
_EVENTS = ("0--Studio", "1--Street", "2--Office", "3--Party", "4--Stage")
_LISTS = Path("WFLW_annotations/list_98pt_rect_attr_train_test")
_SUBSETS = Path("WFLW_annotations/list_98pt_test")
_SUBSET_NAMES = ("largepose", "expression", "illumination", "makeup", "occlusion", "blur")
_MIN_SIZE, _CHUNK = 64, 16


@dataclass(frozen=True)
class _Job:
    root: str
    split: str
    index: int
    seed: int
    size: int


@dataclass(frozen=True)
class _Entry:
    """One face in the annotation lists."""

    coordinates: str
    box: str
    attributes: tuple[bool, ...]
    image: str

    def full_line(self) -> str:
        flags = " ".join(str(int(flag)) for flag in self.attributes)
        return f"{self.coordinates} {self.box} {flags} {self.image}\n"

    def subset_line(self) -> str:
        return f"{self.coordinates} {self.image}\n"


def face_generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The random numbers of one face depend only on these three."""
    return np.random.default_rng([seed, SPLITS.index(split), index])


def image_name(split: str, index: int) -> str:
    event = _EVENTS[index % len(_EVENTS)]
    return f"{event}/{event.replace('--', '_')}_{split}_{index:06d}.jpg"


def _entry(face: Face, image: str) -> _Entry:
    coordinates = " ".join(f"{value:.6f}" for value in face.landmarks.ravel())
    box = " ".join(str(int(value)) for value in face.box)
    return _Entry(coordinates, box, face.attributes, image)


def _render_to_disk(job: _Job) -> _Entry:
    cv2.setNumThreads(1)
    face = render_face(face_generator(job.seed, job.split, job.index), job.size)
    name = image_name(job.split, job.index)
    quality = [cv2.IMWRITE_JPEG_QUALITY, face.framing.quality]
    done, encoded = cv2.imencode(".jpg", face.image, quality)
    if not done:
        raise RuntimeError(f"OpenCV could not encode {name} as JPEG")
    Path(job.root, "WFLW_images", name).write_bytes(encoded.tobytes())
    return _entry(face, name)


def _entries(jobs: list[_Job], workers: int) -> Generator[_Entry, None, None]:
    if workers == 1:
        threads = cv2.getNumThreads()
        try:
            yield from map(_render_to_disk, jobs)
        finally:
            cv2.setNumThreads(threads)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            with _unheard_by_children(signal.SIGINT):
                rendered = pool.map(_render_to_disk, jobs, chunksize=_CHUNK)
            yield from rendered
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _unheard_by_children(number: signal.Signals) -> Iterator[None]:
    """Processes started here do not see the signal: Ctrl-C is for the one that started them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write_lists(root: Path, split: str, entries: list[_Entry]) -> None:
    """A split without faces has no list: readers refuse an empty one."""
    if not entries:
        return
    name = f"list_98pt_rect_attr_{split}.txt"
    (root / _LISTS / name).write_text("".join(entry.full_line() for entry in entries))
    if split == "test":
        for column, subset in enumerate(_SUBSET_NAMES):
            lines = [entry.subset_line() for entry in entries if entry.attributes[column]]
            (root / _SUBSETS / f"list_98pt_test_{subset}.txt").write_text("".join(lines))


def _render_set(
    root: Path,
    record: dict[str, int],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    for folder in (_LISTS, _SUBSETS, *(Path("WFLW_images", event) for event in _EVENTS)):
        (root / folder).mkdir(parents=True)
    jobs = [
        _Job(str(root), split, index, record["seed"], record["size"])
        for split in SPLITS
        for index in range(record[split])
    ]
    entries: list[_Entry] = []
    with closing(_entries(jobs, min(workers, len(jobs)))) as rendered:
        for entry in rendered:
            entries.append(entry)
            if progress is not None:
                progress(len(entries), len(jobs))
    _write_lists(root, "train", entries[: record["train"]])
    _write_lists(root, "test", entries[record["train"] :])
    (root / _RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _already_there(out: Path, record: dict[str, int]) -> bool:
    """Whether `out` is the finished set of `record`; an error if it is anything else."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise FileExistsError(f"{out} is a file; give a folder that is empty or does not exist")
    if not any(out.iterdir()):
        return False
    try:
        found = json.loads((out / _RECORD).read_text())
    except (OSError, ValueError, RecursionError):
        raise FileExistsError(
            f"{out} is not empty and not a set of synthetic faces (no readable {_RECORD}); "
            "give a folder that is empty or does not exist"
        ) from None
    if found != record:
        raise FileExistsError(
            f"{out} has other synthetic faces: {found}, wanted {record}; "
            "give another folder or remove this one"
        )
    return True


def _check_numbers(record: dict[str, int], workers: int) -> None:
    limits = {"train": 0, "test": 0, "seed": 0, "size": _MIN_SIZE}
    for name, least in limits.items():
        if record[name] < least:
            raise ValueError(f"{name} is {record[name]}; it must be at least {least}")
    if record["train"] + record["test"] == 0:
        raise ValueError("train and test are both 0; at least one face is needed")
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")


def synthesise(
    out: Path,
    train: int,
    test: int,
    seed: int,
    size: int = 256,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `train` + `test` synthetic faces to `out` in the official WFLW layout.

    Images have about `size` pixels per side. The bytes of every file depend on `train`, `test`,
    `seed` and `size` only, not on `workers` (processes; None: one per usable core).
    `progress(done, total)` is called after each face. The folder appears whole or not at all; a
    finished set with the same arguments is kept, also one that another process has made meanwhile.

    Raises ValueError for numbers out of range, FileExistsError if `out` has other content.
    """
    out = Path(out)
    workers = usable_cores() if workers is None else workers
    record = {"version": VERSION, "train": train, "test": test, "seed": seed, "size": size}
    _check_numbers(record, workers)
    if _already_there(out, record):
        return
    remove_leftovers(out.absolute().parent)
    try:
        with new_folder(out) as scratch:
            _render_set(scratch, record, workers, progress)
    except FileExistsError:
        if not _already_there(out, record):
            raise
