"""A network of YuNet's signature that always sees the same face."""

from pathlib import Path

import numpy as np
import pytest

__all__ = ["CELL", "SIDE", "write_detector"]

SIDE = 128
CELL = 32


def write_detector(path: Path) -> None:
    """YuNet's twelve outputs for a 128 x 128 image: one face, in cell (1, 2) of stride 32."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes, outputs = [], []
    for stride in (8, 16, CELL):
        cells = (SIDE // stride) ** 2
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            values = np.zeros((1, cells, width), np.float32)
            if stride == CELL and name in ("cls", "obj"):
                values[0, 1 * (SIDE // CELL) + 2] = 0.99
            if stride == CELL and name == "bbox":
                values[0, 1 * (SIDE // CELL) + 2] = [0.25, -0.5, np.log(2), np.log(3)]
            # Adding the input's mean times nothing keeps the constant from being folded away.
            nodes.append(
                helper.make_node(
                    "Constant", [], [f"c{name}{stride}"], value=onnx.numpy_helper.from_array(values)
                )
            )
            nodes.append(
                helper.make_node("Add", [f"c{name}{stride}", "nothing"], [f"{name}_{stride}"])
            )
            outputs.append(
                helper.make_tensor_value_info(f"{name}_{stride}", kind, [1, cells, width])
            )
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    channels = onnx.numpy_helper.from_array(np.array([1]))
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Constant", [], ["axes"], value=channels),
        helper.make_node("ReduceMean", ["mean", "axes"], ["one"], keepdims=0),
        helper.make_node("Constant", [], ["zero"], value=zero),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        *nodes,
    ]
    image = helper.make_tensor_value_info("input", kind, [1, 3, SIDE, SIDE])
    order = [f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    outputs.sort(key=lambda output: order.index(output.name))
    graph = helper.make_graph(nodes, "yunet", [image], outputs)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
