"""Environments that hold wheels of ours and, of this one's packages, only what those require."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["ROOT", "Environment", "build_wheel", "make_environment"]

ROOT = Path(__file__).parents[2]

_HOOK = '''
"""Of the shared packages, only those that this environment's requirements lead to are there."""
import sys
from importlib.machinery import PathFinder

REFUSED, HIDDEN = frozenset({modules}), frozenset({distributions})


class Refusing(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if any(f"{{name}}.".startswith(f"{{each}}.") for each in REFUSED):
            return None
        return PathFinder.find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *arguments, **options):
        for found in PathFinder.find_distributions(*arguments, **options):
            if found.name.lower().replace("_", "-") not in HIDDEN or {site!r} in str(found._path):
                yield found


sys.meta_path[sys.meta_path.index(PathFinder)] = Refusing
'''


def build_wheel(project: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return max(folder.glob("*.whl"), key=os.path.getmtime)


class Environment:
    """A virtual environment; commands run outside of the repository, without its PYTHONPATH."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        drop = ("PYTHON", "SESAME_", "SLURM_", "TRITON_INTERPRET", "RANK", "WORLD_SIZE", "LOCAL_")
        variables = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        variables["PATH"] = f"{self.path / 'bin'}:{variables['PATH']}"
        ended = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=550,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    def sesame(
        self, *arguments: str | Path, cwd: Path | None = None, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        return self.run(self.path / "bin" / "sesame", *arguments, cwd=cwd, code=code)


def make_environment(
    path: Path, wheels: Iterable[Path], requirements: Iterable[str]
) -> Environment:
    """Install `wheels` as pip does, and let in what `requirements` need, with their extras.

    Skips where one of those is not installed here. The packages themselves are this environment's.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    environment = Environment(path)
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "-q"]
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", *map(str, wheels)]
    subprocess.run([*pip, *options], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(environment.run("-c", ask).stdout.strip())
    needed = _closure(site, requirements)
    modules = [
        module
        for module, owners in metadata.packages_distributions().items()
        if not needed & set(map(canonicalize_name, owners))
    ]
    own = {"sesame_hpc": "sesame-hpc", "sesame_kernels": "sesame-kernels"}
    modules += [module for module, owner in own.items() if owner not in needed]
    hidden = {canonicalize_name(each.name) for each in metadata.distributions()} - needed
    shared = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "shared.pth").write_text("".join(f"{folder}\n" for folder in shared))
    names = {"modules": json.dumps(modules), "distributions": json.dumps(sorted(hidden))}
    (site / "sitecustomize.py").write_text(_HOOK.format(**names, site=str(site)))
    return environment


def _closure(site: Path, requirements: Iterable[str]) -> set[str]:
    """The names of all packages that these lead to; ours are read from what was installed."""
    ours = {canonicalize_name(each.name): each for each in metadata.distributions(path=[str(site)])}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            try:
                distribution = ours.get(name) or metadata.distribution(name)
            except metadata.PackageNotFoundError:
                pytest.skip(f"{name} is not installed here")
            waiting += [(Requirement(each), wanted) for each in distribution.requires or ()]
    return {name for name, _ in seen}
