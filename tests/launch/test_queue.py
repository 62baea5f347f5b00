"""What SLURM 22.05 printed, read again."""

import json
from pathlib import Path

import pytest
from launched_runs import fake_command, sacct_line, squeue_line

from sesame_hpc.launch.queue import (
    QueueError,
    query_sacct,
    query_squeue,
    read_sacct,
    read_squeue,
    read_squeue_nodes,
)
from sesame_hpc.launch.status_table import _nodes


def test_squeue_is_read_by_its_columns():
    text = "\n".join(
        [
            squeue_line("25", "RUNNING", "n[0-1]", "None", 1, "2026-11-22T14:12:41"),
            squeue_line("9_3", "FAILED", "n[0-1]", "NonZeroExitCode"),
            squeue_line("10_2", "PENDING", reason="Dependency", start="2026-11-23T01:00:00"),
            squeue_line("11", "PENDING", reason="launch failed requeued held"),
        ]
    )
    found = read_squeue(text)
    running = found["25"]
    assert (running.state, running.nodes, running.restarts) == ("RUNNING", "n[0-1]", 1)
    assert running.reason == ""
    assert found["9_3"].nodes == "n[0-1]"
    assert found["10_2"].reason == "Dependency"
    assert found["10_2"].start == "2026-11-23T01:00:00"
    assert found["11"].reason == "launch failed requeued held"
    assert [job for job, state in found.items() if state.is_active] == ["25", "10_2", "11"]


NODES = ",".join(f"n{number}" for number in range(1, 2000, 2))
"""Every second node, which is longer than the column of 4,000 characters."""


def json_job(job: int, nodes: str, **more: object) -> dict[str, object]:
    return {"job_id": job, "nodes": nodes, "array_job_id": 0, "array_task_id": None, **more}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"jobs": [json_job(25, NODES), json_job(26, "n1")]}, NODES),
        ({"jobs": [json_job(25, NODES)], "errors": []}, NODES),
        ({"errors": ["no serializer"]}, f"{NODES[:4000]}…"),
        ("unrecognized option '--json'", f"{NODES[:4000]}…"),
    ],
)
def test_a_node_list_that_is_cut_is_asked_for_as_json(commands: Path, answer, expected):
    line = squeue_line("25", "RUNNING", NODES[:4000])
    script = (
        f"#!/bin/sh\ncase \"$*\" in *--json*) /bin/cat '{commands}/json' ;; "
        f"*) /bin/cat '{commands}/table' ;; esac\n"
    )
    (commands / "table").write_text(line + "\n")
    (commands / "json").write_text(answer if isinstance(answer, str) else json.dumps(answer))
    (commands / "bin/squeue").write_text(script)
    (commands / "bin/squeue").chmod(0o755)
    found = query_squeue(["25"])["25"]
    assert found.nodes == expected
    assert _nodes(found.nodes) == ("1000 nodes" if expected == NODES else "n1,n3,n5,…")


def test_json_of_old_and_new_versions_names_tasks_of_arrays():
    old = json_job(31, "n0", array_job_id=30, array_task_id=2)
    new = json_job(
        31,
        "n0",
        array_job_id={"set": True, "infinite": False, "number": 30},
        array_task_id={"set": True, "infinite": False, "number": 2},
    )
    whole = json_job(31, "n0", array_task_id={"set": False, "infinite": False, "number": 0})
    for job, name in ((old, "30_2"), (new, "30_2"), (whole, "31")):
        assert read_squeue_nodes(json.dumps({"jobs": [job]})) == {name: "n0"}
    for text in ("[]", '{"jobs": [{}]}', '{"jobs": 3}', "squeue: error"):
        with pytest.raises(ValueError, match=r"squeue|Expecting"):
            read_squeue_nodes(text)


def test_sacct_is_read_by_its_fields():
    lines = [
        sacct_line("3", "CANCELLED by 0", "n0"),
        sacct_line("2_1", "CANCELLED"),
        sacct_line("8_[0-1,3%2]", "CANCELLED by 0"),
        sacct_line("12_[4]", "PENDING"),
        "slurm_load: a warning",
    ]
    found = read_sacct("\n".join(lines))
    assert sorted(found) == ["12_4", "2_1", "3", "8_0", "8_1", "8_3"]
    assert (found["3"].state, found["3"].nodes) == ("CANCELLED", "n0")
    assert found["2_1"].nodes == ""


def test_all_jobs_are_asked_for_at_once(commands: Path):
    fake_command(commands, "squeue", [squeue_line("12_1", "RUNNING")])
    assert set(query_squeue(["12_1", "12_0", "9"])) == {"12_1"}
    asked = (commands / "bin/squeue.asked").read_text().splitlines()
    assert len(asked) == 1
    assert "--jobs=9,12 " in asked[0]
    assert query_squeue([]) == {}


def test_jobs_that_squeue_no_longer_lists_are_not_an_error(commands: Path):
    error = "slurm_load_jobs error: Invalid job id specified\n"
    fake_command(commands, "squeue", error=error, code=1)
    assert query_squeue(["9"]) == {}


def test_a_command_that_fails_says_what_it_said(commands: Path):
    with pytest.raises(QueueError, match="squeue is not installed on this machine"):
        query_squeue(["9"])
    error = "sacct: error: one\nSlurm accounting storage is disabled\n"
    fake_command(commands, "sacct", error=error, code=1)
    with pytest.raises(QueueError, match=r"^sacct: Slurm accounting storage is disabled$"):
        query_sacct(["9"])


def test_long_and_unknown_node_lists_are_kept_whole_and_drawn():
    """As of a job on a fragmented cluster: SLURM's own columns would cut the list."""
    nodes = ",".join(f"n[{number}-{number + 1}]" for number in range(1000, 2000, 7))
    state = read_squeue(squeue_line("9", "RUNNING", nodes=nodes))["9"]
    assert state.nodes == nodes
    assert _nodes(nodes) == "286 nodes"
    assert _nodes(nodes[:200]) == "n[1000-10…"


def test_accounting_of_an_unknown_form_does_not_end_the_status():
    assert read_sacct(sacct_line("12+0_[", "FAILED"))["12+0_["].state == "FAILED"
