"""`data.augment.extra`: a further change of training crops on the CPU, a plugin."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sesame_hpc.config.schema import AugmentConfig
from sesame_hpc.plugins import Plugin, load_plugin

__all__ = ["CropChange", "ExtraAugment", "augment_plugin", "extra_augment"]

_KEY = "data.augment.extra"

Image = NDArray[np.uint8]
ExtraAugment = Callable[[Image, np.random.Generator], Image]


class CropChange(Protocol):
    """What a plugin of `data.augment.extra` is: a class whose instances change crops.

    Its class is called with `(settings)`, an instance of the class's `Settings`. Several threads
    call one instance at the same time, so it has no state.
    """

    def __init__(self, settings: Any) -> None: ...

    def __call__(self, crop: Image, random: np.random.Generator) -> Image:
        """uint8 [S, S, 3] RGB -> the same shape and dtype, after all other augmentation.

        Pixels keep their places: landmarks are not changed. `crop` may be overwritten. `random` is
        the sample's own generator in this epoch, and the only source of random numbers.
        """


def augment_plugin(augment: AugmentConfig) -> Plugin | None:
    """The plugin of `data.augment.extra`, if it names one. Errors as of `load_plugin`."""
    return None if augment.extra is None else load_plugin(_KEY, augment.extra)


def extra_augment(augment: AugmentConfig) -> ExtraAugment | None:
    """The change; None without `data.augment.extra`.

    Raises ValueError for settings that the plugin does not take, and, when it is called, for what
    is not such a crop.
    """
    plugin = augment_plugin(augment)
    if plugin is None:
        return None
    change = plugin.target(plugin.settings(augment.extra_settings, f"{_KEY}_settings"))

    def checked(crop: Image, random: np.random.Generator) -> Image:
        changed = change(crop, random)
        if not isinstance(changed, np.ndarray) or (changed.shape, changed.dtype) != (
            crop.shape,
            crop.dtype,
        ):
            raise ValueError(
                f"{_KEY}: {plugin.path} must return {crop.dtype} {list(crop.shape)}, got "
                f"{getattr(changed, 'dtype', type(changed).__name__)} "
                f"{list(getattr(changed, 'shape', []))}"
            )
        return cast(Image, changed)

    return checked
