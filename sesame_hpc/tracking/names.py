"""Under which name a tracker gets a figure."""

from sesame_hpc.config import Config

__all__ = ["metric_name"]


def metric_name(config: Config, stage: str, key: str) -> str:
    """A loss by what it is, `loss/l1_coord`, as two losses have no common scale; others as `key`.

    Losses of several terms have them all in their name: `loss/l1_coord_heatmap`.
    """
    if not key.endswith("loss"):
        return key
    if stage == "pretrain":
        also = "_landmarks" if config.stages.pretrain.landmark_weight and key == "loss" else ""
        return f"{key}/masked_mse{also}"
    penalty, *others = config.loss.terms
    return "_".join([f"{key}/{penalty}_coord", *others])
