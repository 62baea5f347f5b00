"""SLURM's notations for nodes and tasks."""

import os
from pathlib import Path

import pytest

from sesame_hpc.launch.nodes import expand_nodes, expand_task_counts, reachable_address


@pytest.mark.parametrize(
    ("nodelist", "nodes"),
    [
        ("n0", "n0"),
        ("n[0-2,7]", "n0 n1 n2 n7"),
        ("gpu[08-11]", "gpu08 gpu09 gpu10 gpu11"),
        ("b,a[1-2],c", "b a1 a2 c"),
        ("r[1-2]n[01-02]-ib", "r1n01-ib r1n02-ib r2n01-ib r2n02-ib"),
        ("cn[0098-0100,0003].site.org", "cn0098.site.org cn0099.site.org cn0100.site.org "
         "cn0003.site.org"),
    ],
)  # fmt: skip
def test_node_lists(nodelist: str, nodes: str) -> None:
    assert expand_nodes(nodelist) == nodes.split()


@pytest.mark.parametrize("nodelist", ["", "n[0-", "n0,", "n[2-1]", "n[a-b]", "n[]", "n0]"])
def test_what_is_no_node_list(nodelist: str) -> None:
    with pytest.raises(ValueError, match="SLURM node list"):
        expand_nodes(nodelist)


def test_task_counts() -> None:
    assert expand_task_counts("2(x2),1") == [2, 2, 1]
    assert expand_task_counts("16") == [16]
    for wrong in ("", "2(x)", "2,,1", "-1", "2(x2"):
        with pytest.raises(ValueError, match="tasks per node"):
            expand_task_counts(wrong)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that prints what the real one does for a node of the local cluster."""
    program = tmp_path / "scontrol"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "show node n0.invalid -o" ] || exit 1\n'
        "echo 'NodeName=n0.invalid Arch=x86_64 NodeAddr=127.0.0.1 NodeHostName=vm Port=17001'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("scontrol")
def test_an_address_is_a_name_that_resolves_or_what_slurm_knows() -> None:
    assert reachable_address("localhost") == "localhost"
    assert reachable_address("n0.invalid") == "127.0.0.1"
    with pytest.raises(ValueError, match="scontrol has no such node; set MASTER_ADDR"):
        reachable_address("n1.invalid")
