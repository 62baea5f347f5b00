"""Environments that hold wheels of ours and, of this one's packages, only what those require."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from venv import EnvBuilder

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["ROOT", "Answer", "Environment", "build_wheel", "install", "let_in"]

ROOT = Path(__file__).parents[2]

_HOOK = '''
"""Of the shared packages, only those that this environment's requirements lead to are there."""
import sys
from importlib.machinery import PathFinder

REFUSED, HIDDEN = frozenset({modules}), frozenset({distributions})


class Refusing(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        parts = name.split(".")
        if any(".".join(parts[:end]) in REFUSED for end in range(1, len(parts) + 1)):
            return None
        return PathFinder.find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *arguments, **options):
        for found in PathFinder.find_distributions(*arguments, **options):
            if found.name.lower().replace("_", "-") not in HIDDEN or {site!r} in str(found._path):
                yield found


sys.meta_path[sys.meta_path.index(PathFinder)] = Refusing
'''

# Commands one after the other, each in a fork of a process that has imported what all need.
_SERVE = """
import importlib, json, os, runpy, sys, tempfile
from sesame_hpc.process import set_process_defaults
set_process_defaults()
commands, modules = json.load(sys.stdin)
for module in modules:
    importlib.import_module(module)
answers = []
for words in commands:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = words
            code = 1
            try:
                runpy.run_path(words[0], run_name="__main__")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [(each.seek(0), each.read().decode())[1] for each in (out, err)]
        answers.append([code, *texts])
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


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
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int = 0,
        given: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Python with `arguments`, and `given` on its standard input."""
        drop = ("PYTHON", "SESAME_", "SLURM_", "TRITON_INTERPRET", "RANK", "WORLD_SIZE", "LOCAL_")
        variables = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        variables["PATH"] = f"{self.path / 'bin'}:{variables['PATH']}"
        ended = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.path,
            env=variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=550,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    def sesame(
        self, *arguments: str | Path, cwd: Path | None = None, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        return self.run(self._sesame, *arguments, cwd=cwd, code=code)

    def sesame_each(
        self, commands: Sequence[Sequence[str]], cwd: Path, modules: Sequence[str] = ()
    ) -> list[Answer]:
        """`sesame` with each of these arguments, in forks of one process that imports `modules`."""
        words = [[str(self._sesame), *command] for command in commands]
        given = json.dumps([words, ["sesame_hpc.cli.main", *modules]])
        answered = self.run("-c", _SERVE, cwd=cwd, given=given)
        return [Answer(*each) for each in json.loads(answered.stdout)]

    @property
    def _sesame(self) -> Path:
        return self.path / "bin" / "sesame"

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.path.glob("lib/python*/site-packages"))


def install(path: Path, wheels: Iterable[Path]) -> Environment:
    """An empty environment, and pip's installation of `wheels` there, without what they require."""
    EnvBuilder(symlinks=True).create(path)
    environment = Environment(path)
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "-q"]
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, *map(str, wheels)], check=True)
    return environment


def let_in(installed: Environment, path: Path, requirements: Iterable[str]) -> Environment:
    """A copy of `installed` with, of this process's packages, those that `requirements` lead to.

    Skips where one of those is not installed here. The packages themselves are this process's.
    """
    shutil.copytree(installed.path, path, symlinks=True)
    environment = Environment(path)
    site = environment.site
    needed = _closure(site, requirements)
    owners = _owners()
    modules = [module for module, of in owners.items() if not needed & of]
    own = {"sesame_hpc": "sesame-hpc", "sesame_kernels": "sesame-kernels"}
    modules += [module for module, owner in own.items() if owner not in needed]
    hidden = {canonicalize_name(each.name) for each in metadata.distributions()} - needed
    shared = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "shared.pth").write_text("".join(f"{folder}\n" for folder in shared))
    names = {"modules": json.dumps(modules), "distributions": json.dumps(sorted(hidden))}
    (site / "sitecustomize.py").write_text(_HOOK.format(**names, site=str(site)))
    return environment


@cache
def _owners() -> dict[str, set[str]]:
    """By top-level module of this process's packages, the distributions that hold it."""
    found = metadata.packages_distributions().items()
    return {module: set(map(canonicalize_name, owners)) for module, owners in found}


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
