"""The choices of the command line's options; written out here because help imports nothing else."""

from typing import Literal

__all__ = ["Format", "ScoredStage", "Split", "Stage"]

Format = Literal["wflw", "pts", "pack"]
Split = Literal["train", "test"]
Stage = Literal["preliminary", "pretrain", "finetune"]
ScoredStage = Literal["preliminary", "finetune"]
