"""One cluster for all tests that only use it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster, local_cluster

from sesame_hpc.data.synth import synthesise

_DAEMONS = ("slurmctld", "slurmd", "munged")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin"
    missing = [name for name in _DAEMONS if not shutil.which(name, path=path)]
    if missing:
        reason = (
            f"no {', '.join(missing)} here: apt-get install slurmctld slurmd slurm-client munge"
        )
        for item in items:
            if item.get_closest_marker("slurm"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two nodes with two GPUs each, and the partitions main, low and high."""
    with local_cluster("--preemption") as started:
        yield started


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training and 10 test faces of 96 pixels in the WFLW layout."""
    root = tmp_path_factory.mktemp("synth") / "faces"
    synthesise(root, train=48, test=10, seed=3, size=96, workers=1)
    return root
