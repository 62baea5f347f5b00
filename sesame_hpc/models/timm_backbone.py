"""Backbones of the timm library, with a top-down neck. The only module that names timm.

timm is needed by runs whose `model.backbone` is timm:NAME, and by nothing else.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sesame_hpc.config import ModelConfig
from sesame_hpc.config.network import TIMM
from sesame_hpc.models.blocks import ConvNormAct
from sesame_hpc.models.weights import load_weights

__all__ = ["PRETRAINED", "TimmBackbone"]

PRETRAINED = "pretrained"
"""The value of `model.weights` that downloads."""


class TimmBackbone(nn.Module):
    """A network of timm as a pyramid of features, merged from coarse to fine.

    [B, 3, S, S] in [0, 1] -> [B, width, M, M]. As in feature pyramid networks (Lin et al.,
    CVPR 2017), each level of the resolution of the maps or coarser has a 1x1 convolution to `width`
    channels, to which the coarser levels are added by nearest upsampling; a 3x3 convolution
    follows. Where the finest level is coarser than the maps, it is upsampled. Pixels are normalised
    by the mean and standard deviation that timm names for the network.

    Raises ValueError where timm is not installed, has no such network, or has no features of it
    that reach the resolution.
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.channels = model.width
        self.map_size = model.map_size
        self.name = model.backbone.removeprefix(TIMM)
        timm = _import_timm(model.backbone)
        self.network = _pyramid(timm, self.name)
        self.last_axis = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        info = self.network.feature_info
        stride = model.image_size // model.map_size
        strides = info.reduction()
        self.levels = [level for level, each in enumerate(strides) if each >= stride]
        if not self.levels:
            raise ValueError(
                f"model.backbone: the coarsest features of {model.backbone} are 1/{max(strides)} "
                f"of the image, finer than the maps (1/{stride}): use a larger model.map_size"
            )
        channels = [info.channels()[level] for level in self.levels]
        self.lateral = nn.ModuleList(nn.Conv2d(each, model.width, 1) for each in channels)
        self.smooth = ConvNormAct(model.width, model.width, 3)
        normalisation = timm.get_pretrained_cfg(self.name)
        for key, usual in (("mean", _MEAN), ("std", _STD)):
            values = torch.tensor(getattr(normalisation, key, usual)).reshape(1, 3, 1, 1)
            self.register_buffer(key, values)
        self._check_size(model)

    mean: Tensor
    std: Tensor

    @torch.no_grad()
    def _check_size(self, model: ModelConfig) -> None:
        """Some networks, as vision transformers, take images of one size only."""
        self.eval()
        try:
            self(torch.zeros(1, 3, model.image_size, model.image_size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                f"model.backbone: {model.backbone} does not take crops of {model.image_size} "
                f"pixels (model.image_size): {str(error).splitlines()[0] if str(error) else ''}"
            ) from None
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        pyramid = self.network((images - self.mean) / self.std)
        merged: Tensor | None = None
        for lateral, level in zip(reversed(self.lateral), reversed(self.levels), strict=True):
            features = pyramid[level].movedim(-1, 1) if self.last_axis else pyramid[level]
            own = lateral(features)
            if merged is not None:
                own = own + F.interpolate(merged, size=own.shape[-2:], mode="nearest")
            merged = own
        assert merged is not None
        if merged.shape[-1] != self.map_size:
            merged = F.interpolate(merged, size=(self.map_size, self.map_size), mode="nearest")
        return self.smooth(merged)

    def load_timm_weights(self, weights: str) -> str:
        """Copy timm's weights of the whole network into the pyramid; every tensor is accounted for.

        `weights` is a safetensors file, or "pretrained" for timm's own download. What the network
        has beyond the pyramid, as its classifier, is left out. Returns the account.

        Raises ValueError for a file of another network or kind, naming tensors, and where nothing
        can be downloaded; FileNotFoundError.
        """
        timm = _import_timm(f"{TIMM}{self.name}")
        if weights == PRETRAINED:
            source, given = f"timm's weights of {self.name}", _download(timm, self.name)
        else:
            source, given = weights, load_weights(Path(weights).expanduser())
        with torch.device("meta"):
            whole = {_flat(key) for key in timm.create_model(self.name).state_dict()}
        wanted = {_flat(key): key for key in self.network.state_dict()}
        names = {_flat(key): key for key in given}
        found = {flat: given[key] for flat, key in names.items()}
        own = self.network.state_dict()
        problems = [f"missing: {wanted[key]}" for key in sorted(wanted.keys() - found.keys())]
        problems += [f"not of this network: {names[key]}" for key in sorted(found.keys() - whole)]
        problems += [
            f"{wanted[key]} is {tuple(found[key].shape)}, not {tuple(own[wanted[key]].shape)}"
            for key in sorted(wanted.keys() & found.keys())
            if found[key].shape != own[wanted[key]].shape
        ]
        if problems:
            more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise ValueError(
                f"model.weights: {source} does not fit {TIMM}{self.name}: "
                f"{'; '.join(problems[:5])}{more}"
            )
        self.network.load_state_dict({name: found[key] for key, name in wanted.items()})
        return (
            f"{len(wanted)} tensors inherited from {source}, "
            f"{len(found.keys() - wanted.keys())} beyond the features left out"
        )


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, where timm names no others."""


def _import_timm(backbone: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"model.backbone: {backbone} needs the package timm, which cannot be imported "
            f"({error}): pip install 'sesame-hpc[timm]'"
        ) from None
    except RuntimeError as error:
        raise ValueError(
            f"model.backbone: {backbone} needs the package timm, whose torchvision cannot be "
            f"imported ({error}): install the build of torchvision that fits torch "
            f"{torch.__version__}"
        ) from None
    return timm


def _pyramid(timm: Any, name: str) -> Any:
    """The network without weights. Names of other sources, as hf-hub:..., are not taken."""
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.partition('.')[0][:5]}*")[:5]
        hint = f"; it has {', '.join(near)}" if near else ""
        raise ValueError(f"model.backbone: timm has no network {name!r}{hint}")
    try:
        return timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AttributeError, AssertionError, TypeError, ValueError) as error:
        raise ValueError(
            f"model.backbone: timm gives no pyramid of features of {name} (features_only): {error}"
        ) from None


def _download(timm: Any, name: str) -> dict[str, Tensor]:
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:
        raise ValueError(
            f"model.weights: timm's weights of {name} cannot be downloaded here "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}): give a "
            "safetensors file of them, model.weights=FILE"
        ) from error


def _flat(key: str) -> str:
    """A tensor's name, the same in a whole network and in its pyramid, which renames stages."""
    return key.removeprefix("model.").replace(".", "_")
