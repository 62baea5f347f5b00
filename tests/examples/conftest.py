"""The examples' plugins."""

import os
import sys
from pathlib import Path

import pytest

from sesame_hpc.plugins import PLUGINS

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("plain_backbone", "edge_loss", "json_lines", "blur", "lines_tracker")


@pytest.fixture(scope="module")
def plugins():
    """The examples' files are allowed as plugins."""
    before = os.environ.get(PLUGINS)
    os.environ[PLUGINS] = ",".join(str(EXAMPLES / "plugins" / f"{name}.py") for name in NAMES)
    yield EXAMPLES / "plugins"
    if before is None:
        del os.environ[PLUGINS]
    else:
        os.environ[PLUGINS] = before
    for name in NAMES:
        sys.modules.pop(name, None)
