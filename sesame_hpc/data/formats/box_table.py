"""`boxes.csv`: boxes for formats whose annotations have none."""

from pathlib import Path

from sesame_hpc.data.findings import Finding
from sesame_hpc.data.formats.faults import Fault
from sesame_hpc.data.formats.numbers import FARTHEST, finite_numbers
from sesame_hpc.data.formats.text_tables import read_text_table
from sesame_hpc.data.image_names import resolve_names

__all__ = ["BOX", "BOX_FILE", "read_box_table"]

BOX = ("x_min", "y_min", "x_max", "y_max")
BOX_FILE = "boxes.csv"


def read_box_table(
    folder: Path, images: list[str], faults: list[Fault], findings: list[Finding]
) -> dict[str, list[float]]:
    """The box of each of `images` that `folder/boxes.csv` has one for, in corner-based pixels.

    The table has the columns image, x_min, y_min, x_max, y_max. Faults and what the table lacks
    are appended. Nothing where there is no such file.
    """
    path = folder / BOX_FILE
    if not path.is_file():
        return {}
    rows: dict[str, list[tuple[str, list[float]]]] = {}
    try:
        table = read_text_table(path)
        where = {name: position for position, name in enumerate(table.names)}
        if lacking := [name for name in ("image", *BOX) if name not in where]:
            problem = f"lacks the column {lacking[0]}; takes image, {', '.join(BOX)}"
            raise Fault("layout", table.place, problem, fatal=True)
        for place, row in table.rows:
            numbers = None
            if len(row) == len(table.names):
                numbers = finite_numbers([row[where[name]] for name in BOX])
            if numbers is None:
                problem = f"is not a box: image and four finite numbers, at most {FARTHEST:g}"
                faults.append(Fault("number", place, problem))
                continue
            rows.setdefault(row[where["image"]], []).append((place, numbers))
    except Fault as fault:
        faults.append(fault)
        return {}
    names = resolve_names(rows, images)
    boxes: dict[str, list[float]] = {}
    for name, image in names.found.items():
        for place, numbers in rows[name]:
            if boxes.setdefault(image, numbers) != numbers:
                problem = f"is another box of {name!r:.80}, which has one face: leave one of them"
                faults.append(Fault("layout", place, problem))
    for name in names.missing:
        message = f"{name!r} is not an image with landmarks: left out"
        findings.append(Finding("note", "not-a-face", rows[name][0][0], message))
    if absent := [image for image in images if image not in boxes]:
        message = f"has no box for {len(absent)} of {len(images)} images, such as {absent[0]}: "
        message += "they take the tight box of their landmarks"
        findings.append(Finding("warning", "box-absent", str(path), message))
    return boxes
