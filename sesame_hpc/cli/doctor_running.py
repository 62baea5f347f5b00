"""What `sesame doctor` finds by running it: CPU, GPUs, decoding, an op, a training step."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sesame_hpc.cli.diagnosis import Diagnosis, Status
from sesame_hpc.distributed.granted_gpus import granted_gpus
from sesame_hpc.process import usable_cores

__all__ = ["running_diagnoses"]

_REINSTALL = "install again in an empty environment, with constraints.txt"
_SIDE = 64
_GREY = 160


def _run(name: str, action: Callable[[], str], fix: str) -> Diagnosis:
    """OK with what `action` returns, broken by whatever it raises."""
    try:
        return Diagnosis(name, Status.OK, action())
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        return Diagnosis(name, Status.BROKEN, f"{type(error).__name__}: {reason}", fix)


def _gpus() -> Diagnosis:
    import torch

    name = "GPU"
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        found = ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
        return Diagnosis(name, Status.OK, f"{found}, CUDA {torch.version.cuda}")
    granted = granted_gpus(os.environ)
    if shutil.which("nvidia-smi") is None and granted is None:
        return Diagnosis(name, Status.NOTE, "none; training runs on the CPU")
    if torch.version.cuda is None:
        fix = "install torch's CUDA build: this one is for CPUs only"
    else:
        fix = f"the driver must serve CUDA {torch.version.cuda}; compare with nvidia-smi"
    if granted is not None:
        found = f"SLURM gave this job GPUs ({granted}), but torch sees none"
        return Diagnosis(name, Status.BROKEN, found, fix)
    return Diagnosis(name, Status.NOTE, "nvidia-smi is installed, but torch sees no GPU", fix)


def _cpu() -> str:
    from sesame_hpc.training.environment import cpu_name

    usable, total = usable_cores(), os.cpu_count()
    return f"{usable} of {total} cores usable, {cpu_name()}"


def _devices() -> list[Any]:
    import torch

    return [torch.device(kind) for kind in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]]


def _soft_argmax() -> str:
    import torch
    from sesame_kernels import soft_argmax

    for device in _devices():
        logits = torch.zeros(1, 1, 4, 8, device=device, requires_grad=True)
        points = soft_argmax(logits)
        points.sum().backward()
        if not torch.allclose(points, torch.full_like(points, 0.5)):
            raise RuntimeError(f"a flat map gave {points.tolist()} on {device}")
    return f"runs on {' and '.join(str(device) for device in _devices())}"


def _write_grey_jpeg(path: Path) -> None:
    import cv2
    import numpy as np

    from sesame_hpc.files import write_bytes_atomic

    image = np.full((_SIDE, _SIDE, 3), _GREY, dtype=np.uint8)
    write_bytes_atomic(path, cv2.imencode(".jpg", image)[1].tobytes())


def _decode() -> str:
    import numpy as np

    from sesame_hpc.config import DataConfig
    from sesame_hpc.data.annotations import Annotations
    from sesame_hpc.data.loading.loader import EvalLoader
    from sesame_hpc.schemes import load_scheme

    scheme = load_scheme("ibug68")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _write_grey_jpeg(root / "grey.jpg")
        face = Annotations(
            scheme=scheme,
            root=root,
            images=("grey.jpg",),
            boxes=np.array([[16.0, 16.0, 48.0, 48.0]]),
            landmarks=np.full((1, scheme.num_landmarks, 2), 32.0),
            attributes=np.zeros((1, 0), dtype=bool),
            attribute_names=(),
            sources=("sesame doctor:1",),
            sample_ids=np.zeros(1, dtype=np.int64),
        )
        for device in _devices():
            loader = EvalLoader(face, DataConfig(root=root), 32, batch_size=1, device=device)
            level = next(iter(loader)).images.mean().item() * 255
            if abs(level - _GREY) > 2:
                raise RuntimeError(f"an image of grey {_GREY} came out as {level:.1f} on {device}")
    return f"a JPEG decodes correctly on {' and '.join(str(device) for device in _devices())}"


def _training_step() -> str:
    import torch
    from torch import nn

    from sesame_hpc.config import RuntimeConfig, StageConfig
    from sesame_hpc.distributed.world import connect
    from sesame_hpc.training.engine import Engine

    runtime = RuntimeConfig()
    world = connect(runtime)
    stage = StageConfig(epochs=1, batch_size=2 * world.size)
    engine = Engine(nn.Linear(2, 1), stage, runtime, world, total_steps=1)
    engine.step(engine.forward(torch.ones(2, 2, device=world.device)).mean())
    return f"ran on {world.device}"


def _onnxruntime() -> str:
    import onnxruntime

    return ", ".join(onnxruntime.get_available_providers())


def running_diagnoses(trains: bool = True) -> Iterator[Diagnosis]:
    """Nothing here raises: a package that cannot be imported is reported as broken.

    `trains`: whether the extra `train` is installed.
    """
    yield _run("ONNX models", _onnxruntime, _REINSTALL)
    if not trains:
        fix = "to train, on Linux: pip install 'sesame-hpc[train]'"
        yield Diagnosis("training", Status.NOTE, "not installed; landmarks are found", fix)
        return
    try:
        yield _gpus()
    except Exception as error:
        yield Diagnosis("GPU", Status.BROKEN, f"torch does not import: {error}", _REINSTALL)
        return
    yield _run("CPU", _cpu, _REINSTALL)
    yield _run("soft_argmax op", _soft_argmax, _REINSTALL)
    yield _run("decoding", _decode, _REINSTALL)
    yield _run("training step", _training_step, _REINSTALL)
