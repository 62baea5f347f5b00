"""Both wheels, environments that they are installed into, and a run to export there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from environments import ROOT, Environment, build_wheel, install, let_in

from tests.inference.conftest import faces_root, make_run, run

__all__ = ["faces_root", "make_run", "run"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of this tree, by distribution."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheels")
    projects = {"sesame-hpc": ROOT, "sesame-kernels": ROOT / "kernels"}
    return {name: build_wheel(project, folder) for name, project in projects.items()}


@pytest.fixture(scope="session")
def environment(
    wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Environment]:
    """The environment after `pip install REQUIREMENT`; the same one for the same requirement."""
    folder = tmp_path_factory.mktemp("environments")
    made: dict[str, Environment] = {}
    installed: dict[tuple[str, ...], Environment] = {}

    def make(requirement: str) -> Environment:
        if requirement not in made:
            own = [requirement.partition("[")[0]]
            if any(f"[{extra}]" in requirement for extra in ("train", "timm", "docs")):
                own.append("sesame-kernels")
            names = tuple(own)
            if names not in installed:
                path = folder / "installed" / "-".join(names)
                installed[names] = install(path, [wheels[name] for name in names])
            made[requirement] = let_in(installed[names], folder / requirement, [requirement])
        return made[requirement]

    return make


@pytest.fixture(scope="session")
def model(
    environment: Callable[[str], Environment], run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run exported by `sesame-hpc[export]`, with ONNX and safetensors in one folder."""
    out = tmp_path_factory.mktemp("exported")
    exports = [
        ["export", str(run), "--to", form, "--out", str(out)] for form in ("onnx", "safetensors")
    ]
    of = environment("sesame-hpc[export]")
    answers = of.sesame_each(exports, out, ["sesame_hpc.inference.export"])
    assert [answer.code for answer in answers] == [0, 0], answers
    return out
