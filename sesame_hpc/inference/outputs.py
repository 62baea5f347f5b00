"""`OutputFolder`: the names of everything that `sesame predict` writes, none of them twice."""

import re
from pathlib import Path, PurePosixPath

from sesame_hpc.inference.inputs import Input
from sesame_hpc.inference.record import RECORD_NAME, read_record, write_record

__all__ = ["OutputFolder"]

_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
_DRAWN = "drawn"


class OutputFolder:
    """The folder `out`, for the outputs of `inputs`.

    `tables` are the names of files that hold all faces; with `pts` every face has a file of its
    own; with `draw` every input has a drawn copy. `files` are those written so far.

    Raises:
        ValueError: something would be written over a file that `sesame predict` did not write.
        OSError: the folder cannot be made or written.
    """

    def __init__(
        self, out: Path, inputs: list[Input], tables: list[str], *, pts: bool, draw: bool
    ) -> None:
        self.path = out
        self.files: list[Path] = []
        self._own = read_record(out) if out.is_dir() else set()
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        planned = [self._take(name) for name in (RECORD_NAME, *tables)]
        self._drawn = self._drawn_names(inputs) if draw else {}
        self._drawings = [_drawing_pattern(source) for source in inputs]
        self._stems = self._pts_stems(inputs) if pts else {}
        planned += list(self._drawn.values())
        planned += [f"{self._stems[each.name]}.pts" for each in inputs if pts and not each.is_video]
        self._refuse_foreign([out / name for name in planned])
        self._noted = self._own | {out / name for name in planned}
        write_record(out, self._noted)

    def drawn(self, source: Input) -> Path:
        """Where the drawn copy of an input belongs."""
        return self.path / self._drawn[source.name]

    def pts(self, source: Input, frame: int | None, face: int) -> Path:
        """A name of its own for a face: NAME.pts, NAME-2.pts; of videos NAME/000000.pts."""
        stem = self._stems[source.name] + ("" if frame is None else f"/{frame:06d}")
        number = f"-{face + 1}" if face else ""
        if frame is None and not face:
            return self.path / f"{stem}.pts"
        name, whole = f"{stem}{number}", source.name.replace(".", "_")
        while not self._is_free(f"{name}.pts") or self._is_foreign(self.path / f"{name}.pts"):
            name, whole = f"{whole}{number}", f"{whole}_"
        return self.path / self._take(f"{name}.pts")

    def close(self) -> int:
        """Remove outdated files of earlier predictions; note what was written.

        A table of all faces replaces the earlier one, so drawings that are not of this prediction
        go. Where every face has a file of its own, those of other inputs stay, and of these inputs
        the files of further faces go that are not found any more.

        Returns the number of files removed.
        """
        stale = {path for path in self._own - set(self.files) if self._is_stale(path)}
        removed = 0
        for path in stale:
            if path.is_file():
                path.unlink()
                removed += 1
            self._remove_empty(path.parent)
        write_record(self.path, (self._noted - stale) | set(self.files))
        return removed

    def _is_stale(self, path: Path) -> bool:
        """Whether an output of an earlier prediction, not written by this one, is out of date."""
        name = path.relative_to(self.path).as_posix()
        if name.startswith(f"{_DRAWN}/"):
            return not self._stems or any(re.fullmatch(each, name) for each in self._drawings)
        stem = name.removesuffix(".pts")
        return stem != name and any(
            stem == own or re.fullmatch(rf"{re.escape(own)}(-\d+|/\d+(-\d+)?)", stem)
            for own in self._stems.values()
        )

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.path and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _drawn_names(self, inputs: list[Input]) -> dict[str, str]:
        """Those that keep their names first, so that no other takes them."""
        kept = [source for source in inputs if _keeps_its_name(source)]
        names = {source.name: self._take(f"{_DRAWN}/{source.name}") for source in kept}
        for source in inputs:
            if source.name not in names:
                suffix = ".mp4" if source.is_video else ".png"
                name = f"{_DRAWN}/{source.name}"
                while not self._is_free(name + suffix):
                    name += "_"
                names[source.name] = self._take(name + suffix)
        return names

    def _pts_stems(self, inputs: list[Input]) -> dict[str, str]:
        """NAME without its suffix, or NAME_SUFFIX where several inputs differ in that alone."""
        plain = {source.name: PurePosixPath(source.name).with_suffix("") for source in inputs}
        shared = [stem.as_posix().casefold() for stem in plain.values()]
        stems = {
            name: self._take(f"{stem}.pts")
            for name, stem in plain.items()
            if shared.count(stem.as_posix().casefold()) == 1 and self._is_free(f"{stem}.pts")
        }
        for name in plain:
            if name not in stems:
                stem = name.replace(".", "_")
                while not self._is_free(f"{stem}.pts"):
                    stem += "_"
                stems[name] = self._take(f"{stem}.pts")
        return {name: file.removesuffix(".pts") for name, file in stems.items()}

    def _take(self, name: str) -> str:
        path = PurePosixPath(name)
        self._taken.add(name.casefold())
        self._folders |= {parent.as_posix().casefold() for parent in path.parents}
        return name

    def _is_free(self, name: str) -> bool:
        """No file has this name, is a folder above it, or lies in a folder of this name."""
        path = PurePosixPath(name.casefold())
        above = {parent.as_posix() for parent in path.parents}
        return (
            not ({path.as_posix()} | above) & self._taken and path.as_posix() not in self._folders
        )

    def _is_foreign(self, path: Path) -> bool:
        return path.exists() and path not in self._own

    def _refuse_foreign(self, planned: list[Path]) -> None:
        foreign = [path for path in planned if path.name != RECORD_NAME and self._is_foreign(path)]
        if foreign:
            more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            raise ValueError(
                f"{foreign[0]}{more} would be overwritten, and was not written by sesame predict: "
                "give another --out"
            )


def _drawing_pattern(source: Input) -> str:
    """What matches the names that a drawn copy of an input can have."""
    end = "" if _keeps_its_name(source) else r"_*\.mp4" if source.is_video else r"_*\.png"
    return re.escape(f"{_DRAWN}/{source.name}") + end


def _keeps_its_name(source: Input) -> bool:
    return not source.is_video and Path(source.name).suffix.lower() in _KEPT_SUFFIXES
