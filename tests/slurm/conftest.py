"""One cluster for all tests that only use it."""

import shutil
from collections.abc import Iterator

import pytest
from slurm_cluster_helpers import LocalCluster, local_cluster

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
