"""The Python reference: one page per package, made from its docstrings by mkdocstrings."""

import ast
from pathlib import Path

__all__ = ["pages"]

ROOT = Path(__file__).parents[2]

_INDEX = "reference/python/index.md"
_HEAD = """# Python API

Made from the docstrings. Shape letters: B batch, K landmarks, C channels, H and W height and width,
S side of a crop, N or F faces. Coordinates are pixels with corners at integers, unless stated.

What most programs need is [`Landmarker`](inference.md) and, for the kernels alone,
[`sesame_kernels`](sesame_kernels.md).

| package | |
| --- | --- |
"""

# In the order of the index; what is not here has no use for others (cli, distributed, process).
_PACKAGES = (
    "inference",
    "config",
    "schemes",
    "data",
    "synth",
    "models",
    "masking",
    "evaluation",
    "stages",
    "run",
    "report",
    "tracking",
    "training",
    "launch",
)


def pages() -> dict[str, str]:
    """{uri: Markdown} with a page for each package."""
    made, index = {}, _HEAD
    for name in _PACKAGES:
        folder = ROOT / "sesame_hpc" / name
        made[f"reference/python/{name}.md"] = _page(f"sesame_hpc.{name}", folder, ROOT)
        index += f"| [`sesame_hpc.{name}`]({name}.md) | {_summary(folder)} |\n"
    kernels = ROOT / "kernels" / "sesame_kernels"
    public = [kernels / "functional.py", kernels / "modules.py"]
    made["reference/python/sesame_kernels.md"] = _text("sesame_kernels", public, kernels.parent)
    index += f"| [`sesame_kernels`](sesame_kernels.md) | {_summary(kernels)} |\n"
    return {_INDEX: index} | made


def _page(title: str, folder: Path, root: Path) -> str:
    """What the package itself exports comes first, subpackages last."""
    init = (folder / "__init__.py").read_text()

    def place(path: Path) -> tuple[bool, int, Path]:
        return f".{path.stem} import" not in init, len(path.parts), path

    files = sorted(folder.rglob("*.py"), key=place)
    return _text(title, [path for path in files if _exports(path)], root)


def _text(title: str, files: list[Path], root: Path) -> str:
    modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in files]
    return f"# {title}\n" + "".join(f"\n::: {module}\n" for module in modules)


def _exports(path: Path) -> bool:
    """Whether a module defines something itself that it exports."""
    if path.name == "__init__.py":
        return False
    names = {
        node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
    }
    return "__all__" in names


def _summary(folder: Path) -> str:
    """The first line of a package's docstring."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return docstring.split("\n")[0]
