"""Shipped configurations by name."""

from pathlib import Path

__all__ = ["find_config", "preset_names"]

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder() -> Path:
    """The folder of presets: in a wheel inside the package, in a checkout beside it."""
    installed = _PACKAGE / "presets"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def preset_names() -> list[str]:
    """Names that `find_config` takes, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def find_config(name: str | Path) -> Path:
    """The file of a configuration given by its path or, without a suffix, by a preset's name.

    FileNotFoundError, with the names of the presets, when there is neither.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if str(name) in preset_names():
        return _folder() / f"{name}.yaml"
    known = ", ".join(preset_names()) or "none installed"
    raise FileNotFoundError(f"no configuration file {name}, and no preset of that name ({known})")
