"""A sheet of masked inputs, with the masking of the pretrain stage."""

from dataclasses import replace
from pathlib import Path

import torch

from sesame_hpc.config import DataConfig, MaskingConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import EvalLoader
from sesame_hpc.data.viewing.sheet import arrange, captioned, write_png
from sesame_hpc.data.viewing.show_augment import batch_tiles
from sesame_hpc.files import read_json
from sesame_hpc.schemes import Scheme
from sesame_hpc.stages.reconstruction import Masker

__all__ = ["masked_sheet", "read_masking"]

_DRAWS = 5


def read_masking(path: Path, scheme: Scheme) -> dict[str, float]:
    """The probability of each region of `scheme` in a run's `masking.json`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not a mapping of the scheme's regions to probabilities.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--masking: no file {path}; a finished run has RUN/masking.json")
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != set(scheme.regions):
        raise ValueError(
            f"{path}: must have a probability for each region of scheme {scheme.name}: "
            f"{', '.join(scheme.regions)}"
        )
    for region, share in content.items():
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"{path}: {region} is {share!r}; takes a probability above 0")
    return content


def masked_sheet(
    annotations: Annotations,
    data: DataConfig,
    out: Path,
    probabilities: dict[str, float] | None = None,
    size: int = 192,
    seed: int = 0,
) -> Path:
    """Draw one row per face: its crop with landmarks, then the masked inputs of the first epochs.

    `probabilities` of regions to be masked; None for uniform ones. Writes the PNG `out` of crops of
    `size` pixels, and returns `out`.

    Raises:
        ValueError: no face, or an image that cannot be read.
    """
    if not len(annotations):
        raise ValueError("nothing to draw: the annotations have no face")
    scheme = annotations.scheme
    shares = probabilities or {region: 1 / len(scheme.regions) for region in scheme.regions}
    device = torch.device("cpu")
    loader = EvalLoader(annotations, data, size, batch_size=len(annotations), device=device)
    batch = next(iter(loader))
    masker = Masker(shares, scheme, MaskingConfig(), seed)
    columns = [[captioned(tile, ["crop"]) for tile in batch_tiles(batch, scheme)]]
    for epoch in range(_DRAWS):
        masked, _ = masker(batch, "pretrain", epoch)
        tiles = batch_tiles(replace(batch, images=masked))
        columns.append([captioned(tile, [f"masked, epoch {epoch + 1}"]) for tile in tiles])
    tiles = [tile for row in zip(*columns, strict=True) for tile in row]
    write_png(arrange(tiles, len(columns)), out)
    return out
