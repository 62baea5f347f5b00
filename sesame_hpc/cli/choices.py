"""The choices of the command line's options; written out here because help imports nothing else."""

from typing import Literal

__all__ = [
    "BoxProtocol",
    "Device",
    "EvaluatedPart",
    "ExportFormat",
    "FileFormat",
    "Format",
    "Job",
    "OutputFormat",
    "ScoredStage",
    "Split",
    "Stage",
    "Weights",
    "YesNo",
]

BoxProtocol = Literal["square", "letterbox", "landmarks"]
FileFormat = Literal["wflw", "pts", "coco", "csv"]
Format = Literal["wflw", "pts", "coco", "csv", "pack"]
Split = Literal["train", "test"]
EvaluatedPart = Literal["train", "heldout", "test"]
Stage = Literal["preliminary", "pretrain", "finetune"]
Job = Literal["preliminary", "pretrain", "finetune", "report"]
ScoredStage = Literal["preliminary", "finetune"]
YesNo = Literal["yes", "no"]
Weights = Literal["last", "ema"]
Device = Literal["auto", "cpu", "cuda"]
OutputFormat = Literal["json", "csv", "pts"]
ExportFormat = Literal["safetensors", "onnx", "torchscript"]
