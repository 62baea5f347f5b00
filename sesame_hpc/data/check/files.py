"""Checks of the files themselves: faults that the readers found, and images."""

from collections.abc import Iterator

from sesame_hpc.data.check.images import ProbedImage
from sesame_hpc.data.check.inventory import Inventory
from sesame_hpc.data.findings import Finding, Level
from sesame_hpc.data.image_files import IMAGE_KINDS

__all__ = ["check_faults", "check_images"]

_COLOURS = {
    "grey": "is grey; the network sees three equal channels",
    "alpha": "has transparency; it is dropped, and what is hidden shows",
    "cmyk": "is CMYK; decoders turn it into RGB, and do not agree on how",
}


def check_faults(inventory: Inventory) -> Iterator[Finding]:
    """What keeps a line or a file from being a face, and what the readers skipped."""
    for parsed in inventory.parts.values():
        yield from parsed.findings
        for fault in parsed.faults:
            yield Finding("error", fault.kind, fault.place, fault.problem)


def check_images(inventory: Inventory) -> Iterator[Finding]:
    """Files that do not decode, and files whose pixels may not be what their makers expect."""
    source_of = {}
    for face in reversed(inventory.faces):
        source_of[face.path] = face.source
    for path, image in inventory.images.items():
        yield from _check_image(image, source_of[path])


def _check_image(image: ProbedImage, source: str) -> Iterator[Finding]:
    path, header = image.path, image.header
    if image.problem is not None:
        yield Finding("error", "unreadable", source, f"{path} {image.problem}")
        return
    if image.damaged:
        message = f"{path} decodes, but its data are damaged; look at it"
        yield Finding("warning", "damaged", source, message)
    if header is None:
        return
    if path.suffix.lower() not in IMAGE_KINDS[header.kind]:
        yield Finding("note", "suffix", source, f"{path} is a {header.kind} by its content")
    if header.colours != "rgb":
        level: Level = "warning" if header.colours == "cmyk" else "note"
        yield Finding(level, header.colours, source, f"{path} {_COLOURS[header.colours]}")
    if header.orientation != 1:
        width, height = image.size or (0, 0)
        message = (
            f"{path} is turned by EXIF (orientation {header.orientation}); landmarks must be "
            f"those of the upright image of {width} x {height}"
        )
        yield Finding("warning", "rotated", source, message)
