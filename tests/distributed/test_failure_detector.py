"""Each rank learns which rank, on which node, was the end of all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("rank_scenarios.py")
NAMES = (
    "rank 1 fails",
    "rank 1 fails later",
    "rank 0 fails",
    "rank 1 lacks memory",
    "rank 2 has a faulty GPU",
    "rank 1 is killed",
    "rank 0 is killed",
    "rank 1 hangs",
    "rank 0 is caught",
    "ranks 2 and 3 are missing",
    "rank 0 is missing",
    "strangers",
    "all is well",
)
FAILURE = "failed: ValueError: image 7 cannot be read"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scenarios, run at once; one that waited for a timeout of ten minutes would not end."""
    folder = tmp_path_factory.mktemp("scenarios")
    command = [sys.executable, str(SCRIPT), str(folder), *NAMES]
    # With its warnings, which tell of connections that were not closed in order.
    environment = os.environ | {"TORCH_CPP_LOG_LEVEL": "WARNING"}
    subprocess.run(command, env=environment, check=True, timeout=300)
    return folder


def said(outcome: Path, name: str, rank: int) -> tuple[int, str]:
    """Exit code and output of a rank."""
    place = outcome / f"{name}-{rank}"
    return int(place.with_suffix(".code").read_text()), place.with_suffix(".txt").read_text()


def test_a_failure_is_named_on_the_other_ranks_and_raised_on_its_own(outcome: Path) -> None:
    for culprit, other in ((1, 0), (0, 1)):
        code, text = said(outcome, f"rank {culprit} fails", other)
        assert code == 2
        assert f"RankFailed: rank {culprit} (node n0) {FAILURE}" in text
        _, text = said(outcome, f"rank {culprit} fails", culprit)
        assert text.startswith("ValueError: image 7")
    code, text = said(outcome, "rank 1 fails later", 0)
    assert code == 2
    assert f"RankFailed: rank 1 (node n0) {FAILURE}" in text


def test_all_ranks_know_which_node_has_the_faulty_gpu(outcome: Path) -> None:
    for rank in range(3):
        code, text = said(outcome, "rank 2 has a faulty GPU", rank)
        assert code == 2
        assert "faulty: n1\n" in text
    assert "faulty: \n" in said(outcome, "rank 1 fails", 0)[1]


def test_a_rank_that_lacks_memory_is_named_with_step_and_samples(outcome: Path) -> None:
    where = "(in stage pretrain, epoch 1, step 3, on rank 1 (node n0), sample ids 4, 9)"
    code, text = said(outcome, "rank 1 lacks memory", 0)
    assert code == 2
    assert "RankFailed: rank 1 (node n0) failed: RuntimeError: not enough memory: " in text
    assert where in text.splitlines()[0]


def test_ranks_that_are_gone_are_named(outcome: Path) -> None:
    for rank in (0, 2):
        code, text = said(outcome, "rank 1 is killed", rank)
        assert code == 2
        assert "RanksLost: rank 1 (node n0) is lost: no response" in text
    code, text = said(outcome, "rank 0 is killed", 1)
    assert code == 2
    assert "RanksLost: rank 0 (node n0) is lost" in text


def test_a_rank_that_hangs_is_named_with_its_place_and_ended(outcome: Path) -> None:
    for rank in (0, 2):
        code, text = said(outcome, "rank 1 hangs", rank)
        assert code == 2
        assert "timed out waiting for rank 1 (node n0) at rank_scenarios.py:" in text
        assert "(hangs)" in text
    assert said(outcome, "rank 1 hangs", 1)[0] == 1


def test_a_rank_that_nothing_else_would_tell_is_ended(outcome: Path) -> None:
    assert said(outcome, "rank 0 is caught", 1)[0] == 2
    code, text = said(outcome, "rank 0 is caught", 0)
    assert code == 1
    assert f"rank 1 (node n0) {FAILURE}" in text


def test_ranks_that_never_came_are_named_with_their_node(outcome: Path) -> None:
    for rank in (0, 1):
        code, text = said(outcome, "ranks 2 and 3 are missing", rank)
        assert code == 2
        assert "TimeoutError: ranks 2, 3 (node n1) did not arrive within 12 s" in text
    code, text = said(outcome, "rank 0 is missing", 1)
    assert code == 2
    assert "TimeoutError: rank 0 (node n0) did not arrive within " in text


def test_two_jobs_with_one_port_keep_apart(outcome: Path) -> None:
    texts = [said(outcome, "strangers", rank)[1] for rank in range(4)]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("['job")]
    assert [line.rpartition(" ")[0] for line in lines] == [
        str([f"job {job}"] * 2) for job in (0, 0, 1, 1)
    ]
    ports = [int(line.rpartition(" ")[2]) for line in lines]
    assert ports[0] == ports[1] <= ports[2] == ports[3]  # the same once the first has ended


def test_an_end_without_trouble_leaves_no_connection_broken(outcome: Path) -> None:
    for rank in (0, 1):
        code, text = said(outcome, "all is well", rank)
        assert code == 0
        assert text.endswith("done\n")
        assert "recvValue" not in text
