"""The configuration: one strict pydantic model per component, composed into `Config`.

Nothing here imports torch, DALI or DeepSpeed: the command line reads configs on login nodes.
Fractions are of the crop side unless a field says otherwise; angles are degrees. What a field
means stands below it, and becomes the settings reference of the documentation.
"""

from typing import Annotated

from pydantic import Field, model_validator

from sesame_hpc.config.data import AugmentConfig, BoxConfig, DataConfig
from sesame_hpc.config.fields import Strict, UserPath
from sesame_hpc.config.network import HOURGLASS, HeadConfig, LossConfig, ModelConfig
from sesame_hpc.config.runtime import (
    CheckpointConfig,
    DivergenceConfig,
    LogConfig,
    RuntimeConfig,
)
from sesame_hpc.config.stages import (
    FinetuneConfig,
    MaskingConfig,
    PretrainConfig,
    StageConfig,
    StagesConfig,
)
from sesame_hpc.config.track import MLflowConfig, TrackConfig, WandbConfig

__all__ = [
    "AugmentConfig",
    "BoxConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "DivergenceConfig",
    "FinetuneConfig",
    "HeadConfig",
    "LogConfig",
    "LossConfig",
    "MLflowConfig",
    "MaskingConfig",
    "ModelConfig",
    "PretrainConfig",
    "RuntimeConfig",
    "StageConfig",
    "StagesConfig",
    "Strict",
    "TrackConfig",
    "WandbConfig",
]


class Config(Strict):
    """A run."""

    output: UserPath
    """The run folder."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The seed of everything that is random."""
    profile: bool = False
    """Trace some steps of each stage, and print where their time goes."""
    data: DataConfig
    model: ModelConfig = ModelConfig()
    head: HeadConfig = HeadConfig()
    loss: LossConfig = LossConfig()
    stages: StagesConfig = StagesConfig()
    masking: MaskingConfig = MaskingConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    divergence: DivergenceConfig = DivergenceConfig()
    log: LogConfig = LogConfig()
    track: TrackConfig = TrackConfig()

    @model_validator(mode="after")
    def _has_maps(self) -> "Config":
        for name in ("heatmap", "star"):
            if getattr(self.loss, name) and self.head.impl == "fused":
                raise ValueError(
                    f"loss.{name} needs the heat maps, which head.impl fused never writes: use "
                    f"head.impl=conv or loss.{name}=0"
                )
        return self

    @model_validator(mode="after")
    def _has_stacks(self) -> "Config":
        if self.runtime.activation_checkpointing and self.model.backbone != HOURGLASS:
            raise ValueError(
                "runtime.activation_checkpointing works per stack of the hourglass, but "
                f"model.backbone is {self.model.backbone}"
            )
        return self

    @model_validator(mode="after")
    def _can_go_back(self) -> "Config":
        back, keep = self.divergence.checkpoints, self.checkpoint.keep
        if self.divergence.action == "rewind" and back > keep:
            raise ValueError(
                f"divergence.checkpoints is {back}, but checkpoint.keep is {keep}: a stage can go "
                "back only to what is kept"
            )
        return self
