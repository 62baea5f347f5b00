"""The YAML header of a model card, as model hubs read it."""

from pathlib import Path
from typing import Any

import yaml

from sesame_hpc.config import DataConfig
from sesame_hpc.inference.manifest import Manifest

__all__ = ["card_header", "earlier_licence"]

_FENCE = "---\n"
_METRICS = {
    "nme": ("nme", "NME (%)"),
    "fr10": ("failure_rate", "Failure rate at 10 % (%)"),
    "auc10": ("auc", "AUC up to 10 %"),
}
_SPLITS = {"heldout": "validation", "test": "test"}


def card_header(
    manifest: Manifest,
    data: DataConfig,
    tables: dict[str, dict[str, Any]],
    files: list[str],
    licence: str | None,
) -> str:
    """The header with its fences, in the terms of huggingface_hub's `ModelCardData`.

    `tables` are the JSON of the network's figures by part, `files` the names of what was exported,
    and `licence` an identifier such as apache-2.0, or None where nobody has said. Each metric has
    its 95 % interval over faces, where it is known, among its `args`.
    """
    header: dict[str, Any] = {} if licence is None else {"license": licence}
    header |= {
        "library_name": "sesame-hpc",
        "pipeline_tag": "keypoint-detection",
        "tags": ["facial-landmarks", "stacked-hourglass", "soft-argmax", *_forms(files)],
    }
    results = [_result(data, part, table) for part, table in tables.items()]
    if results:
        header["metrics"] = [kind for kind, _ in _METRICS.values()]
        header["model-index"] = [{"name": manifest.title, "results": results}]
    return f"{_FENCE}{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}{_FENCE}"


def earlier_licence(card: Path) -> str | None:
    """The licence in the header of a card that was written before; None if there is none."""
    try:
        text = card.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    fence, _, rest = text.partition(_FENCE)
    if fence or _FENCE not in rest:
        return None
    header = yaml.safe_load(rest.partition(_FENCE)[0])
    return header.get("license") if isinstance(header, dict) else None


def _forms(files: list[str]) -> list[str]:
    ends = {".safetensors": "safetensors", ".onnx": "onnx", ".pt": "torchscript"}
    return sorted({ends[Path(name).suffix] for name in files if Path(name).suffix in ends})


def _result(data: DataConfig, part: str, table: dict[str, Any]) -> dict[str, Any]:
    known = table.get("intervals") or {}
    metrics = []
    for key, (kind, name) in _METRICS.items():
        if table.get(key) is None:
            continue
        metric: dict[str, Any] = {"type": kind, "name": name, "value": round(table[key], 4)}
        metric["args"] = {"faces": table["faces"]}
        if known.get(key):
            metric["args"]["interval_95"] = [round(bound, 4) for bound in known[key]]
        metrics.append(metric)
    return {
        "task": {"type": "keypoint-detection", "name": "facial landmarks"},
        "dataset": {"type": data.format, "name": data.root.name, "split": _SPLITS[part]},
        "metrics": metrics,
    }
