"""Settings of the three stages: their schedules, and what pretrain masks."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from sesame_hpc.choices import COORDINATE_STAGES, STAGES
from sesame_hpc.config.fields import (
    Decay,
    Fraction,
    NotNegative,
    Positive,
    Strict,
    UserPath,
    ordered,
)

__all__ = ["FinetuneConfig", "MaskingConfig", "PretrainConfig", "StageConfig", "StagesConfig"]


class StageConfig(Strict):
    """One stage's schedule.

    The learning rate rises linearly to `lr` during the warm-up; from there it falls to `final_lr`
    at the last step.
    """

    epochs: PositiveInt = 300
    """Epochs of the stage. In one, each of its training faces is seen once, unless `epoch_samples`
    is given."""
    epoch_samples: PositiveInt | None = None
    """Samples (crops) in an epoch: where there are fewer faces they come again, and where there
    are more the next epoch continues with the others. With it, runs with few labels or many
    unlabelled faces see as many samples as others. null: as many as faces."""
    batch_size: PositiveInt = 32
    """Faces per optimizer step, over all ranks and accumulation steps."""
    lr: Positive = 1e-3
    """The peak learning rate of Adam."""
    final_lr: Positive = 1e-5
    """The learning rate at the last step; at most `lr`."""
    schedule: Literal["exponential", "cosine"] = "exponential"
    """How the rate falls: exponentially, or along half a cosine."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of the warm-up."""
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """The warm-up as a fraction of all steps; the longer of the two counts."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay (AdamW); biases and batch norms have none."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Adam's decay rates of the moving averages of the gradient and of its square."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Decay rate per step of a moving average of the weights, which is evaluated in addition to
    them. null: no average."""
    init_from: UserPath | None = None
    """Trained weights that the stage starts from: a run folder, a folder of `sesame export`, or a
    safetensors file of either. The network must be the same but for its points: heads are taken by
    the names of landmarks, and those of other names are fresh. Not read again when the stage
    resumes. null: none."""

    @model_validator(mode="after")
    def _decays(self) -> "StageConfig":
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr ({self.final_lr}) must not be above lr ({self.lr})")
        return self


class PretrainConfig(StageConfig):
    """The schedule of pretrain, and what it starts from."""

    start_from: Literal["scratch", "preliminary"] = "scratch"
    """scratch: fresh weights, as in the paper. preliminary: the backbone of that stage."""
    ema: None = None
    """There is no average, since finetune starts from the last weights."""
    landmark_weight: NotNegative = 0.0
    """Weight of the landmark loss (`loss`), computed from the masked images, beside Eq. 2. Labels
    of faces without any are the landmarks that preliminary predicts. Above 0 landmark heads are
    trained in pretrain, too: `start_from` preliminary gives it that stage's, and finetune takes
    them over. 0: reconstruction alone, as in the paper."""
    unlabelled_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """The share of unlabelled faces, if there are any, in the samples of any batch as of the whole
    stage. null: all faces, labelled and not, are drawn equally often."""
    refresh_epochs: PositiveInt | None = None
    """After every so many epochs, preliminary predicts the landmarks of unlabelled faces again,
    which place the masks, each time from another crop of the face (scale, rotation and translation
    as in training). null: once, from the crop of evaluation."""


class FinetuneConfig(StageConfig):
    """The schedule of finetune, and what it starts from."""

    start_from: Literal["scratch", "preliminary", "pretrain"] = "pretrain"
    """pretrain: its backbone, with new heads. preliminary: that stage's whole network, heads
    included, under this stage's schedule (a warm restart). scratch: fresh weights."""


class StagesConfig(Strict):
    """The stages of a run and their schedules."""

    run: tuple[str, ...] = STAGES
    """The stages that the run has, in their order; preliminary is always the first. Settings of
    other stages are ignored."""
    preliminary: StageConfig = StageConfig()
    pretrain: PretrainConfig = PretrainConfig()
    finetune: FinetuneConfig = FinetuneConfig()

    @field_validator("run")
    @classmethod
    def _in_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        ordered = tuple(name for name in STAGES if name in names)
        if names != ordered or names[:1] != STAGES[:1]:
            raise ValueError(f"must begin with preliminary and keep the order {', '.join(STAGES)}")
        return names

    @model_validator(mode="after")
    def _one_start(self) -> "StagesConfig":
        for name in ("pretrain", "finetune"):
            stage = getattr(self, name)
            if stage.init_from is not None and stage.start_from != "scratch" and name in self.run:
                raise ValueError(
                    f"{name}.init_from gives weights, and {name}.start_from ({stage.start_from}) "
                    f"gives others: use {name}.start_from=scratch with init_from"
                )
        return self

    @model_validator(mode="after")
    def _starts(self) -> "StagesConfig":
        start = self.finetune.start_from
        if "finetune" in self.run and start not in (*self.run, "scratch"):
            raise ValueError(
                f"finetune.start_from is {start}, which run ({', '.join(self.run)}) leaves out: "
                "give preliminary or scratch"
            )
        return self

    @property
    def coordinate(self) -> tuple[str, ...]:
        """The stages of the run that train for landmarks; the last one's network is the result."""
        return tuple(name for name in self.run if name in COORDINATE_STAGES)


assert tuple(StagesConfig.model_fields) == ("run", *STAGES)


class MaskingConfig(Strict):
    """Which regions pretrain masks, and how."""

    mode: Literal["regions", "patches"] = "regions"
    """regions: anchors in facial regions, drawn by their error. patches: as many patches of a
    grid, drawn uniformly without replacement, each with a Gaussian at its centre (random patches,
    as in masked autoencoders)."""
    grid: PositiveInt = 8
    """With patches: the crop is divided into `grid` x `grid` of them."""
    alpha: NotNegative = 1.0
    """A region's probability is proportional to its NME to this power; 0 is uniform."""
    floor: Fraction = 0.01
    """The smallest probability of a region."""
    share: Fraction = 1.0
    """The share of images that are masked, drawn anew in each epoch; the others stay whole."""
    regions: tuple[PositiveInt, PositiveInt] = (1, 3)
    """The range of the number of regions masked per image."""
    anchors: PositiveInt = 3
    """Anchor points per masked region."""
    sigma: tuple[Positive, Positive] = (0.03, 0.10)
    """The range of the standard deviation of their Gaussians, as fractions of the crop side."""
    noise_mean: Fraction = 0.5
    """Mean of the noise, with pixels in [0, 1]."""
    noise_std: Positive = 0.25
    """Standard deviation of the noise, with pixels in [0, 1]."""
    outside_weight: Fraction = 0.01
    """Weight of what is not masked in the reconstruction loss (Eq. 2 of the paper)."""

    _order = field_validator("regions", "sigma")(ordered)

    @model_validator(mode="after")
    def _patches(self) -> "MaskingConfig":
        most = self.regions[1] * self.anchors
        if self.mode == "patches" and most > self.grid**2:
            raise ValueError(
                f"grid ({self.grid}) gives {self.grid**2} patches, fewer than the {most} that "
                f"regions ({self.regions[1]}) times anchors ({self.anchors}) mask at most"
            )
        return self
