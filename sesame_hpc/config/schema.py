"""The configuration: one strict pydantic model per component, composed into `Config`.

Nothing here imports torch, DALI or DeepSpeed: the command line reads configs on login nodes.
Fractions are of the crop side unless a field says otherwise; angles are degrees.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from sesame_hpc.choices import (
    COORDINATE_STAGES,
    STAGES,
    BoxProtocol,
    CompileUnit,
    DataFormat,
    Device,
    HeldoutGroup,
    OnError,
    Precision,
)

__all__ = [
    "AugmentConfig",
    "BoxConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "FinetuneConfig",
    "HeadConfig",
    "LogConfig",
    "LossConfig",
    "MaskingConfig",
    "ModelConfig",
    "PretrainConfig",
    "RuntimeConfig",
    "StageConfig",
    "StagesConfig",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Width = Annotated[int, Field(ge=8, multiple_of=4)]
Quality = Annotated[int, Field(ge=1, le=100)]
Positive = Annotated[float, Field(gt=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("must be a range [low, high]")
    return pair


def _point(value: object) -> object:
    """A point as text, "-1,-1", as well as a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return value


def _count_or_fraction(value: int | float) -> int | float:
    if value <= 0 or (value >= 1 and value != int(value)):
        raise ValueError("must be a number of faces, such as 500, or a fraction, such as 0.1")
    return int(value) if value >= 1 else value


class BoxConfig(Strict):
    """The window around a face, as a multiple of the longer side of its box.

    `protocol` square: a square of the image around the box. letterbox: the box itself with its
    aspect ratio kept, black outside. landmarks: a square around the landmarks' tight box.
    """

    protocol: BoxProtocol = "square"
    scale: Positive = 1.2
    train_scale: tuple[Positive, Positive] = (1.1, 1.5)

    _order = field_validator("train_scale")(_ordered)


class AugmentConfig(Strict):
    """Training augmentation, section IV.C of the paper. Zero switches an operation off."""

    flip: Fraction = 0.5
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 20.0
    translation: Fraction = 0.05
    brightness: Fraction = 0.3
    contrast: Fraction = 0.3
    saturation: Fraction = 0.3
    jpeg: Fraction = 0.5
    jpeg_quality: tuple[Quality, Quality] = (20, 100)
    grayscale: Fraction = 0.2
    occlusion: Fraction = 0.5
    occlusion_size: tuple[Fraction, Fraction] = (0.1, 0.4)

    _order = field_validator("jpeg_quality", "occlusion_size")(_ordered)


class DataConfig(Strict):
    """Where the faces are and how they are cropped.

    `root` is the data set's folder. A list of folders are several data sets of one scheme, which
    are read together; all but the first become `more_roots`. Those may be of other formats.
    `scheme` is the name of a built-in scheme or the path of a YAML file; None takes the default of
    the format (wflw: wflw98, pts: ibug68; the others have none; a pack contains its own).
    `missing` is the x, y that annotations give a point that is not labelled, such as [-1, -1].
    `heldout` is the number of training faces kept for validation, or a fraction of them, at most
    500 faces; faces of one image stay together, or (`heldout_group` look_alike) faces of all images
    of the same photograph. `threads` are DALI's CPU threads; as many more read files and, without a
    GPU, as many more make crops. `cache` memory decodes each training image once and keeps the part
    that augmentation can reach, at the resolution that the crops need: about 150 kB per face for
    crops of 128 pixels. An annotation or image that cannot be read stops the run (`on_error` fail)
    or is skipped and counted (skip), up to the fraction `max_skipped` of the faces.
    """

    root: UserPath
    more_roots: tuple[UserPath, ...] = ()
    format: DataFormat = "wflw"
    scheme: str | None = None
    missing: tuple[float, float] | None = None
    heldout: int | float = 0.1
    heldout_group: HeldoutGroup = "image"
    threads: PositiveInt = 2
    cache: Literal["none", "memory"] = "none"
    on_error: OnError = "fail"
    max_skipped: Fraction = 0.01
    box: BoxConfig = BoxConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="before")
    @classmethod
    def _several_roots(cls, values: Any) -> Any:
        root = values.get("root") if isinstance(values, dict) else None
        if isinstance(root, list | tuple) and root and not values.get("more_roots"):
            return {**values, "root": root[0], "more_roots": root[1:]}
        return values

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders of all data sets."""
        return (self.root, *self.more_roots)

    _missing = field_validator("missing", mode="before")(_point)
    _heldout = field_validator("heldout")(_count_or_fraction)


class ModelConfig(Strict):
    """The stacked hourglass. `image_size` and `map_size` are sides in pixels and cells.

    `width` is the number of channels at the maps' resolution; `widths` gives one for each
    resolution, `levels` + 1 of them from the maps' down, where they differ. `block` bottleneck is
    the paper's, single is one pre-activation 3x3 convolution with a shortcut, which CPUs do at
    twice the rate per operation. `stem` paper is a 7x7 convolution and three bottlenecks, strided
    are 3x3 convolutions of stride 2 alone.
    """

    stacks: Literal[1, 2, 4, 8] = 4
    width: Width = 256
    widths: tuple[Width, ...] | None = None
    block: Literal["bottleneck", "single"] = "bottleneck"
    stem: Literal["paper", "strided"] = "paper"
    levels: Annotated[int, Field(ge=1, le=6)] = 4
    image_size: PositiveInt = 256
    map_size: PositiveInt = 64

    @model_validator(mode="after")
    def _sizes(self) -> "ModelConfig":
        factors = (2, 4) if self.stem == "paper" else (2, 4, 8)
        if self.image_size not in [factor * self.map_size for factor in factors]:
            raise ValueError(
                f"image_size ({self.image_size}) must be {', '.join(map(str, factors[:-1]))} or "
                f"{factors[-1]} times map_size ({self.map_size}) with the stem {self.stem}"
            )
        if len(self.channels) != self.levels + 1 or self.channels[0] != self.width:
            raise ValueError(
                f"widths ({list(self.channels)}) must be {self.levels + 1} numbers, one more than "
                f"levels ({self.levels}), of which the first is width ({self.width})"
            )
        if self.map_size % 2**self.levels:
            raise ValueError(
                f"map_size ({self.map_size}) must be a multiple of 2 ** levels ({2**self.levels})"
            )
        return self

    @property
    def channels(self) -> tuple[int, ...]:
        """The number of channels at each resolution, from the maps' down; `levels` + 1 of them."""
        return self.widths or (self.width,) * (self.levels + 1)


class HeadConfig(Strict):
    """Soft-argmax temperature, supervised stacks, and the reconstruction's upscaling of the map.

    `impl` fused computes the last stack's coordinates from its features without writing its maps:
    the same function and weights as conv, with less memory.
    """

    impl: Literal["conv", "fused"] = "conv"
    beta: Positive = 1.0
    supervision: Literal["all", "last_only"] = "all"
    reconstruction_upscale: Literal[1, 2, 4] = 1


class LossConfig(Strict):
    """What the coordinate stages minimise: L1 on coordinates, and what is asked of the heat-maps.

    `heatmap` is the weight of the cross-entropy between the heat-map's marginals along x and y and
    Gaussians of standard deviation `heatmap_sigma` (a fraction of the crop side) around the label;
    0 leaves it out, as the paper does.
    """

    heatmap: Annotated[float, Field(ge=0.0)] = 0.0
    heatmap_sigma: Positive = 0.04


class StageConfig(Strict):
    """One stage's schedule. `batch_size` is global: over all ranks and accumulation steps.

    The learning rate rises linearly over `warmup_steps`, or over the fraction `warmup` of all steps
    if that is longer, to `lr`; from there it falls to `final_lr` at the last step, exponentially or
    (`schedule` cosine) along half a cosine. `weight_decay` is decoupled (AdamW) and does not apply
    to biases and batch norms.
    `betas` are Adam's decay rates of the moving averages of the gradient and of its square. `ema`
    is the decay rate of a moving average of the weights, which is evaluated in addition to them;
    None for no average.
    """

    epochs: PositiveInt = 300
    batch_size: PositiveInt = 32
    lr: Positive = 1e-3
    final_lr: Positive = 1e-5
    schedule: Literal["exponential", "cosine"] = "exponential"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None

    @model_validator(mode="after")
    def _decays(self) -> "StageConfig":
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr ({self.final_lr}) must not be above lr ({self.lr})")
        return self


class PretrainConfig(StageConfig):
    """`start_from` scratch as in the paper, or preliminary with its backbone.

    There is no average, since finetune starts from the last weights.
    """

    start_from: Literal["scratch", "preliminary"] = "scratch"
    ema: None = None


class FinetuneConfig(StageConfig):
    """`start_from`: finetune takes pretrain's backbone, with heads of its own.

    `preliminary` carries on the whole network of preliminary, heads and all, under this stage's
    schedule (a warm restart); `scratch` trains a fresh network.
    """

    start_from: Literal["scratch", "preliminary", "pretrain"] = "pretrain"


class StagesConfig(Strict):
    """The stages and their schedules. `run` are those that a run has, in their order.

    Every run begins with preliminary. Settings of stages that `run` leaves out count for nothing.
    """

    run: tuple[str, ...] = STAGES
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
    """Which regions are masked and how. `alpha` 0 is uniform; `floor` is the least probability.

    `anchors` is the number of anchor points per drawn region; `sigma` the range of their Gaussians,
    in fractions of the crop side; `noise_mean` and `noise_std` are on the [0, 1] scale of pixels.

    `mode` patches ignores the face: the crop is divided into `grid` x `grid` patches, and as many
    of them as there would be anchors are drawn without replacement, each with a Gaussian at its
    centre (random patches, as in masked autoencoders).
    """

    mode: Literal["regions", "patches"] = "regions"
    grid: PositiveInt = 8
    alpha: Annotated[float, Field(ge=0.0)] = 1.0
    floor: Fraction = 0.01
    regions: tuple[PositiveInt, PositiveInt] = (1, 3)
    anchors: PositiveInt = 3
    sigma: tuple[Positive, Positive] = (0.03, 0.10)
    noise_mean: Fraction = 0.5
    noise_std: Positive = 0.25
    outside_weight: Fraction = 0.01

    _order = field_validator("regions", "sigma")(_ordered)

    @model_validator(mode="after")
    def _patches(self) -> "MaskingConfig":
        most = self.regions[1] * self.anchors
        if self.mode == "patches" and most > self.grid**2:
            raise ValueError(
                f"grid ({self.grid}) gives {self.grid**2} patches, fewer than the {most} that "
                f"regions ({self.regions[1]}) times anchors ({self.anchors}) mask at most"
            )
        return self


class RuntimeConfig(Strict):
    """The machine: settings that may change when a run is resumed, without changing the task.

    `precision` bf16 is DeepSpeed's torch_autocast; auto is bf16 if the machine on which the run
    starts has hardware for it (GPUs since Ampere, CPUs with AVX512-BF16 or AMX), else fp32, and the
    run keeps it. `threads` are torch's CPU threads per rank (None: SLURM's cpus-per-task, else
    cores / local ranks). `rendezvous_minutes` is how long ranks wait for each other at the start,
    `timeout_minutes` how long at any step. `compile` is the unit of torch.compile: regions (the
    stem, a stack), the whole network, the whole network as CUDA graphs, or none; auto is regions on
    CUDA and none on the CPU. `activation_checkpointing` recomputes each stack's inner activations
    instead of keeping them.
    """

    device: Device = "auto"
    precision: Precision = "fp32"
    zero_stage: Literal[0, 1] = 0
    accumulation: PositiveInt = 1
    clip: Annotated[float, Field(ge=0.0)] = 0.0
    channels_last: bool = True
    compile: Literal["auto", "none", CompileUnit] = "auto"
    activation_checkpointing: bool = False
    threads: PositiveInt | None = None
    rendezvous_minutes: Positive = 5.0
    timeout_minutes: Positive = 10.0

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
    """A checkpoint after every `every_epochs` epochs, and every `every_steps` steps."""

    every_epochs: PositiveInt = 1
    every_steps: PositiveInt | None = None
    keep: PositiveInt = 2


class LogConfig(Strict):
    """Steps between metric records, epochs between validations (0: only at the end of a stage)."""

    every_steps: PositiveInt = 20
    eval_epochs: Annotated[int, Field(ge=0)] = 5
    images_epochs: Annotated[int, Field(ge=0)] = 10
    tensorboard: bool = True


class Config(Strict):
    """A run. `output` is the run folder; `profile` traces some steps of each stage."""

    output: UserPath
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    profile: bool = False
    data: DataConfig
    model: ModelConfig = ModelConfig()
    head: HeadConfig = HeadConfig()
    loss: LossConfig = LossConfig()
    stages: StagesConfig = StagesConfig()
    masking: MaskingConfig = MaskingConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _has_maps(self) -> "Config":
        if self.loss.heatmap and self.head.impl == "fused":
            raise ValueError(
                "loss.heatmap looks at the heat-maps, which head.impl fused never writes: use "
                "head.impl=conv or loss.heatmap=0"
            )
        return self
