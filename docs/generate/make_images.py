"""The images of the README, from a finished run: python docs/generate/make_images.py runs/demo.

Writes docs/images/faces.jpg (landmarks, masks, reconstructions of held-out faces) and
docs/images/report.png (its report page, by headless Chromium). Use a run on synthetic faces:
the images are part of the repository.
"""

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.geometry import apply
from sesame_hpc.data.loading.loader import Batch, EvalLoader
from sesame_hpc.data.viewing.draw import draw_face
from sesame_hpc.files import write_bytes_atomic
from sesame_hpc.masking.masker import Masker
from sesame_hpc.models.heads import ReconstructionNet
from sesame_hpc.report import write_report
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.training.checkpoint import load_weights

IMAGES = Path(__file__).parents[1] / "images"

_COLUMNS, _SIDE, _GAP = 6, 192, 4
_JPEG_QUALITY, _COLOURS = 88, 128
_DEVICE = torch.device("cpu")

# Two parts of the page beside each other, each in a window of its own.
_MONTAGE = """<!doctype html><style>
body {{ margin: 0; display: flex; gap: 16px; padding: 16px; background: #d7dde0 }}
iframe {{ border: 0; width: 960px; height: 1150px; background: white; border-radius: 6px }}
</style><iframe src="{page}#summary"></iframe><iframe src="{page}#landmarks"></iframe>"""
_WINDOW = (2 * 960 + 3 * 16, 1150 + 2 * 16)
_CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
)


@dataclass(frozen=True)
class _Run:
    """A finished run and the held-out faces to show."""

    folder: RunFolder
    faces: Annotations
    rows: np.ndarray

    def batch(self, size: int) -> Batch:
        """Crops of the shown faces, `size` pixels per side."""
        data = run_config(self.folder).data
        shown = self.faces.select(self.rows)
        return next(iter(EvalLoader(shown, data, size, batch_size=len(self.rows), device=_DEVICE)))


def faces_image(run: _Run) -> np.ndarray:
    """Rows: crops with landmarks found, masked inputs, crops with reconstructions in the masks."""
    config = run_config(run.folder)
    network = ReconstructionNet(config.model, config.head).eval()
    network.load_state_dict(load_weights(run.folder.weights("pretrain")))
    probabilities = run.folder.masking
    assert probabilities is not None
    masker = Masker(probabilities, run.faces.scheme, config.masking, config.seed)
    batch = run.batch(config.model.image_size)
    masked, lam = masker(batch, "heldout", 0)
    with torch.no_grad():
        filled = F.interpolate(network(masked)[-1], size=masked.shape[-2:], mode="bilinear")
    restored = (1 - lam) * batch.images + lam * filled
    return np.concatenate([_row(_found(run)), _row(_pixels(masked)), _row(_pixels(restored))])


def _found(run: _Run) -> list[np.ndarray]:
    """Crops with the landmarks that finetune's network found."""
    batch = run.batch(_SIDE)
    with np.load(run.folder.predictions("finetune", "heldout")) as archive:
        points = archive["points"][run.rows]
    return [
        draw_face(crop, apply(matrix, found), run.faces.scheme)
        for crop, matrix, found in zip(
            _pixels(batch.images), batch.matrices.numpy(), points, strict=True
        )
    ]


def _pixels(images: torch.Tensor) -> list[np.ndarray]:
    return list((images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _row(tiles: list[np.ndarray]) -> np.ndarray:
    large = [cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) for tile in tiles]
    gap = np.full((_SIDE, _GAP, 3), 255, np.uint8)
    row = np.concatenate([part for tile in large for part in (tile, gap)][:-1], axis=1)
    return np.concatenate([row, np.full((_GAP, row.shape[1], 3), 255, np.uint8)])


def report_image(folder: RunFolder) -> np.ndarray:
    """Two windows on the run's report page. FileNotFoundError without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("no chromium here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        page = write_report(folder, work / "report.html")
        montage, shot = work / "montage.html", work / "shot.png"
        montage.write_text(_MONTAGE.format(page=page.as_uri()))
        window = f"--window-size={_WINDOW[0]},{_WINDOW[1]}"
        options = [*_CHROMIUM, f"--user-data-dir={work / 'profile'}", window]
        command = [chromium, *options, f"--screenshot={shot}", montage.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        image = cv2.imread(str(shot))
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def main() -> None:
    """Write both images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run on synthetic faces")
    folder = RunFolder(parser.parse_args().run)
    config = run_config(folder)
    heldout = read_faces(config, folder).heldout
    run = _Run(folder, heldout, np.arange(min(_COLUMNS, len(heldout))))
    faces = cv2.cvtColor(faces_image(run), cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", faces, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    write_bytes_atomic(IMAGES / "faces.jpg", jpeg.tobytes())
    write_bytes_atomic(IMAGES / "report.png", _png(report_image(folder)))


def _png(image: np.ndarray) -> bytes:
    """As PNG with a palette, a third of the size; rare colours, as of a legend, are kept."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    palette = Image.fromarray(image).quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
    palette.save(buffer, "png", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
