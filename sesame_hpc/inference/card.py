"""The model card of an export: what the model is, how good, and under which terms."""

from pathlib import Path
from typing import Any

from sesame_hpc.config import DataConfig
from sesame_hpc.files import read_json, write_json_atomic, write_text_atomic
from sesame_hpc.inference.card_header import card_header, earlier_licence
from sesame_hpc.inference.manifest import Manifest

__all__ = ["note_export", "refuse_mixture", "write_card"]

_CHECKS_FILE = "export.json"
_UNKNOWN_LICENCE = "State the terms of use of the images here."
_WINDOWS = {
    "square": "the square around the centre of the face's box",
    "landmarks": "the square around the centre of the tight box of the face's landmarks",
    "letterbox": "the face's box, enlarged and black beside it up to the square around its centre",
}
_LICENCES = {
    "wflw": "WFLW's terms allow research only, not commercial use.",
    "pts": "300-W and its parts (LFPW, HELEN, AFW, IBUG) are for research only.",
}


def note_export(out: Path, name: str, figures: dict[str, Any]) -> None:
    """Keep what the check of a file found, for the card."""
    write_json_atomic(out / _CHECKS_FILE, _checks(out) | {name: figures})


def refuse_mixture(out: Path, manifest: Manifest) -> None:
    """Raise ValueError where `out` has exports of another network: one card describes one."""
    for name, found in _checks(out).items():
        if found.get("of", manifest.title) != manifest.title:
            raise ValueError(
                f"{out / name} is {found['of']}: give another --out for {manifest.title}, or "
                "remove that folder"
            )


def write_card(
    out: Path,
    data: DataConfig,
    tables: dict[str, dict[str, Any]],
    manifest: Manifest,
    licence: str | None = None,
) -> Path:
    """Write `README.md` below `out`, with everything that was exported there so far.

    `tables` are the JSON of the network's figures by part: heldout, test. `licence` is the model's,
    as hubs call it; None: that of the card before.
    """
    path = out / "README.md"
    checks = _checks(out)
    licence = licence or earlier_licence(path)
    parts = [
        _head(manifest),
        _metrics(tables),
        _input(manifest),
        _confidence(manifest),
        _files(checks),
        _terms(data),
    ]
    header = card_header(manifest, data, tables, list(checks), licence)
    write_text_atomic(path, f"{header}\n" + "\n\n".join(part for part in parts if part) + "\n")
    return path


def _checks(out: Path) -> dict[str, Any]:
    path = out / _CHECKS_FILE
    return read_json(path) if path.exists() else {}


def _head(manifest: Manifest) -> str:
    model, scheme = manifest.model, manifest.scheme
    return (
        f"# {manifest.title}\n\n"
        f"{scheme.num_landmarks} facial landmarks (scheme {scheme.name}), by a stacked hourglass "
        f"of {model.stacks} stack{'s' * (model.stacks > 1)}, {model.width} channels, "
        f"{model.image_size} x {model.image_size} pixels in, {model.map_size} x {model.map_size} "
        "maps, and a soft-argmax. Trained with sesame-hpc in three stages (SESAME, Choi et al., "
        "JCSE 19(2), 2025)." + _which(manifest)
    )


def _which(manifest: Manifest) -> str:
    averaged = (
        " Its weights are the moving average (EMA) of those of training."
        if manifest.weights == "ema"
        else ""
    )
    flipped = (
        " It gives the mean of what it finds in the crop and in its mirrored image (flip test), "
        "at twice the cost; both are in the model, which takes the crop alone."
        if manifest.flip
        else ""
    )
    return averaged + flipped


def _metrics(tables: dict[str, dict[str, Any]]) -> str:
    if not tables:
        return ""
    names = {"heldout": "held-out", "test": "test"}
    heads = [f"{names[part]} ({table['faces']} faces)" for part, table in tables.items()]
    rows = ["| region | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for region in next(iter(tables.values()))["regions"]:
        cells = (_printed(table["regions"][region]) for table in tables.values())
        rows.append(f"| {region} | " + " | ".join(cells) + " |")
    rows.append(
        "| **all points** | " + " | ".join(_whole(table) for table in tables.values()) + " |"
    )
    return (
        "## Accuracy\n\nNormalised mean error in percent: mean distance over "
        "the distance of the outer eye corners, in original pixels; in brackets its 95 % interval "
        "over faces, where known.\n\n" + "\n".join(rows)
    )


def _whole(table: dict[str, Any]) -> str:
    bounds = (table.get("intervals") or {}).get("nme")
    interval = f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else ""
    return f"{table['nme']:.3f}{interval}"


def _printed(nme: float | None) -> str:
    return "not labelled" if nme is None else f"{nme:.3f}"


def _input(manifest: Manifest) -> str:
    size, scale = manifest.model.image_size, manifest.box.scale
    window = _WINDOWS[manifest.box.protocol]
    return f"""## Inputs and outputs

**Boxes.** The crop is {window}, its side {scale:g} times the box's
longer side, scaled to {size} x {size}; black beyond the image. Boxes should be like those of the
training data; others cost accuracy.

**Images.** `images`: float32 [B, 3, {size}, {size}], RGB in [0, 1].

**Coordinates.** `points`: [B, {manifest.scheme.num_landmarks}, 2], x and y in [0, 1] of the crop,
whose corners are (0, 0) and (1, 1); multiply by the window's side and add its upper left corner
for pixels with corners at integers. `spread`: [B, {manifest.scheme.num_landmarks}], the standard
deviation of each heat map in fractions of the crop side.

```python
from sesame_hpc import Landmarker

landmarks = Landmarker.load(PATH)(image, boxes)  # uint8 RGB [H, W, 3], [F, 4] in pixels
```"""


def _confidence(manifest: Manifest) -> str:
    calibration, check = manifest.calibration, manifest.check
    if calibration is None:
        return "## Confidence\n\nNot calibrated: the held-out faces were not there at the export."
    text = (
        "## Confidence\n\nThe probability that a landmark's error is at most "
        f"{calibration.threshold:g} % of the outer eye corners' distance, from the spread of its "
        f"heat map and those of its face, calibrated on {calibration.faces} held-out faces."
    )
    if check is not None:
        text += (
            f" Cross-fit on those: confidence and observed share differ by {100 * check.gap:.1f} "
            f"points on average; Brier score {check.brier:.3f} (always saying the overall share: "
            f"{check.brier_constant:.3f}); rank correlation of expected and actual error "
            f"{check.rank_correlation:.2f}. It holds for faces like these, with boxes like these."
        )
    return text


def _files(checks: dict[str, Any]) -> str:
    rows = [f"| `{name}` | {_found(figures)} |" for name, figures in sorted(checks.items())]
    return "## Files\n\n| file | check |\n|---|---|\n" + "\n".join(rows)


def _found(figures: dict[str, Any]) -> str:
    if "nme" in figures:
        return (
            f"NME {figures['nme']:.3f} % on {figures['checked_on']}, "
            f"{figures['nme_against_fp32']:+.3f} against fp32"
        )
    rounding = ""
    if "pytorch_error_px_float64" in figures:
        rounding = (
            f"; against float64 {figures['largest_error_px_float64']:.1e}, "
            f"where PyTorch itself is {figures['pytorch_error_px_float64']:.1e} off"
        )
    return (
        f"largest coordinate error against PyTorch {figures['largest_error_px']:.1e} px of the "
        f"crop, on {figures['checked_on']}{rounding}"
    )


def _terms(data: DataConfig) -> str:
    licence = _LICENCES.get(data.format, _UNKNOWN_LICENCE)
    return (
        f"## Data and terms\n\nTrained on images in the `{data.format}` format, "
        f"{data.heldout} faces of them held out. {licence} If this model was trained on them, "
        "their terms bind its use as well; with other images, those of their owners. The "
        "software that made it is under Apache-2.0."
    )
