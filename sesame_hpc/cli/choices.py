"""The choices of the command line's options; written out here because help imports nothing else."""

from typing import Literal

__all__ = [
    "Device",
    "ExportFormat",
    "Format",
    "OutputFormat",
    "ScoredStage",
    "Split",
    "Stage",
]

Format = Literal["wflw", "pts"]
Split = Literal["train", "test"]
Stage = Literal["preliminary", "pretrain", "finetune"]
ScoredStage = Literal["preliminary", "finetune"]
Device = Literal["auto", "cpu", "cuda"]
OutputFormat = Literal["json", "csv", "pts"]
ExportFormat = Literal["safetensors", "onnx", "torchscript"]
