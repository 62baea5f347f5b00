"""Settings of experiment trackers, in the trackers' own words."""

from typing import Any, Literal

from pydantic import Field, field_validator

from sesame_hpc.config.fields import Strict

__all__ = ["MLflowConfig", "TrackConfig", "WandbConfig"]


class MLflowConfig(Strict):
    """Of the tracker mlflow."""

    tracking_uri: str | None = None
    """The server or database. null: MLFLOW_TRACKING_URI, else MLflow's default."""
    experiment_name: str = "sesame-hpc"
    """The experiment that runs belong to; it is made if it does not exist."""


class WandbConfig(Strict):
    """Of the tracker wandb."""

    project: str = "sesame-hpc"
    """The project that runs belong to."""
    entity: str | None = None
    """The user or team. null: your default one."""
    mode: Literal["online", "offline"] = "online"
    """offline: keep everything in the run folder, for `wandb sync`."""


class TrackConfig(Strict):
    """Experiment trackers beside TensorBoard. They get what TensorBoard gets."""

    trackers: tuple[str, ...] = ()
    """mlflow, wandb, and your own as package.module:Class or the name of an entry point in the
    group sesame_hpc.tracker."""
    name: str | None = None
    """What the run is called there. null: as its folder."""
    mlflow: MLflowConfig = MLflowConfig()
    wandb: WandbConfig = WandbConfig()
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By name, the settings of your own trackers."""

    @field_validator("trackers")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("must not name a tracker twice")
        if "tensorboard" in names:
            raise ValueError("must not name tensorboard, which is log.tensorboard")
        return names
