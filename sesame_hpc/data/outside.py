"""Images that an annotation list names outside its data set."""

from collections.abc import Iterable
from pathlib import Path

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.image_files import IMAGE_KINDS, VALID_IMAGES
from sesame_hpc.data.image_header import image_kind
from sesame_hpc.plural import counted

__all__ = ["refuse_foreign_files"]

_SHOWN = 5
_FIRST_BYTES = 64


def refuse_foreign_files(
    root: Path, tables: Iterable[Annotations], allow_outside: bool = False
) -> None:
    """Check that what is about to be copied into another set are images of the data set in `root`.

    A list that someone else wrote may name "../../secret.txt" or "/etc/passwd", or a symbolic link
    to one, and a pack or a copied export carries the bytes of the files it names. `allow_outside`
    takes images outside `root`, but nothing that does not begin as an image does.

    Raises:
        ValueError: naming the file, and the line of the list that names it.
    """
    inside = root.resolve()
    outside: list[str] = []
    for table in tables:
        rows = {image: row for row, image in enumerate(table.images)}
        for row in rows.values():
            path, source = table.image_path(row), table.sources[row]
            if not allow_outside and not path.resolve().is_relative_to(inside):
                outside.append(f"{path} ({source})")
            elif path.is_file() and not _begins_as_an_image(path):
                raise ValueError(
                    f"{path} ({source}): is not an image; only {VALID_IMAGES} are copied"
                )
    if outside:
        more = f", and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
        raise ValueError(
            f"{counted(len(outside), 'image')} outside {root}, by an absolute path, `..` or a "
            f"symbolic link: {', '.join(outside[:_SHOWN])}{more}. Who gets the copy would get "
            "these files too; --allow-outside copies them"
        )


def _begins_as_an_image(path: Path) -> bool:
    with path.open("rb") as file:
        return image_kind(file.read(_FIRST_BYTES)) in IMAGE_KINDS
