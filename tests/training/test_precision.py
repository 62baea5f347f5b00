"""Which precision `auto` is, and that a run keeps it."""

import pytest
import torch

from sesame_hpc.config import Config, RuntimeConfig
from sesame_hpc.training.precision import autocast_dtype, resolve_precision

CPU = torch.device("cpu")


def config(precision: str) -> Config:
    return Config.model_validate(
        {"output": "run", "data": {"root": "faces"}, "runtime": {"precision": precision}}
    )


def machine(monkeypatch: pytest.MonkeyPatch, **able: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)


@pytest.mark.parametrize(
    ("able", "dtype"),
    [
        ({}, torch.float32),
        ({"avx512_f": True, "amx_int8": True}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
    ],
)
def test_auto_is_what_the_processor_multiplies_by_itself(monkeypatch, able, dtype) -> None:
    machine(monkeypatch, **able)
    assert autocast_dtype(RuntimeConfig(precision="auto"), CPU) is dtype
    assert autocast_dtype(RuntimeConfig(precision="fp32"), CPU) is torch.float32
    assert autocast_dtype(RuntimeConfig(precision="bf16"), CPU) is torch.bfloat16


def test_a_torch_that_does_not_tell_means_fp32(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert autocast_dtype(RuntimeConfig(precision="auto"), CPU) is torch.float32


@pytest.mark.parametrize("earlier", ["fp32", "bf16"])
def test_a_run_keeps_its_precision_on_another_machine(monkeypatch, earlier) -> None:
    for able in ({}, {"avx512_bf16": True}):
        machine(monkeypatch, **able)
        settled = resolve_precision(config("auto"), config(earlier), CPU)
        assert settled == config(earlier)


def test_a_run_that_was_only_submitted_takes_the_machine_it_begins_on(monkeypatch) -> None:
    machine(monkeypatch, avx512_bf16=True)
    assert resolve_precision(config("auto"), config("auto"), CPU) == config("bf16")
    assert resolve_precision(config("auto"), None, CPU) == config("bf16")


def test_what_the_user_says_holds(monkeypatch) -> None:
    machine(monkeypatch, avx512_bf16=True)
    assert resolve_precision(config("fp32"), config("bf16"), CPU) == config("fp32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_auto_on_a_gpu() -> None:
    device = torch.device("cuda")
    expected = torch.cuda.get_device_capability(device) >= (8, 0)
    bf16 = autocast_dtype(RuntimeConfig(precision="auto"), device) is torch.bfloat16
    assert bf16 == expected
