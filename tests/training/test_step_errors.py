"""An error in a step says where it happened, on whatever rank and in whatever thread."""

import pytest
import torch
from torch.distributed import DistError

from sesame_hpc.cli.errors import message
from sesame_hpc.distributed.interruption import RankFailed
from sesame_hpc.training.step_errors import StepPlace


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> StepPlace:
    monkeypatch.setenv("SESAME_NODE", "n7")
    found = StepPlace("stage pretrain, epoch 2, step 31", 3)
    found.sample_ids = [4, 9]
    return found


WHERE = "in stage pretrain, epoch 2, step 31, on rank 3 (node n7), sample ids 4, 9"


def told(place: StepPlace, error: Exception) -> str:
    with pytest.raises(type(error)) as found, place.named():
        raise error
    return message(found.value)


def test_what_lacks_memory_is_said_with_its_place(place: StepPlace) -> None:
    with pytest.raises(RuntimeError) as found, place.named():
        torch.empty(2**60, dtype=torch.uint8)
    text = message(found.value)
    assert text.startswith("sesame: not enough memory: ")
    assert text.endswith(f"({WHERE})")
    assert len(text.splitlines()) == 1
    with pytest.raises(MemoryError) as lacking, place.named():
        bytearray(2**60)
    assert message(lacking.value) == f"sesame: not enough memory ({WHERE})"
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
    expected = "sesame: not enough memory: CUDA out of memory. Tried to allocate 2 GiB. ("
    assert told(place, error) == f"{expected}{WHERE})"


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError(
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
        ),
        torch.distributed.DistBackendError("NCCL error in: ../NCCLUtils.hpp:317, unhandled cuda"),
    ],
)
def test_what_a_gpu_reports_is_one_line(place: StepPlace, error: RuntimeError) -> None:
    line = str(error).splitlines()[0]
    text = told(place, error)
    assert text.startswith("sesame: the GPU or its driver failed, now or a few steps ago (see ")
    assert line in text
    if not isinstance(error, torch.distributed.DistError):
        assert text.endswith(f"{line} ({WHERE})")


def test_a_gpu_without_memory_lacks_memory(place: StepPlace) -> None:
    error = torch.AcceleratorError("CUDA error: out of memory\nmore")
    assert told(place, error) == f"sesame: not enough memory: CUDA error: out of memory ({WHERE})"


def test_a_cpu_without_memory_for_onednn_is_one_line(place: StepPlace) -> None:
    text = told(place, RuntimeError("could not create a primitive"))
    cause = "oneDNN failed, as it does without enough memory (ulimit -v)"
    assert text == f"sesame: {cause}: could not create a primitive ({WHERE})"


DALI = """Critical error when building pipeline:
Error in CPU operator `nvidia.dali.fn.external_source`,
encountered:

Resource temporarily unavailable
"""


@pytest.mark.parametrize("text", [DALI, "can't start new thread"])
def test_what_lacks_threads_is_one_line_too(place: StepPlace, text: str) -> None:
    line = text.strip().splitlines()[-1]
    expected = f"sesame: no more threads can be started (ulimit -u, ulimit -v): {line} ({WHERE})"
    assert told(place, RuntimeError(text)) == expected


def test_other_errors_keep_their_kind_and_their_notes(place: StepPlace) -> None:
    error = ValueError("a.jpg: the file is empty")
    error.add_note("while reading sample ids 1, 2")
    expected = f"sesame: a.jpg: the file is empty (while reading sample ids 1, 2; {WHERE})"
    assert told(place, error) == expected
    assert told(place, OSError(5, "I/O error", "x.jpg")).endswith(f"({WHERE})")


@pytest.mark.parametrize("error", [FloatingPointError("a"), RankFailed("b"), DistError("c")])
def test_what_names_its_place_itself_is_left_alone(place: StepPlace, error: Exception) -> None:
    assert told(place, error) == f"sesame: {error}"


def test_long_batches_are_shortened(place: StepPlace) -> None:
    place.sample_ids = range(100)
    assert str(place).endswith("61, 62, 63 and 36 more")
