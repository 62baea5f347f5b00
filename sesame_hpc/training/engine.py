"""The DeepSpeed engine, and the only module that names DeepSpeed.

The same engine trains one CPU process and many GPU ranks: a client Adam, a learning rate that
advances every optimizer step, gradient accumulation, clipping, torch_autocast, ZeRO 0 or 1, and
checkpoints that are read with `weights_only=True`. With ZeRO 0, no step waits for the device.
"""

import logging
import os
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sesame_hpc.checksums import HashingWriter
from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.distributed.world import World
from sesame_hpc.training.allocator import keep_freed_memory
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.schedule import lr_factor, micro_batch_size

__all__ = ["Engine"]

_EPS = 1e-7
_STATE = "sesame"


def _import_deepspeed(device: torch.device) -> Any:
    os.environ["DS_ACCELERATOR"] = device.type
    os.environ.setdefault("LOCAL_RANK", "0")
    import deepspeed

    # Only inference over shared memory uses this op; without it no C++ compiler is needed.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    return deepspeed


def _deepspeed_config(stage: StageConfig, runtime: RuntimeConfig, world: World) -> dict[str, Any]:
    return {
        "train_batch_size": stage.batch_size,
        "train_micro_batch_size_per_gpu": micro_batch_size(stage, runtime, world.size),
        "gradient_accumulation_steps": runtime.accumulation,
        "gradient_clipping": runtime.clip if runtime.zero_stage else 0.0,
        "zero_optimization": {"stage": runtime.zero_stage},
        "zero_allow_untested_optimizer": True,
        "torch_autocast": {
            "enabled": autocast_dtype(runtime, world.device) == torch.bfloat16,
            "dtype": "bfloat16",
        },
        "steps_per_print": 2**62,
        "timers": {"throughput": {"enabled": False}},  # it waits for the device twice per step
    }


def _optimizer(module: nn.Module, stage: StageConfig) -> torch.optim.Optimizer:
    """Adam; with weight decay AdamW, which spares what has one axis: biases and batch norms."""
    settings: dict[str, Any] = {"lr": stage.lr, "betas": stage.betas, "eps": _EPS, "fused": True}
    if not stage.weight_decay:
        return torch.optim.Adam(module.parameters(), **settings)
    parameters = list(module.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, **settings)


class Engine:
    """A module in training. `total_steps` optimizer steps span the learning-rate schedule."""

    def __init__(
        self,
        module: nn.Module,
        stage: StageConfig,
        runtime: RuntimeConfig,
        world: World,
        total_steps: int,
    ) -> None:
        deepspeed = _import_deepspeed(world.device)
        if world.device.type == "cpu":
            keep_freed_memory()
        module.to(world.device)
        optimizer = _optimizer(module, stage)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(stage, total_steps, step)
        )
        self._engine, _, _, self._scheduler = deepspeed.initialize(
            model=module,
            optimizer=optimizer,
            lr_scheduler=scheduler,
            config=_deepspeed_config(stage, runtime, world),
        )
        self._adam, self._device = optimizer, world.device
        self._digests: dict[str, str] = {}
        self._engine.checkpoint_engine.load = _load_weights_only
        self._engine.checkpoint_engine.save = self._save_file
        # With ZeRO 0, DeepSpeed's clipping waits for the device, and its reduction copies all
        # gradients twice.
        self._clip = runtime.clip if runtime.zero_stage == 0 else 0.0
        self._engine.enable_backward_allreduce = world.size > 1 or runtime.zero_stage > 0
        # DeepSpeed's own collects the parameters again in every step; ZeRO does not call it.
        self._engine.zero_grad = optimizer.zero_grad
        if runtime.channels_last and runtime.zero_stage == 0:
            # After `initialize`, whose broadcasts need contiguous parameters, as ZeRO 1 does.
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def module(self) -> nn.Module:
        return self._engine.module

    @property
    def lr(self) -> float:
        """Learning rate of the next optimizer step."""
        return float(self._scheduler.get_last_lr()[0])

    def forward(self, images: Tensor) -> Any:
        """The module on `images`, under the engine's autocast."""
        return self._engine(images)

    def step(self, loss: Tensor) -> None:
        """Backward of one micro-step's mean loss, then `update`."""
        self.backward(loss)
        self.update()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-step's mean loss; reduce over ranks at the last one."""
        self._engine.backward(loss)

    def update(self) -> None:
        """End a micro-step: at the accumulation boundary, clip and take a step of Adam."""
        if self._clip and self._engine.is_gradient_accumulation_boundary():
            nn.utils.clip_grad_norm_(self.module.parameters(), self._clip)
        self._engine.step()

    def save(self, folder: Path, tag: str, state: dict[str, Any]) -> dict[str, str]:
        """Write module, optimizer, schedule and `state` to folder/tag, on disk. Collective.

        Returns the SHA-256 of each file that this rank wrote, by name.
        """
        self._digests.clear()
        self._engine.save_checkpoint(
            str(folder), tag=tag, client_state={_STATE: state}, save_latest=False
        )
        return dict(self._digests)

    def _save_file(self, state_dict: Any, path: str) -> None:
        """As DeepSpeed's own, but on disk at return, and with its digest noted."""
        with open(path, "wb") as file:
            writer = HashingWriter(file)
            try:
                torch.save(_without_enums(state_dict), writer)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            except (RuntimeError, OSError) as error:
                cause = writer.error or error
                if isinstance(cause, OSError) and cause.errno is not None:
                    raise OSError(cause.errno, os.strerror(cause.errno), path) from None
                raise
        self._digests[Path(path).name] = writer.digest

    def count_not_finite(self, others: Iterable[Tensor] = ()) -> tuple[int, int]:
        """How many tensors hold NaN or infinity, and of how many.

        Those of the module and of the optimizer's state on this rank, and `others`. The device is
        waited for once.
        """
        held = [*self.module.parameters(), *self.module.buffers(), *others]
        held += [
            value
            for state in self._adam.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        tensors = [each.detach() for each in held if each.is_floating_point() and each.numel()]
        largest = torch._foreach_norm(tensors, float("inf"))
        bad = torch.stack([~each.isfinite().to(self._device) for each in largest])
        return int(bad.sum()), len(tensors)

    def load(self, folder: Path, tag: str) -> dict[str, Any]:
        """Restore what `save` wrote and return its `state`. Collective."""
        path, state = self._engine.load_checkpoint(str(folder), tag=tag)
        if path is None:
            raise ValueError(f"{folder / tag} is not a checkpoint of this engine")
        return state[_STATE]


def _without_enums(state: Any) -> Any:
    """The state with integer enumerations as integers.

    Python before 3.11.4 pickles a member as a call of `getattr`, which loading weights only
    refuses.
    """
    if isinstance(state, Enum) and isinstance(state, int):
        return int(state)
    if not isinstance(state, dict):
        return state
    changed = {
        key: plain for key, value in state.items() if (plain := _without_enums(value)) is not value
    }
    return {**state, **changed} if changed else state


def _load_weights_only(path: str, map_location: Any = None) -> Any:
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    with torch.serialization.safe_globals([LossScaler, ZeroStageEnum, fragment_address]):
        return torch.load(path, map_location=map_location, weights_only=True)
