"""What all tests of the cluster use: one that they leave as it was, and a few faces."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster_helpers import LocalCluster, local_cluster

from sesame_hpc.synth import synthesise


@pytest.fixture(scope="session")
def started_cluster() -> Iterator[LocalCluster]:
    with local_cluster("--preemption") as started:
        yield started


@pytest.fixture
def cluster(started_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """Two idle nodes with two GPUs each, and the partitions main, low and high."""
    yield started_cluster
    started_cluster.tidy()


@pytest.fixture(scope="session")
def accounted() -> Iterator[LocalCluster]:
    """A cluster with accounting, short job arrays, and a partition of nodes that never wake."""
    options = ("--accounting", "--gpus=0", "--max-array=2", "--sleeping=1100")
    with local_cluster(*options) as started:
        yield started


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training and 10 test faces of 96 pixels in the WFLW layout."""
    root = tmp_path_factory.mktemp("synth") / "faces"
    synthesise(root, train=48, test=10, seed=3, size=96, workers=1)
    return root
