"""What users install: the wheel holds both typed packages, the presets and one version."""

import email
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import sesame_hpc

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_both_packages_are_typed(wheel):
    assert {"sesame_hpc/py.typed", "sesame_kernels/py.typed"} <= set(wheel.namelist())


def test_presets_and_profiles_come_along(wheel):
    presets = {f"sesame_hpc/presets/{path.name}" for path in ROOT.glob("configs/*.yaml")}
    profiles = {f"sesame_hpc/profiles/{path.name}" for path in ROOT.glob("slurm/profiles/*.yaml")}
    assert presets
    assert profiles
    assert presets | profiles <= set(wheel.namelist())


def test_the_version_is_that_of_the_package(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    assert email.message_from_bytes(wheel.read(name))["Version"] == sesame_hpc.__version__


def test_pyproject_holds_no_version_of_its_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
