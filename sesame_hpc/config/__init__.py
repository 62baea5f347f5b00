"""Configurations: the schema, YAML files with base files, and overrides."""

from sesame_hpc.config.fields import Strict
from sesame_hpc.config.load import differences, dump_config, load_config
from sesame_hpc.config.presets import find_config, preset_names
from sesame_hpc.config.schema import (
    AugmentConfig,
    BoxConfig,
    CheckpointConfig,
    Config,
    DataConfig,
    DivergenceConfig,
    FinetuneConfig,
    HeadConfig,
    LogConfig,
    LossConfig,
    MaskingConfig,
    MLflowConfig,
    ModelConfig,
    PretrainConfig,
    RuntimeConfig,
    StageConfig,
    StagesConfig,
    TrackConfig,
    WandbConfig,
)

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
    "differences",
    "dump_config",
    "find_config",
    "load_config",
    "preset_names",
]
