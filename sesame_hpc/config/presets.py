"""Shipped configurations by name."""

from pathlib import Path

from sesame_hpc.config.shipped import Shipped

__all__ = ["find_config", "preset_names"]

_PRESETS = Shipped("configuration file", in_package="presets", in_checkout="configs")


def preset_names() -> list[str]:
    """Names that `find_config` takes, sorted."""
    return _PRESETS.names()


def find_config(name: str | Path) -> Path:
    """The file of a configuration given by its path or, without a suffix, by a preset's name.

    FileNotFoundError, with the names of the presets, if there is neither.
    """
    return _PRESETS.find(name)
