"""Which faces `sesame eval` evaluates on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sesame_hpc.choices import Part
from sesame_hpc.config import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.parsed import Missing
from sesame_hpc.data.formats.readers import SPLITS, detect_format, has_part, has_split, read_part
from sesame_hpc.data.formats.registry import format_of
from sesame_hpc.directories import no_directory
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import Scheme

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Faces to evaluate on. `format` None takes the run's, `part` None test if there is one.

    The part heldout are those faces of train that the run held out. `more_roots` are further data
    sets of the same scheme, evaluated together with `root`; if there are none, and `root` is the
    first data set of the run, the others of the run. `missing` are the coordinates that mean a
    point is not labelled; None takes the run's.
    """

    root: Path
    format: str | None = None
    part: Part | None = None
    more_roots: tuple[Path, ...] = ()
    missing: Missing = None

    def read(
        self, format: str, scheme: Scheme | None, run: RunFolder | None = None
    ) -> tuple[Annotations, Part]:
        """The faces and which part they are. Raises ValueError for heldout without a `run`.

        `format` is that of the run; where `root` holds no such files, theirs is detected.
        """
        update: dict[str, Any] = {"root": self.root}
        update["format"] = self.format or self._format(format, scheme, run)
        if run is None:
            data = DataConfig(**update, more_roots=self.more_roots, missing=self.missing)
            part = self.part or self._part(data, scheme)
            if part == "heldout":
                raise ValueError(
                    "--split heldout: these are the held-out faces of a run; give its folder"
                )
            return read_part(data, part, scheme), part
        config, own = run.config(), run_config(run).data
        of_run = own.more_roots if self.root in (own.root, config.data.root) else ()
        missing = self.missing or config.data.missing
        update |= {"more_roots": self.more_roots or of_run, "missing": missing}
        data = config.data.model_copy(update=update)
        part = self.part or self._part(data, scheme)
        if part != "heldout":
            return read_part(data, part, scheme), part
        return read_faces(config.model_copy(update={"data": data}), run).heldout, part

    def _format(self, format: str, scheme: Scheme | None, run: RunFolder | None) -> str:
        if not self.root.is_dir():
            raise FileNotFoundError(f"data root {no_directory(self.root)}")
        own = format if run is None else format_of(run.config().data)
        fits = any(has_split(self.root, own, split, scheme) for split in SPLITS)
        return format if fits else detect_format(self.root, scheme)

    @staticmethod
    def _part(data: DataConfig, scheme: Scheme | None) -> Part:
        return "test" if has_part(data, "test", scheme) else "train"
