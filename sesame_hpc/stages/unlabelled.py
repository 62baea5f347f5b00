"""Faces without labels from a folder of images (`data.unlabelled`), as a table for pretrain."""

import csv
import io
import logging
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sesame_hpc.checksums import read_verified
from sesame_hpc.config import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.faults import Fault, FaultKind
from sesame_hpc.data.formats.parsed import OnError, Parsed
from sesame_hpc.data.image_files import VALID_IMAGES, files_below, is_hidden, is_image_name
from sesame_hpc.data.image_header import upright_size
from sesame_hpc.directories import no_directory
from sesame_hpc.inference.box_problem import box_problem
from sesame_hpc.inference.boxes import read_boxes
from sesame_hpc.inference.detector import YuNet
from sesame_hpc.inference.images import read_image
from sesame_hpc.inference.inputs import Input
from sesame_hpc.plural import counted
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import Scheme

__all__ = ["FIRST_ID", "box_file", "given_boxes", "read_unlabelled"]

FIRST_ID = 1 << 32
"""Sample ids of unlabelled faces begin here, above those of any data set."""

_BOX_FILES = ("boxes.csv", "boxes.json")
_COLUMNS = ("image", "x_min", "y_min", "x_max", "y_max")

_log = logging.getLogger(__name__)

Row = tuple[str, tuple[float, ...], str]
"""The image of a face, its box, and where both were read."""


def read_unlabelled(
    data: DataConfig,
    scheme: Scheme,
    folder: RunFolder,
    tell: Callable[[str], None] = lambda text: None,
) -> Annotations | None:
    """The faces of `data.unlabelled`, no point of which is labelled; None where there are none.

    Images without a box are left out. Boxes that YuNet found are those that the run in
    `folder` remembers once it is under way. `tell` is called before anything that takes long.

    Raises:
        FileNotFoundError: no such folder or file of boxes, or no weights of YuNet.
        ValueError: no face, or images and boxes that cannot be used and that `data.on_error` does
            not allow to leave out.
    """
    if data.unlabelled is None:
        return None
    root = data.unlabelled
    if not root.is_dir():
        raise FileNotFoundError(
            f"data.unlabelled: {no_directory(root)}; where the images have moved, give their "
            "new place (data.unlabelled=FOLDER)"
        )
    names = [str(path) for path in files_below(root) if is_image_name(str(path))]
    images = [name for name in names if not is_hidden(Path(name))]
    if not images:
        raise ValueError(f"data.unlabelled: {root} holds no image ({VALID_IMAGES})")
    faults: list[Fault] = []
    path = given_boxes(data, root)
    if path is not None:
        rows = _listed(root, images, path, faults)
    elif data.unlabelled_boxes == "yunet":
        rows = _detected(root, images, folder, faults, tell)
    else:
        rows = _whole(root, images, faults)
    faces = _table(root, rows, scheme)
    if not len(faces) and not faults:
        raise ValueError(f"data.unlabelled: no face in {counted(len(images), 'image')} of {root}")
    parsed = Parsed(f"data.unlabelled: {root}", faces, tuple(faults))
    kept = parsed.require(OnError(data.on_error == "skip", data.max_skipped))
    for fault in faults[:5]:
        _log.warning("left out: %s", fault)
    return kept


def given_boxes(data: DataConfig, root: Path) -> Path | None:
    """The file of boxes for the images below `root`, if any.

    Raises FileNotFoundError where `data.unlabelled_boxes` names a file that is not there.
    """
    if data.unlabelled_boxes is None:
        return next((root / name for name in _BOX_FILES if (root / name).is_file()), None)
    if data.box_file is not None and not data.box_file.is_file():
        raise FileNotFoundError(
            f"data.unlabelled_boxes: {data.box_file} is not a file; takes a CSV or JSON file of "
            "boxes, yunet or whole"
        )
    return data.box_file


def _table(root: Path, rows: list[Row], scheme: Scheme) -> Annotations:
    count = len(rows)
    boxes = np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4)
    return Annotations(
        scheme=scheme,
        root=root,
        images=tuple(image for image, _, _ in rows),
        boxes=boxes,
        landmarks=np.full((count, scheme.num_landmarks, 2), np.nan),
        attributes=np.zeros((count, 0), dtype=np.bool_),
        attribute_names=(),
        sources=tuple(place for _, _, place in rows),
        sample_ids=FIRST_ID + np.arange(count, dtype=np.int64),
    )


def _whole(root: Path, images: list[str], faults: list[Fault]) -> list[Row]:
    rows: list[Row] = []
    for image in images:
        size = _size(root / image, faults)
        if size is not None:
            rows.append((image, (0.0, 0.0, float(size[0]), float(size[1])), str(root / image)))
    return rows


def _size(path: Path, faults: list[Fault]) -> tuple[int, int] | None:
    """Width and height; None, and a fault, of an image that cannot be read."""
    try:
        return upright_size(path)
    except (OSError, ValueError) as error:
        faults.append(_fault("image", path, error))
        return None


def _fault(kind: FaultKind, place: Path | str, error: Exception | str) -> Fault:
    reason = (error.strerror or error) if isinstance(error, OSError) else error
    return Fault(kind, place, str(reason).removeprefix(f"{place}: "))


def _listed(root: Path, images: list[str], path: Path, faults: list[Fault]) -> list[Row]:
    """By a file of boxes."""
    table = read_boxes(path)
    for problem in table.problems:
        place, _, text = problem.partition(": ")
        faults.append(Fault("box", place, text))
    matched = table.match([Input(root / image, image) for image in images])
    for image, known in matched.unused.items():
        near = f"; {known}" if known else ""
        faults.append(Fault("image", path, f"{image} is not an image of {root}{near}"))
    rows: list[Row] = []
    for image in images:
        source = Input(root / image, image)
        if not matched.has(source):
            continue
        boxes, orders = matched.of(source)
        size = _size(source.path, faults)
        if size is None:
            continue
        for box, order in zip(boxes, orders, strict=True):
            place = table.places[order]
            wrong = box_problem(box, *size)
            if wrong is not None:
                faults.append(Fault("box", place, wrong))
            else:
                rows.append((image, tuple(box.tolist()), place))
    return rows


def _detected(
    root: Path,
    images: list[str],
    folder: RunFolder,
    faults: list[Fault],
    tell: Callable[[str], None],
) -> list[Row]:
    """By YuNet, unless the run has recorded what it found."""
    recorded = folder.boxes_file
    if folder.has_progress() and _is_whole(recorded):
        return _listed(root, images, recorded, faults)
    key = _fingerprint(root, images)
    if key not in _latest:
        tell(f"detecting faces in {counted(len(images), 'unlabelled image')} by YuNet")
        found = _detect(root, images)
        _latest.clear()
        _latest[key] = found
    rows, unread = _latest[key]
    faults += unread
    return list(rows)


_latest: dict[str, tuple[list[Row], list[Fault]]] = {}
"""The last result: all runs of a study ask for the same images."""


def _is_whole(path: Path) -> bool:
    try:
        read_verified(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _fingerprint(root: Path, images: list[str]) -> str:
    digest = blake2b()
    for image in images:
        state = (root / image).stat()
        digest.update(f"{root / image}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _detect(root: Path, images: list[str]) -> tuple[list[Row], list[Fault]]:
    detector = YuNet(None)
    rows: list[Row] = []
    faults: list[Fault] = []
    for image in images:
        path = root / image
        try:
            pixels = read_image(path)
        except (OSError, ValueError) as error:
            faults.append(_fault("image", path, error))
            continue
        height, width = pixels.shape[:2]
        for box in detector(pixels):
            if box_problem(box, width, height) is None:
                rows.append((image, tuple(box.tolist()), str(path)))
    return rows, faults


def box_file(faces: Annotations) -> bytes:
    """The boxes of `faces` as CSV, as `sesame predict --boxes` reads them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for image, box in zip(faces.images, faces.boxes.tolist(), strict=True):
        writer.writerow([image, *map(repr, box)])
    return text.getvalue().encode()
