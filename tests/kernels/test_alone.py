"""`sesame_kernels` without the rest of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import sesame_kernels

CODE = """
import builtins, sys
real = builtins.__import__
def refuse(name, *args, **kwargs):
    if name.split(".")[0] in {"sesame_hpc", "deepspeed", "nvidia", "submitit", "pydantic", "typer"}:
        raise ImportError(f"{name} is not installed")
    return real(name, *args, **kwargs)
builtins.__import__ = refuse
import torch, sesame_kernels as kernels
assert kernels.__file__.startswith(sys.argv[1]), kernels.__file__
logits = torch.randn(2, 3, 8, 8, requires_grad=True)
loss, coordinates = kernels.soft_argmax_loss(logits, torch.rand(2, 3, 2))
(loss + kernels.linear_soft_argmax(logits, torch.randn(4, 3)).sum()).backward()
assert logits.grad.isfinite().all()
"""


def test_works_where_nothing_else_of_the_project_is_installed(tmp_path):
    shutil.copytree(Path(sesame_kernels.__file__).parent, tmp_path / "sesame_kernels")
    result = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
