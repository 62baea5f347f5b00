"""The DeepSpeed engine, and the only module that names DeepSpeed.

The same engine trains one CPU process and many GPU ranks: a client Adam, a learning rate that
advances every optimizer step, gradient accumulation, clipping, torch_autocast, and ZeRO 0 or 1.
With ZeRO 0, no step waits for the device.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.distributed.world import World
from sesame_hpc.extras import needed_for
from sesame_hpc.training.allocator import keep_freed_memory
from sesame_hpc.training.moments import gather_moments, restore_moments
from sesame_hpc.training.precision import autocast_dtype
from sesame_hpc.training.schedule import lr_factor, micro_batch_size

__all__ = ["Engine"]

_EPS = 1e-7


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Within it, a module that has not been imported yet is as one that is not installed."""
    hidden = module not in sys.modules
    if hidden:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[module]


def _import_deepspeed(device: torch.device) -> Any:
    os.environ["DS_ACCELERATOR"] = device.type
    os.environ.setdefault("LOCAL_RANK", "0")
    with needed_for("training"), _hidden("mlflow"):  # its autotuner would import it, in a second
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
        self._lr_scale = 1.0
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self._lr_scale * lr_factor(stage, total_steps, step)
        )
        self._engine, _, _, self._scheduler = deepspeed.initialize(
            model=module,
            optimizer=optimizer,
            lr_scheduler=scheduler,
            config=_deepspeed_config(stage, runtime, world),
        )
        self._adam, self._device = optimizer, world.device
        self._replays_graphs = runtime.compile == "graphs"
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

    def scale_lr(self, factor: float) -> None:
        """Multiply the schedule's rates by `factor` from the next step on; 1 is the schedule."""
        self._lr_scale = factor
        self._set_steps(self._scheduler.last_epoch)

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
        if self._replays_graphs:  # what this step's graphs hold may be overwritten from here on
            torch.compiler.cudagraph_mark_step_begin()

    @property
    def left_out(self) -> bool:
        """Whether the last step of Adam was left out, as ZeRO 1 does if a gradient of any rank is
        not finite; the same on all ranks."""
        return bool(getattr(self._engine.optimizer, "overflow", False))

    def state(self) -> dict[str, Any]:
        """Module, moments and schedule, in a form that any number of ranks restores. Collective.

        ZeRO's stage may also be another one then. Tensors are the engine's own, on its device.
        """
        return {
            "module": self.module.state_dict(),
            "moments": gather_moments(self.module, self._adam),
            "steps": self._scheduler.last_epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` gave. Raises RuntimeError for that of another network."""
        self.module.load_state_dict(state["module"])
        if hasattr(self._engine.optimizer, "refresh_fp32_params"):
            self._engine.optimizer.refresh_fp32_params()  # ZeRO 1 steps on a copy of its part
        restore_moments(self.module, self._adam, state["moments"])
        self._set_steps(state["steps"])

    def _set_steps(self, steps: int) -> None:
        """The schedule after `steps` optimizer steps."""
        scheduler = self._scheduler
        scheduler.last_epoch, scheduler._step_count = steps, steps + 1
        self._engine.global_steps = steps
        factors = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        scheduler._last_lr = [base * factor(steps) for base, factor in factors]
        for group, lr in zip(self._adam.param_groups, scheduler._last_lr, strict=True):
            group["lr"] = lr

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
