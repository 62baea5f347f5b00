"""The energy of jobs by accounting, beside a sacct of a few lines."""

from pathlib import Path

import pytest

from sesame_hpc.run import energy
from sesame_hpc.run.energy import consumed_energy, read_energy

ENDED = "2026-11-22T14:24:18"


def test_starts_of_a_job_are_added_and_what_is_not_measured_is_unknown() -> None:
    text = f"""21|sesame-a-pretrain|{ENDED}|3600000
21|sesame-a-pretrain|{ENDED}|1800000
22|sesame-a-pretrain|Unknown|900
23|sesame-a-pretrain|{ENDED}|0
24|sesame-a-pretrain|{ENDED}|
25|sesame-a-pretrain|{ENDED}|18446744073709551614
26|another|{ENDED}|7
sacct: not a line of a job
"""
    assert read_energy(text) == {
        "21": (5_400_000.0, True),
        "22": (900.0, False),
        "23": (None, True),
        "24": (None, True),
        "25": (None, True),
    }


@pytest.fixture
def sacct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sacct that notes what it is asked for, and prints what is in `answer` beside it."""
    monkeypatch.setattr(energy, "_ended", {})
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "sacct"
    program.write_text(
        f'#!/bin/sh\necho "$@" | grep -o "jobs=.*" >> {tmp_path}/asked\ncat {tmp_path}/answer\n'
    )
    program.chmod(0o755)
    return tmp_path


def test_a_job_that_has_ended_is_asked_for_once(sacct: Path) -> None:
    answer = f"31|sesame-a-pretrain|{ENDED}|100\n32|sesame-a-finetune|Unknown|50\n"
    (sacct / "answer").write_text(answer)
    assert consumed_energy(["32", "31", "31"]) == {"31": 100.0, "32": 50.0}
    assert consumed_energy(["31", "32"]) == {"31": 100.0, "32": 50.0}
    assert (sacct / "asked").read_text() == "jobs=31,32\njobs=32\n"


def test_without_accounting_nothing_is_known_and_it_is_not_asked_again(sacct: Path) -> None:
    assert consumed_energy(["31"]) == {}
    assert consumed_energy(["31"]) == {}
    assert (sacct / "asked").read_text() == "jobs=31\n"
    assert consumed_energy([]) == {}
