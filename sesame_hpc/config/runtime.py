"""Settings of the machine, of checkpoints and of records: they may change when a run resumes."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from sesame_hpc.choices import CompileUnit, Device, Precision
from sesame_hpc.config.fields import NotNegative, Positive, Strict

__all__ = ["CheckpointConfig", "DivergenceConfig", "LogConfig", "RuntimeConfig"]


class RuntimeConfig(Strict):
    """The machine: settings that may change when a run is resumed, without changing the task."""

    device: Device = "auto"
    """auto: CUDA if there is a GPU, else the CPU; an error in a SLURM job whose GPUs torch does not
    see."""
    precision: Precision = "fp32"
    """bf16: autocast (DeepSpeed's torch_autocast). auto: bf16 if the machine on which the run
    starts has hardware for it (GPUs since Ampere, CPUs with AVX512-BF16 or AMX), else fp32; the
    run keeps it."""
    zero_stage: Literal[0, 1] = 0
    """Stage of DeepSpeed's ZeRO; 1 shards the optimizer state over the ranks."""
    accumulation: PositiveInt = 1
    """Micro-batches per optimizer step."""
    clip: NotNegative = 0.0
    """Largest norm of the gradient; 0 disables clipping."""
    channels_last: bool = True
    """Keep images and features in channels-last memory."""
    compile: Literal["auto", "none", CompileUnit] = "auto"
    """What torch.compile compiles at a time: regions (the stem, a stack), regions as CUDA
    graphs, the whole network, or none. auto: regions on CUDA, none on the CPU."""
    activation_checkpointing: bool = False
    """Recompute each stack's inner activations instead of keeping them."""
    threads: PositiveInt | None = None
    """CPU threads of torch per rank. null: SLURM's cpus-per-task, else cores / local ranks."""
    rendezvous_minutes: Positive = 5.0
    """How long ranks wait for each other at the start."""
    timeout_minutes: Positive = 10.0
    """How long ranks wait for each other at any step."""

    @model_validator(mode="after")
    def _compiles(self) -> "RuntimeConfig":
        if self.activation_checkpointing and self.compile in ("whole", "graphs"):
            raise ValueError(
                f"activation_checkpointing works per stack, but compile is {self.compile}: use "
                "regions or none"
            )
        if self.compile == "graphs" and self.accumulation > 1:
            raise ValueError(
                f"accumulation is {self.accumulation}, but compile is graphs, whose replays "
                "overwrite the gradients: use regions or whole"
            )
        return self


class CheckpointConfig(Strict):
    """When a checkpoint is saved, from which an interrupted stage resumes."""

    every_epochs: PositiveInt = 1
    """Epochs between checkpoints; there is always one after the last."""
    every_steps: PositiveInt | None = None
    """Steps between further checkpoints. null: none."""
    keep: PositiveInt = 2
    """How many checkpoints of a stage to keep."""


class DivergenceConfig(Strict):
    """What happens when a stage's loss rises for good, or is not finite.

    The mean loss of every `every_steps` steps is compared with the lowest earlier one of the stage.
    """

    action: Literal["warn", "stop", "rewind"] = "warn"
    """warn: say so in the log, status and report, and continue. stop: end the run with an error.
    rewind: go back `checkpoints` checkpoints and continue at `lr_factor` times the learning rate,
    once per stage; a second time ends the run. A loss or weight that is not finite ends the run
    unless the stage can go back."""
    factor: Annotated[float, Field(gt=1.0)] = 3.0
    """The loss diverges if a mean is above this multiple of the lowest."""
    every_steps: PositiveInt = 100
    """Steps per mean."""
    checkpoints: PositiveInt = 2
    """With rewind: how many of the checkpoints that `checkpoint` schedules to go back; at most
    `checkpoint.keep`. If there are fewer, the oldest."""
    lr_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """With rewind: factor of the learning rates of the rest of the stage."""


class LogConfig(Strict):
    """When something is recorded, validated and drawn."""

    every_steps: PositiveInt = 20
    """Steps between records of the metrics."""
    eval_epochs: Annotated[int, Field(ge=0)] = 5
    """Epochs between validations on the held-out faces; 0: only at the end of a stage."""
    images_epochs: Annotated[int, Field(ge=0)] = 10
    """Epochs between images, of reconstructions in pretrain and of the worst held-out faces in the
    other stages; 0: only at the end of a stage."""
    tensorboard: bool = True
    """Write metrics, images and hyper-parameters for TensorBoard as well."""
