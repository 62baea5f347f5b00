"""Of the ranks of a node one makes the first step alone, and so compiles for all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("compile_turn_ranks.py")


def ranks(folder: Path, scenario: str) -> list[dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), scenario], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("scenario", ["ZeRO 0", "ZeRO 1"])
def test_the_first_passes_of_the_first_rank_end_before_those_of_others_begin(
    tmp_path: Path, scenario: str
) -> None:
    """Forward and backward; gradients are reduced after both ranks have made the latter."""
    first, second = ranks(tmp_path, scenario)
    for one_pass in range(2):
        assert first["end"][one_pass] <= second["begin"][one_pass]
    assert second["begin"][2] < first["end"][2]
    assert "compil" not in first["said"] + second["said"]


@pytest.mark.skipif(shutil.which("c++") is None, reason="Inductor needs a C++ compiler")
def test_the_others_find_what_it_has_compiled(tmp_path: Path) -> None:
    """Both passes, which are compiled apart."""
    first, second = ranks(tmp_path, "compiled")
    assert (first["compiled"], first["found"]) == (2, 0)
    assert (second["compiled"], second["found"]) == (0, 2)


def test_a_rank_does_not_wait_for_ever(tmp_path: Path) -> None:
    first, second = ranks(tmp_path, "rank 0 is late")
    assert second["begin"][0] < first["end"][0]
    assert "local rank 0 of node n0 has not compiled its first forward pass yet" in second["said"]
    assert first["said"] == ""
