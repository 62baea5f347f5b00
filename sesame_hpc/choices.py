"""Every list of names that a setting or an option chooses from, each written once, here.

The configuration's schema, the command line, the readers and the documents take them from here.
Imports the standard library alone: `sesame --help` needs them.
"""

from typing import Literal, NamedTuple, get_args

__all__ = [
    "BUILT_IN_FORMATS",
    "COORDINATE_STAGES",
    "DATA_FORMATS",
    "DEVICES",
    "JOBS",
    "SPLITS",
    "STAGES",
    "WEIGHTS",
    "WRITTEN_FORMATS",
    "BoxProtocol",
    "BuiltInFormat",
    "CompileUnit",
    "CoordinateStage",
    "Detector",
    "Device",
    "ExportFormat",
    "HeldoutGroup",
    "Job",
    "OnError",
    "OutputFormat",
    "Part",
    "Precision",
    "Split",
    "Stage",
    "Weights",
    "one_of",
]

Stage = Literal["preliminary", "pretrain", "finetune"]
CoordinateStage = Literal["preliminary", "finetune"]
Job = Literal[Stage, "report"]

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
SPLITS: tuple[Split, ...] = get_args(Split)
DEVICES: tuple[Device, ...] = get_args(Device)
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


class BuiltInFormat(NamedTuple):
    """A data set format by name: its module in `sesame_hpc.data.formats`, whether it is written."""

    name: str
    module: str
    is_written: bool = False


BUILT_IN_FORMATS = (
    BuiltInFormat("pack", "packed"),
    BuiltInFormat("wflw", "wflw", is_written=True),
    BuiltInFormat("coco", "coco", is_written=True),
    BuiltInFormat("hrnet", "hrnet"),
    BuiltInFormat("csv", "csv_table", is_written=True),
    BuiltInFormat("yolo", "yolo"),
    BuiltInFormat("imglab", "imglab"),
    BuiltInFormat("cvat", "cvat"),
    BuiltInFormat("labelme", "labelme"),
    BuiltInFormat("pts", "pts", is_written=True),
)
"""In the order in which a folder is tried for them."""
DATA_FORMATS = tuple(each.name for each in BUILT_IN_FORMATS)
WRITTEN_FORMATS = tuple(each.name for each in BUILT_IN_FORMATS if each.is_written)


def one_of(names: tuple[str, ...]) -> str:
    """The names for a message: "wflw, pts or coco"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
