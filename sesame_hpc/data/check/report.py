"""`check_data`: one pass over a data set, and the report of what it found."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.choices import BoxProtocol
from sesame_hpc.config.schema import BoxConfig
from sesame_hpc.data.check.geometry import crop_floor
from sesame_hpc.data.check.inventory import Inventory, take_inventory
from sesame_hpc.data.check.packs import unchecked_of_pack
from sesame_hpc.data.check.registry import CHECKS, TITLES
from sesame_hpc.data.findings import LEVELS, Finding, Level
from sesame_hpc.data.formats.parsed import Missing
from sesame_hpc.data.formats.readers import detect_format, scheme_of
from sesame_hpc.data.formats.registry import format_named
from sesame_hpc.data.pack.manifest import read_settings
from sesame_hpc.directories import no_directory
from sesame_hpc.schemes import Scheme

__all__ = ["Report", "SplitCounts", "check_data"]

CLEAN, FOUND, UNREADABLE = 0, 1, 2


@dataclass(frozen=True)
class SplitCounts:
    """A split of the data set in numbers.

    `crop_floor` is the mean NME in percent that remains when every landmark outside its crop is
    put on the crop's edge, over faces whose normaliser is labelled; `faces_outside_crop` how many
    faces have one. `faults` counts lines or files that cannot be read.
    """

    split: str
    faces: int
    images: int
    faults: int
    faces_outside_crop: int
    crop_floor: float


@dataclass(frozen=True)
class Report:
    """All findings, the most severe first, and the parts that were read.

    `box` says which crops `SplitCounts.crop_floor` is of; `unchecked` what such a data set does
    not have.
    """

    root: Path
    format: str
    scheme: str
    box: BoxConfig
    parts: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()

    def count(self, level: Level) -> int:
        return sum(finding.level == level for finding in self.findings)

    def groups(self) -> list[list[Finding]]:
        """Findings by level and check: the most severe first, then the most frequent."""
        groups: dict[tuple[Level, str], list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault((finding.level, finding.check), []).append(finding)
        return sorted(groups.values(), key=lambda g: (LEVELS.index(g[0].level), -len(g)))

    def exit_code(self, strict: bool = False) -> int:
        """0 clean, 1 with errors or warnings (`strict`: or notes), 2 if no face can be read."""
        if not any(part.faces for part in self.parts):
            return UNREADABLE
        counted = LEVELS if strict else LEVELS[:-1]
        return FOUND if any(finding.level in counted for finding in self.findings) else CLEAN

    def to_json(self) -> dict[str, Any]:
        return {
            "root": str(self.root),
            "format": self.format,
            "scheme": self.scheme,
            "box": {"protocol": self.box.protocol, "scale": self.box.scale},
            "unchecked": list(self.unchecked),
            "parts": [asdict(part) for part in self.parts],
            "counts": {level: self.count(level) for level in LEVELS},
            "findings": [
                {"title": TITLES[finding.check], **asdict(finding)} for finding in self.findings
            ],
        }


def check_data(
    root: str | Path,
    format: str | None = None,
    scheme: Scheme | None = None,
    *,
    missing: Missing = None,
    protocol: BoxProtocol | None = None,
    crop_scale: float | None = None,
    threads: int | None = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read all parts of a data set and run every check.

    Args:
        root: the data set's folder.
        format: its format; None takes what is there.
        scheme: the scheme of its landmarks; None takes the format's, or the pack's, own.
        missing: the x, y that its files write for a point that is not labelled.
        protocol: of the boxes that crops are cut around, for what falls outside of these; None
            takes that of a pack of crops, else square.
        crop_scale: side of the crop over the longer side of a face's box; None as `protocol`.
        threads: threads that decode images; None leaves images alone.
        progress: called with the number of images looked at and of all.

    Raises:
        FileNotFoundError: no such folder, or no part in it.
        ValueError: no scheme, it is not clear which file is a part, or a pack of no known version.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data root {no_directory(root)}")
    format = format or detect_format(root, scheme)
    box = read_settings(root).box if format_named(format).packed else BoxConfig()
    asked = {"protocol": protocol or box.protocol, "scale": crop_scale or box.scale}
    inventory = take_inventory(
        root,
        format,
        scheme or scheme_of(root, format),
        box=box.model_copy(update=asked),
        missing=missing,
        threads=threads,
        progress=progress,
    )
    findings = [finding for check in CHECKS for finding in check(inventory)]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(
        root,
        format,
        inventory.scheme.name,
        inventory.box,
        _parts(inventory),
        tuple(findings),
        unchecked_of_pack(inventory),
    )


def _mean(floors: NDArray[np.float64] | None) -> float:
    """Over the faces whose normaliser is labelled; 0 where there are none."""
    known = floors[np.isfinite(floors)] if floors is not None else np.zeros(0)
    return float(known.mean()) if len(known) else 0.0


def _parts(inventory: Inventory) -> tuple[SplitCounts, ...]:
    parts = []
    for split, parsed in inventory.parts.items():
        faces = parsed.faces
        floors, outside = crop_floor(faces, inventory.box) if len(faces) else (None, None)
        parts.append(
            SplitCounts(
                split=split,
                faces=len(faces),
                images=len(set(faces.images)),
                faults=len(parsed.faults),
                faces_outside_crop=int((outside > 0).sum()) if outside is not None else 0,
                crop_floor=_mean(floors),
            )
        )
    return tuple(parts)
