"""A data format: train.jsonl and test.jsonl, with a face per line.

{"image": "images/1.jpg", "points": [[30.5, 41.0], ...], "box": [10, 12, 90, 95]}

Image names are relative to the data set's folder, and coordinates are pixels whose centres are
integers, unless `centres` says otherwise. A point that is not labelled is null.

data:
  format: json_lines:JsonLines
  scheme: my_points.yaml
"""

import json
import math
from pathlib import Path

from sesame_hpc.choices import Split
from sesame_hpc.config import Strict
from sesame_hpc.data.formats.faults import Fault, read_lines
from sesame_hpc.data.formats.parsed import Missing, Parsed, ParsedFace, parse_result
from sesame_hpc.schemes import Scheme


class JsonLines:
    """Reads such files."""

    class Settings(Strict):
        """Of the format."""

        centres: bool = True
        """Whether integers are the centres of pixels; else they are corners."""

    looks_like = "train.jsonl"
    scheme = None

    def __init__(self, settings: Settings) -> None:
        self.shift = 0.5 if settings.centres else 0.0

    def has_split(self, root: Path, split: Split, scheme: Scheme | None) -> bool:
        return (root / f"{split}.jsonl").is_file()

    def parse(self, root: Path, split: Split, scheme: Scheme, missing: Missing) -> Parsed:
        path = root / f"{split}.jsonl"
        if not path.is_file():
            raise FileNotFoundError(f"no {split} split: {path} does not exist")
        faces: list[ParsedFace] = []
        faults: list[Fault] = []
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip():
                continue
            try:
                faces.append(self._face(line, f"{path}:{number}", scheme))
            except Fault as fault:
                faults.append(fault)
        what = f"faces of {path}"
        return parse_result(what, scheme, root, faces, faults, shift=self.shift, missing=missing)

    def _face(self, line: str, place: str, scheme: Scheme) -> ParsedFace:
        try:
            face = json.loads(line)
            image, points, box = face["image"], face["points"], face.get("box")
            flat = [float(x) for point in points for x in (point or (math.nan, math.nan))]
            edges = None if box is None else [float(x) + self.shift for x in box]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Fault(
                "layout", place, f"is not a face: {type(error).__name__}: {error}"
            ) from None
        if len(flat) != 2 * scheme.num_landmarks or (edges is not None and len(edges) != 4):
            raise Fault(
                "fields", place, f"must have {scheme.num_landmarks} points x, y and a box of four"
            )
        return ParsedFace(place, str(image), flat, edges)
