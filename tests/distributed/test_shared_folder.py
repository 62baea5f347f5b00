"""Files that another node has written, and this one sees late."""

import threading
from pathlib import Path

import pytest

from sesame_hpc.distributed.shared_folder import wait_until_seen


def test_a_file_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    ahead, late = tmp_path / "ahead", tmp_path / "late" / "step-3"
    ahead.mkdir()
    (ahead / "state.pt").touch()
    late.parent.mkdir()
    waiting = threading.Thread(target=wait_until_seen, args=(late / "state.pt", 60))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    ahead.rename(late)
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_file_that_never_comes_is_named_with_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESAME_NODE", "n7")
    with pytest.raises(FileNotFoundError, match=r"state\.pt is there .* not on node n7, after 0"):
        wait_until_seen(tmp_path / "step-3" / "state.pt", 0)
