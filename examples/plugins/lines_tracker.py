"""A tracker: a file of JSON lines in the run folder, and images beside it.

track:
  trackers: ["lines_tracker:Lines"]
  settings: {"lines_tracker:Lines": {file: lines.jsonl}}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from PIL import Image as PillowImage

from sesame_hpc.config import Strict
from sesame_hpc.tracking import Image, Status, TrackedRun


class Lines:
    """Writes a line for each call, as an array that begins with its name."""

    class Settings(Strict):
        """Of the tracker."""

        file: str = "lines.jsonl"
        """Its name in the run folder."""
        images: str = "lines"
        """The folder of the images, in the run folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out: TextIO
        self.images = Path()

    def start(self, run: TrackedRun) -> str:
        self.out = (run.folder / self.settings.file).open("a", encoding="utf-8")
        self.images = run.folder / self.settings.images
        self._write("start", run.name, run.run_id, run.params["model.width"])
        return run.run_id or run.name

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._write("metrics", dict(metrics), step)

    def log_image(self, key: str, image: Image, step: int) -> None:
        path = self.images / f"{key}-{step}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(image).save(path)
        self._write("image", key, image.shape, step)

    def rewind(self, stage: str, step: int) -> None:
        self._write("rewind", stage, step)

    def finish(self, status: Status) -> None:
        self._write("finish", status)
        self.out.close()

    def _write(self, *what: Any) -> None:
        print(json.dumps(what), file=self.out, flush=True)
