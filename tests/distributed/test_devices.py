"""Ranks whose devices do not fit: GPUs that torch does not see, and a mixture of kinds."""

import socket
import threading

import pytest
import torch

from sesame_hpc.config import RuntimeConfig
from sesame_hpc.distributed.granted_gpus import granted_gpus
from sesame_hpc.distributed.rendezvous import rendezvous
from sesame_hpc.distributed.world import connect


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"SLURM_STEP_GPUS": "0"}, "SLURM_STEP_GPUS=0"),
        ({"SLURM_JOB_GPUS": "2,3", "SLURM_GPUS_ON_NODE": "2"}, "SLURM_JOB_GPUS=2,3"),
        ({"SLURM_GPUS_ON_NODE": "2"}, "SLURM_GPUS_ON_NODE=2"),
        ({"SLURM_GPUS_ON_NODE": "0", "SLURM_JOB_GPUS": ""}, None),
    ],
)
def test_gpus_of_a_job_are_known_from_its_variables(
    variables: dict[str, str], expected: str | None
) -> None:
    assert granted_gpus({"SLURM_JOB_ID": "7"} | variables) == expected
    assert granted_gpus(variables) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees the GPUs of this machine")
def test_a_job_with_gpus_does_not_train_on_the_cpu_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "0", "SESAME_NODE": "n7"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"GPUs on node n7 \(SLURM_STEP_GPUS=0\), but torch"):
        connect(RuntimeConfig(device="auto"))
    assert connect(RuntimeConfig(device="cpu")).device.type == "cpu"


def test_ranks_without_a_gpu_among_others_are_named_with_their_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setenv("SESAME_NODE", "n7")
    said: dict[int, str] = {}

    def arrive(rank: int, device: str) -> None:
        try:
            rendezvous(rank, 3, device, minutes=1)
        except ValueError as error:
            said[rank] = str(error)

    devices = ("GPU-a", "cpu", "GPU-b")
    ranks = [threading.Thread(target=arrive, args=each) for each in enumerate(devices)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    expected = "rank 1 (node n7) has no GPU, while the others do: exclude that node"
    assert [text.startswith(expected) for text in said.values()] == [True] * 3
