"""A study's file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from few_faces import add_few_faces
from training_process import TINY

TWO_ARMS = """
output: {output}
base: tiny.yaml
overrides: {{log.images_epochs: 0}}
seeds: [0, 1]
arms:
  baseline:
    stages.run: [preliminary]
  adaptive: {{masking: {{alpha: 2}}}}
"""


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a study's file, by default of two arms and seeds, beside the tiny config it is of."""

    def write(text: str = TWO_ARMS, root: Path | None = None) -> Path:
        if root is None:
            root = tmp_path / "faces"
            add_few_faces(root)
        (tmp_path / "tiny.yaml").write_text(
            f"output: unused{TINY}".replace("{heldout", f"{{root: {root}, heldout")
        )
        path = tmp_path / "two.yaml"
        path.write_text(text.format(output=tmp_path / "out"))
        return path

    return write
