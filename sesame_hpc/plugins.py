"""Plugins: code of other packages, or of a file of the user's, that a setting names.

A name is `package.module:Name`, or that of an entry point which an installed distribution declares
in the group `sesame_hpc.<kind>`; the kinds are the settings that take one. What a plugin is given
and returns stands with its kind (docs/extend.md lists them). Imports no torch.

A name can come from a stranger's configuration, run or export. So an import path is imported only
where the user names its module, or its file, in the environment variable SESAME_PLUGINS. Entry
points need no such consent, since somebody installed them here as plugins.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, packages_distributions, version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from sesame_hpc.config.fields import Strict, plugins_installed
from sesame_hpc.config.layers import Layer
from sesame_hpc.config.load import validate

__all__ = ["PLUGINS", "Plugin", "allow_plugins", "is_installed", "load_plugin"]

PLUGINS = "SESAME_PLUGINS"
"""Environment variable: the modules, and the .py files, that may be imported as plugins; with
commas between them. A module allows those below it too."""

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class _NoSettings(Strict):
    """Of a plugin that has no `Settings`."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that is loaded.

    Attributes:
        key: the setting that names it, such as `model.backbone`.
        name: the name that the setting gives.
        path: its import path, `module:Name`.
        version: the version of its distribution, or of its module (`__version__`), or else the
            SHA-256 of the module's file.
        target: what the import path leads to: a class, or what can be called as one.
    """

    key: str
    name: str
    path: str
    version: str
    target: Any

    def settings(self, values: Mapping[str, Any], key: str) -> BaseModel:
        """Its settings, validated by its `Settings`, a subclass of `sesame_hpc.config.Strict`.

        `key` is the setting that holds `values`. A plugin without `Settings` takes none.

        Raises:
            ValueError: unknown keys (with the nearest valid ones), or values it does not take.
        """
        model = getattr(self.target, "Settings", _NoSettings)
        if not (isinstance(model, type) and issubclass(model, Strict)):
            raise ValueError(
                f"{self.key}: {self.path} has a Settings that is not a subclass of "
                "sesame_hpc.config.Strict"
            )
        if values and not model.model_fields:
            raise ValueError(f"{key}: {self.path} has no settings, got {', '.join(values)}")
        return validate(model, Layer(dict(values)), f"{key} ({self.path})")

    def record(self) -> dict[str, str]:
        """What a run folder records of it."""
        return {"name": self.name, "path": self.path, "version": self.version}


def allow_plugins(*modules: str | Path) -> None:
    """Let these modules, or .py files, be imported as plugins, here and in child processes.

    They are added to the environment variable SESAME_PLUGINS.

    Raises:
        FileNotFoundError: a file that does not exist.
    """
    entries = [_absolute(str(each)) for each in modules]
    before = os.environ.get(PLUGINS, "")
    os.environ[PLUGINS] = ",".join([*filter(None, [before]), *entries])


def load_plugin(key: str, name: str, kind: str | None = None) -> Plugin:
    """Import the plugin that the setting `key` names.

    `kind` is the end of the entry points' group; None: it is `key`.

    Raises:
        ValueError: the name is not one of a plugin, the plugin is not installed here, the user has
            not allowed it, or it cannot be imported. One sentence that names key and plugin.
    """
    if _IMPORT_PATH.fullmatch(name):
        return _from_path(key, name)
    installed = plugins_installed(kind or key)
    found = [each for each in installed if each.name == name]
    if not found:
        names = sorted(installed.names)
        known = f"installed are {', '.join(names)}" if names else "none is installed"
        raise ValueError(
            f"{key}: plugin {name!r} was not found; give an import path, package.module:Name, or "
            f"the name of an entry point in the group sesame_hpc.{kind or key} ({known})"
        )
    if len({each.value for each in found}) > 1:
        raise ValueError(f"{key}: several installed distributions have a plugin {name!r}")
    return _from_entry_point(key, found[0])


def is_installed(kind: str, name: str) -> bool:
    """Whether an installed distribution has an entry point of that name; imports nothing of it."""
    return bool(plugins_installed(kind, name=name))


def _from_path(key: str, name: str) -> Plugin:
    module_name, _, attribute = name.partition(":")
    file = _consent(key, name, module_name)
    try:
        module = import_module(module_name) if file is None else _import_file(module_name, file)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_of(module_name, error.name or ""):
            raise ValueError(
                f"{key}: the plugin {name} is not installed here: module {error.name} was not found"
            ) from None
        raise _broken(key, name, error) from error
    if not hasattr(module, attribute):
        raise ValueError(f"{key}: module {module_name} has no {attribute} ({module.__file__})")
    known = _version(module) if file is None else _file_version(module)
    return Plugin(key, name, name, known, getattr(module, attribute))


def _from_entry_point(key: str, entry: EntryPoint) -> Plugin:
    try:
        target = entry.load()
    except Exception as error:
        raise _broken(key, f"{entry.name} ({entry.value})", error) from error
    known = entry.dist.version if entry.dist else _version(sys.modules[entry.module])
    return Plugin(key, entry.name, entry.value, known, target)


def _broken(key: str, name: str, error: Exception) -> ValueError:
    return ValueError(
        f"{key}: the plugin {name} cannot be imported: {type(error).__name__}: {error}"
    )


def _consent(key: str, name: str, module: str) -> Path | None:
    """The file that the user named for `module`, or None for one on Python's path.

    Raises:
        ValueError: the user named neither; FileNotFoundError: a file that is not there.
    """
    for entry in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
        if not _is_file(entry):
            if _is_of(module, entry):
                return None
        elif Path(entry).stem == module:
            return Path(_absolute(entry))
    raise ValueError(
        f"{key}: {name} is code outside of sesame-hpc, which is imported only with your consent: "
        f"if you trust it, set {PLUGINS}={module}, or to the path of its .py file"
    )


def _is_of(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _is_file(entry: str) -> bool:
    return entry.endswith(".py")


def _absolute(entry: str) -> str:
    if not _is_file(entry):
        return entry
    path = Path(entry).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"{PLUGINS}: {path} does not exist")
    return str(path)


def _import_file(name: str, file: Path) -> ModuleType:
    """The module in a file outside of Python's path, under its own name."""
    known = sys.modules.get(name)
    if known is not None:
        if Path(known.__file__ or "").absolute() == file:
            return known
        raise ImportError(f"another module is named {name} ({known.__file__}): rename {file}")
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@cache
def _distributions() -> Mapping[str, list[str]]:
    """{top-level package: distributions that hold it}; takes a second to collect."""
    return packages_distributions()


def _version(module: ModuleType) -> str:
    """The module's own, that of its distribution, or the SHA-256 of its file."""
    if not hasattr(module, "__version__"):
        for name in _distributions().get(module.__name__.partition(".")[0], ()):
            return version(name)
    return _file_version(module)


def _file_version(module: ModuleType) -> str:
    """The module's own, or the SHA-256 of its file."""
    own = getattr(module, "__version__", None)
    if own is not None:
        return str(own)
    if module.__file__ is None:
        return "unknown"
    return f"sha256:{sha256(Path(module.__file__).read_bytes()).hexdigest()}"
