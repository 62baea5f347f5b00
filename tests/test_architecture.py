"""The house as CONTRIBUTING describes it: imports go down, and each heavy library has one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sesame_hpc"

# Folders that are on the module path where their files run; modules are named from there.
IMPORT_ROOTS = (ROOT / "kernels", ROOT / "slurm/local_cluster", ROOT)

# Floors from the top down. A module may import from its own floor's package and from floors below.
FLOORS = (
    ("cli",),
    ("study",),
    ("launch",),
    ("stages",),
    ("report",),
    ("inference",),
    ("training",),
    ("tracking", "masking", "evaluation", "run"),
    ("models", "distributed", "data", "synth"),
    (
        "plugins",
        "config",
        "schemes",
        "choices",
        "checksums",
        "compile_caches",
        "extras",
        "lease",
        "directories",
        "files",
        "plural",
        "process",
        "console",
        "printable",
        "shortage",
        "yaml_limits",
    ),
)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}

ONE_DOOR = {
    "deepspeed": "sesame_hpc/training/engine.py",
    "nvidia.dali": "sesame_hpc/data/loading/pipeline.py",
    "submitit": "sesame_hpc/launch/slurm.py",
    "timm": "sesame_hpc/models/timm_backbone.py",
    "torch.library": "kernels/sesame_kernels/registry.py",
    "torch.utils.tensorboard": "sesame_hpc/tracking/tensorboard.py",
    "huggingface_hub": "sesame_hpc/inference/hub.py",
    "mlflow": "sesame_hpc/tracking/mlflow.py",
    "wandb": "sesame_hpc/tracking/wandb.py",
}

# Without torch on the way to these.
LIGHT = (
    "sesame_hpc.cli.main",
    "sesame_hpc.launch.submit",
    "sesame_hpc.launch.start_checks",
    "sesame_hpc.launch.status",
    "sesame_hpc.launch.cancel",
    "sesame_hpc.study.results",
    "sesame_hpc.study.cluster",
    "sesame_hpc.study.write",
    "sesame_hpc.report",
    "sesame_hpc.run.folder",
    "sesame_hpc.config",
)


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, `from a import b` as a.b, wherever the statement stands.

    Relative ones have their full names.
    """
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = [*_package(path, node.level), *filter(None, [node.module])]
            yield from (".".join([*source, alias.name]) for alias in node.names)


def _package(path: Path, level: int) -> list[str]:
    """The package that a relative import with so many dots begins at; nothing for an absolute."""
    if not level:
        return []
    parts = path.relative_to(_root(path)).parts[:-1]
    return list(parts[: len(parts) - level + 1])


def module(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(_root(path)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _root(path: Path) -> Path:
    return next(each for each in IMPORT_ROOTS if path.is_relative_to(each))


def own(name: str, known: frozenset[str]) -> str | None:
    """The module of this project that `name` is, or is a name in."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def edges(*folders: str) -> dict[str, set[str]]:
    """{module: the modules of these folders that it imports}."""
    paths = {module(path): path for path in sources(*folders)}
    known = frozenset(paths)
    found = {}
    for name, path in paths.items():
        targets = {own(each, known) for each in imports(path)}
        found[name] = {each for each in targets if each and each != name}
    return found


def floor(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_relative_imports_are_seen():
    assert "sesame_hpc.data.rng.keyed_generator" in imports(PACKAGE / "data/division.py")
    assert _package(PACKAGE / "synth/head.py", 1) == ["sesame_hpc", "synth"]
    assert _package(PACKAGE / "synth/__init__.py", 1) == ["sesame_hpc", "synth"]
    assert _package(PACKAGE / "synth/head.py", 2) == ["sesame_hpc"]
    assert _package(PACKAGE / "synth/head.py", 0) == []


def test_every_package_has_a_floor():
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__main__", "__pycache__"} == set(LEVEL)


def test_imports_go_down_only():
    climbing = [
        f"{name} imports {target}"
        for name, targets in edges("sesame_hpc").items()
        for target in targets
        if {floor(name), floor(target)} <= set(LEVEL) and floor(name) != floor(target)
        if LEVEL[floor(target)] < LEVEL[floor(name)]
        or (LEVEL[floor(target)] == LEVEL[floor(name)] and not _side_by_side(name, target))
    ]
    assert not climbing


def _side_by_side(name: str, target: str) -> bool:
    """Within a floor, what is to the right is below what is to the left."""
    names = FLOORS[LEVEL[floor(name)]]
    return names.index(floor(name)) < names.index(floor(target))


def test_the_top_of_the_package_is_a_door_alone():
    assert imports(PACKAGE / "__main__.py") >= {"sesame_hpc.cli.main.main"}
    assert not [name for name in imports(PACKAGE / "__init__.py") if name.startswith("torch")]


@pytest.mark.parametrize("folder", ["sesame_hpc", "kernels", "benchmarks", "slurm"])
def test_no_circle(folder):
    graph = edges(folder)
    assert sum(map(len, graph.values())) > len(graph) / 2, "the imports of this folder go unseen"
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in finished:
            for target in graph[name]:
                if not target.endswith("__init__") and not name.startswith(f"{target}."):
                    visit(target, (*path, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("library", ONE_DOOR)
def test_each_heavy_library_is_named_in_one_module(library):
    using = {
        str(path.relative_to(ROOT))
        for path in sources("sesame_hpc", "kernels")
        if any(f"{name}.".startswith(f"{library}.") for name in imports(path))
    }
    assert using == {ONE_DOOR[library]}


def test_the_product_knows_nothing_of_benchmarks_and_tests():
    foreign = {
        name
        for path in sources("sesame_hpc", "kernels", "slurm")
        for name in imports(path)
        if name.split(".")[0] in ("benchmarks", "tests")
    }
    assert not foreign


def test_what_benchmarks_share_knows_none_of_them():
    graph = edges("benchmarks")
    shared = {name: targets for name, targets in graph.items() if ".common." in name}
    assert shared
    assert all(".common." in target for targets in shared.values() for target in targets)


def test_kernels_and_the_local_cluster_know_nothing_of_the_product():
    foreign = [
        path
        for path in sources("kernels", "slurm")
        if any(name.split(".")[0] == "sesame_hpc" for name in imports(path))
    ]
    assert not foreign


@pytest.mark.parametrize("name", LIGHT)
def test_no_torch_on_the_way_to(name):
    program = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_no_file_is_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in sources("sesame_hpc", "kernels", "slurm", "benchmarks", "docs", "tests")
    }
    assert not {name: count for name, count in lengths.items() if count > 400}


def test_test_modules_have_names_of_their_own():
    """pytest imports them by their bare names."""
    names = [path.name for path in sources("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
