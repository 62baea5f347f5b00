"""torchvision, which timm imports, beside a build of torch that it was not compiled for.

PyPI's torchvision for Linux is compiled for CUDA. Beside a torch for the CPU its compiled operators
do not load, and its import fails, since it describes two of them. timm uses none.
"""

import importlib

import torch

__all__ = ["make_torchvision_importable"]

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[torch.library.Library] = []


def make_torchvision_importable() -> None:
    """Give torch the schemas of the missing operators, if torchvision cannot be imported."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _libraries.append(library)
        importlib.import_module("torchvision")
