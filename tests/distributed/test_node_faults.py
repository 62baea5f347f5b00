"""Which errors are those of a node, which another node would not have."""

import pytest

from sesame_hpc.distributed.interruption import RankFailed
from sesame_hpc.distributed.node_faults import NodeFault, faulty_nodes


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: uncorrectable NVLink error detected during the execution",
        "CUDA error: hardware stack error",
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
        "CUDA error: no CUDA-capable device is detected\nCUDA kernel errors might be reported late",
        "CUDA driver initialization failed, you might not have a CUDA gpu.",
        "CUDA error: unknown error",
    ],
)
def test_errors_of_hardware_are_those_of_this_node(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESAME_NODE", "n7")
    assert faulty_nodes(RuntimeError(text)) == ("n7",)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("CUDA error: unspecified launch failure"),
        ValueError("images/uncorrectable ECC error.jpg cannot be read"),
        RankFailed("rank 1 (node n1) failed: ValueError: image 7 cannot be read"),
    ],
)
def test_errors_that_code_or_data_may_cause_are_not(error: Exception) -> None:
    assert faulty_nodes(error) == ()


def test_errors_may_name_the_nodes_of_other_ranks() -> None:
    assert faulty_nodes(NodeFault("slow: rank 3 on n1", ("n1",))) == ("n1",)
    assert faulty_nodes(RankFailed("rank 3 (node n1) failed: ...", ("n1",))) == ("n1",)
