"""Every list of names that a setting or an option chooses from, each written once, here.

The configuration's schema, the command line, the readers and the documents take them from here.
Imports the standard library alone: `sesame --help` needs them.
"""

from typing import Literal, get_args

__all__ = [
    "COORDINATE_STAGES",
    "DATA_FORMATS",
    "DEVICES",
    "FILE_FORMATS",
    "JOBS",
    "SPLITS",
    "STAGES",
    "WEIGHTS",
    "BoxProtocol",
    "CompileUnit",
    "CoordinateStage",
    "DataFormat",
    "Detector",
    "Device",
    "ExportFormat",
    "FileFormat",
    "HeldoutGroup",
    "Job",
    "OnError",
    "OutputFormat",
    "Part",
    "Precision",
    "Split",
    "Stage",
    "Weights",
    "WrittenFormat",
    "one_of",
]

Stage = Literal["preliminary", "pretrain", "finetune"]
CoordinateStage = Literal["preliminary", "finetune"]
Job = Literal[Stage, "report"]

WrittenFormat = Literal["wflw", "coco", "csv", "pts"]
FileFormat = Literal[WrittenFormat, "hrnet", "yolo", "imglab", "cvat", "labelme"]
DataFormat = Literal[FileFormat, "pack"]
Split = Literal["train", "test"]
Part = Literal["train", "heldout", "test"]
BoxProtocol = Literal["square", "letterbox", "landmarks"]
HeldoutGroup = Literal["image", "look_alike"]
OnError = Literal["fail", "skip"]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]
CompileUnit = Literal["regions", "whole", "graphs"]

Weights = Literal["last", "ema"]
ExportFormat = Literal["safetensors", "onnx", "torchscript"]
OutputFormat = Literal["json", "csv", "pts"]
Detector = Literal["yunet"]

STAGES: tuple[Stage, ...] = get_args(Stage)
COORDINATE_STAGES: tuple[CoordinateStage, ...] = get_args(CoordinateStage)
JOBS: tuple[Job, ...] = get_args(Job)
DATA_FORMATS: tuple[DataFormat, ...] = get_args(DataFormat)
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
SPLITS: tuple[Split, ...] = get_args(Split)
DEVICES: tuple[Device, ...] = get_args(Device)
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


def one_of(names: tuple[str, ...]) -> str:
    """The names for a message: "wflw, pts or coco"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
