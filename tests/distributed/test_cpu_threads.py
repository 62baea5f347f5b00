"""How many threads a rank gives torch."""

import pytest

from sesame_hpc.distributed.world import cpu_threads

FOUR_RANKS = {"LOCAL_WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    ("environ", "usable", "threads"),
    [
        pytest.param({}, 16, 16, id="alone"),
        pytest.param(FOUR_RANKS, 16, 4, id="torchrun"),
        pytest.param(FOUR_RANKS, 2, 1, id="more ranks than cores"),
        pytest.param(FOUR_RANKS | {"SESAME_CPUS": "8"}, 8, 8, id="SLURM binds tasks"),
        pytest.param(FOUR_RANKS | {"SESAME_CPUS": "8"}, 64, 8, id="SLURM binds nothing"),
        pytest.param({"SESAME_CPUS": "64"}, 2, 2, id="fewer than asked for"),
    ],
)
def test_threads_are_of_the_cores_that_are_this_rank_s(environ, usable, threads):
    assert cpu_threads(environ, usable) == threads
