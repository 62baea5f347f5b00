"""The notebook of examples/ runs from its first cell to its last, on rendered faces."""

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")

SMALL = """
RENDERED = {"train": 32, "test": 8, "size": 96}
SETTINGS = [f"stages.{stage}.epochs=1" for stage in ("preliminary", "pretrain", "finetune")]
SETTINGS += ["model.stacks=1", "model.width=8", "model.widths=null", "data.heldout=8"]
SETTINGS += [f"stages.{stage}.batch_size=8" for stage in ("preliminary", "pretrain", "finetune")]
SETTINGS += ["runtime.device=cpu", "runtime.threads=1", "log.tensorboard=false"]
"""


@pytest.fixture
def cells():
    """The sources of the code cells, the parameters with small ones after them."""
    notebook = json.loads((EXAMPLES / "own_faces.ipynb").read_text())
    assert notebook["nbformat"] == 4
    assert 12 <= len(notebook["cells"]) <= 16
    code = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    assert not any(each["outputs"] or each["execution_count"] for each in code)
    parameters, *others = ("".join(each["source"]) for each in code)
    assert "RENDERED" in parameters
    return [parameters + SMALL, *others]


def test_every_cell_runs(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    shown = []
    monkeypatch.setattr(
        "matplotlib.pyplot.show", lambda: shown.append(len(matplotlib.pyplot.gcf().axes))
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(cells, 1):
        exec(compile(source, f"code cell {number}", "exec"), names)
    assert shown == [4, 3, 1, 4]
    printed = capsys.readouterr().out
    assert "train: 32 faces in 32 images, 0 unreadable" in printed
    assert "all points: " in printed
    assert (tmp_path / "runs/notebook/report.html").is_file()
    assert set(names["losses"].of) == {"preliminary", "pretrain", "finetune"}
