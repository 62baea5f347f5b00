"""What users install: two wheels, each with its own package, typed, and what they require."""

import email
import re
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import sesame_kernels
from environments import ROOT
from packaging.requirements import Requirement

import sesame_hpc
from sesame_hpc.extras import PACKAGES


@pytest.fixture(scope="module")
def names(wheels: dict[str, Path]) -> dict[str, list[str]]:
    return {name: zipfile.ZipFile(path).namelist() for name, path in wheels.items()}


@pytest.fixture(scope="module")
def about(wheels: dict[str, Path]) -> dict[str, Message]:
    found = {}
    for name, path in wheels.items():
        with zipfile.ZipFile(path) as wheel:
            (member,) = (each for each in wheel.namelist() if each.endswith("/METADATA"))
            found[name] = email.message_from_bytes(wheel.read(member))
    return found


@pytest.mark.parametrize(
    ("distribution", "package"),
    [("sesame-hpc", "sesame_hpc"), ("sesame-kernels", "sesame_kernels")],
)
def test_each_wheel_holds_its_package_alone(names, distribution, package):
    held = names[distribution]
    tops = {name.split("/")[0] for name in held if ".dist-info/" not in name}
    assert tops == {package}
    assert f"{package}/py.typed" in held
    assert any(re.fullmatch(r".*\.dist-info/licenses/LICENSE", name) for name in held)
    source = {"sesame_hpc": ROOT, "sesame_kernels": ROOT / "kernels"}[package] / package
    modules = {f"{package}/{path.relative_to(source)}" for path in source.rglob("*.py")}
    assert modules <= set(held)


def test_presets_and_profiles_come_along(names):
    presets = {f"sesame_hpc/presets/{path.name}" for path in ROOT.glob("configs/*.yaml")}
    profiles = {f"sesame_hpc/profiles/{path.name}" for path in ROOT.glob("slurm/profiles/*.yaml")}
    assert presets
    assert profiles
    assert presets | profiles <= set(names["sesame-hpc"])


def test_the_versions_are_those_of_the_packages(about):
    assert about["sesame-hpc"]["Version"] == sesame_hpc.__version__
    assert about["sesame-kernels"]["Version"] == sesame_kernels.__version__


@pytest.mark.parametrize("folder", [ROOT, ROOT / "kernels"], ids=lambda path: path.name)
def test_pyproject_holds_no_version_of_its_own(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]


def requirements(message: Message, extra: str = "") -> set[str]:
    """The names of what is required, of the core or with an extra."""
    needs = [Requirement(each) for each in message.get_all("Requires-Dist") or ()]
    return {
        need.name.lower().replace("_", "-")
        for need in needs
        if (need.marker.evaluate({"extra": extra}) if need.marker else True)
        and ("extra" in str(need.marker)) == bool(extra)
    }


def test_the_core_requires_nothing_of_the_card(about):
    heavy = {"torch", "triton", "deepspeed", "submitit", "sesame-kernels"}
    core = requirements(about["sesame-hpc"])
    assert "onnxruntime" in core
    assert not {name for name in core if name in heavy or name.startswith("nvidia")}


def test_training_requires_the_whole_card(about):
    needed = requirements(about["sesame-hpc"], "train") | requirements(about["sesame-hpc"])
    card = {"torch", "triton", "deepspeed", "numpy", "submitit", "rich", "sesame-kernels"}
    assert card <= needed
    assert any(name.startswith("nvidia-dali") for name in needed)


def test_kernels_require_torch_and_where_it_exists_triton(about):
    needs = [Requirement(each) for each in about["sesame-kernels"].get_all("Requires-Dist")]
    markers = {need.name: need.marker for need in needs}
    assert set(markers) == {"torch", "triton"}
    assert markers["torch"] is None
    assert [markers["triton"].evaluate({"sys_platform": each}) for each in ("linux", "darwin")] == [
        True,
        False,
    ]


@pytest.mark.parametrize("module", PACKAGES)
def test_what_a_message_says_to_install_brings_the_package(about, module):
    package, extra = PACKAGES[module]
    needed = requirements(about["sesame-hpc"], extra)
    assert any(name.startswith(package.lower().replace("_", "-")) for name in needed)
