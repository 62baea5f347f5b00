"""Ranks from the variables of real tasks, recorded on SLURM 22.05 with two nodes on one host."""

import pytest

from sesame_hpc.launch.ranks import slurm_rank_environment, unused_tasks

JOB = {
    "SLURM_CLUSTER_NAME": "local",
    "SLURM_JOB_ID": "2",
    "SLURM_JOB_NODELIST": "localhost,n[0-1]",
}
BATCH_SCRIPT = JOB | {
    "SLURM_GTIDS": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "3",
    "SLURM_PROCID": "0",
    "SLURM_TASKS_PER_NODE": "2,1",
}
# srun of three tasks on two nodes: the last task.
UNEVEN = BATCH_SCRIPT | {
    "SLURM_DISTRIBUTION": "block",
    "SLURM_GTIDS": "2",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "2",
    "SLURM_SRUN_COMM_HOST": "127.0.0.1",
    "SLURM_SRUN_COMM_PORT": "36539",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "localhost,n1",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
}
# srun -N1 -n2 in the shell of `salloc -N2 -n4`: the variables of the job are of its four tasks.
PART_OF_SALLOC = JOB | {
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2",
    "SLURM_TASKS_PER_NODE": "3,1",
}
SALLOC_SHELL = JOB | {"SLURM_NTASKS": "4", "SLURM_TASKS_PER_NODE": "3,1"}
# One task of an array, where no name needs to resolve.
ARRAY = JOB | {
    "SLURM_ARRAY_JOB_ID": "5",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_JOB_ID": "6",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "no-such-host.invalid",
    "SLURM_STEP_NUM_TASKS": "1",
    "SLURM_STEP_TASKS_PER_NODE": "1",
}


def without_rendezvous(environ: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in slurm_rank_environment(environ).items() if k != "SESAME_RENDEZVOUS"}


def test_uneven_tasks() -> None:
    assert without_rendezvous(UNEVEN) == {
        "RANK": "2",
        "WORLD_SIZE": "3",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "20074",
        "SESAME_NODES": "localhost*2,n1*1",
        "SESAME_NODE": "n1",
    }


def test_a_step_on_part_of_an_allocation_counts_its_own_tasks() -> None:
    found = without_rendezvous(PART_OF_SALLOC)
    assert (found["RANK"], found["WORLD_SIZE"], found["LOCAL_WORLD_SIZE"]) == ("1", "2", "2")
    assert found["SESAME_NODES"] == "localhost*2"


def test_the_cpus_of_a_task_are_its_own() -> None:
    assert slurm_rank_environment(UNEVEN | {"SLURM_CPUS_PER_TASK": "8"})["SESAME_CPUS"] == "8"
    with pytest.raises(ValueError, match="SLURM_CPUS_PER_TASK is 'many'"):
        slurm_rank_environment(UNEVEN | {"SLURM_CPUS_PER_TASK": "many"})


def test_a_task_alone_needs_no_names() -> None:
    found = without_rendezvous(ARRAY)
    assert (found["RANK"], found["WORLD_SIZE"]) == ("0", "1")
    assert found["MASTER_ADDR"] == "127.0.0.1"


def test_what_torchrun_or_the_user_says_wins() -> None:
    assert slurm_rank_environment(UNEVEN | {"RANK": "0", "WORLD_SIZE": "1"}) == {}
    found = slurm_rank_environment(UNEVEN | {"MASTER_ADDR": "10.1.2.3", "MASTER_PORT": "4321"})
    assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == ("10.1.2.3", "4321")


@pytest.mark.parametrize("environ", [{}, BATCH_SCRIPT, SALLOC_SHELL])
def test_a_process_that_srun_did_not_start_is_alone(environ: dict[str, str]) -> None:
    assert slurm_rank_environment(environ) == {}


def test_tasks_that_lie_idle_are_pointed_out() -> None:
    assert "job 2 has 3 tasks" in str(unused_tasks(BATCH_SCRIPT))
    assert "job 2 has 4 tasks" in str(unused_tasks(SALLOC_SHELL))
    for environ in ({}, UNEVEN, BATCH_SCRIPT | {"RANK": "0"}, BATCH_SCRIPT | {"SLURM_NTASKS": "1"}):
        assert unused_tasks(environ) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"SLURM_PROCID": "3"}, "SLURM_PROCID is 3 of SLURM_STEP_NUM_TASKS=3"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "sums to 3 of 4 tasks"),
        ({"SLURM_STEP_NODELIST": "n1"}, "has 1 node, but tasks are for 2"),
        ({"SLURM_NODEID": "2"}, "SLURM_NODEID is 2 of 2 nodes"),
        ({"SLURM_LOCALID": "1"}, "SLURM_LOCALID is 1 of 1 tasks on n1"),
        ({"SLURM_PROCID": "two"}, "SLURM_PROCID is 'two'; a whole number"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(3)"}, "not a SLURM list of tasks per node"),
        ({"SLURM_STEP_NODELIST": "n[0-"}, "not a SLURM node list"),
        ({"SLURM_STEP_NODELIST": "no-such-host.invalid,n1"}, "does not resolve on .* MASTER_ADDR"),
    ],
)
def test_contradictions_are_errors(changed: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        slurm_rank_environment(UNEVEN | changed)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ValueError, match="SLURM_STEP_NODELIST is not set in this task of"):
        slurm_rank_environment({k: v for k, v in UNEVEN.items() if k != "SLURM_STEP_NODELIST"})


def test_ports_differ_by_job_step_and_restart_and_are_none_that_linux_gives_away() -> None:
    def port(**changed: int) -> int:
        environ = ARRAY | {f"SLURM_{name}": str(value) for name, value in changed.items()}
        return int(slurm_rank_environment(environ)["MASTER_PORT"])

    jobs = [port(JOB_ID=job) for job in range(1, 3000)]
    assert len(set(jobs)) == len(jobs)
    assert all(20000 <= each <= 29990 - 9 for each in jobs)
    assert len({port(), port(STEP_ID=1), port(RESTART_COUNT=1), port(RESTART_COUNT=2)}) == 4


def test_two_steps_of_one_number_have_different_names() -> None:
    here = slurm_rank_environment(UNEVEN)["SESAME_RENDEZVOUS"]
    elsewhere = slurm_rank_environment(UNEVEN | {"SLURM_SRUN_COMM_PORT": "36540"})
    assert here != elsewhere["SESAME_RENDEZVOUS"]
    first = UNEVEN | {"SLURM_PROCID": "0", "SLURM_NODEID": "0"}
    assert here == slurm_rank_environment(first)["SESAME_RENDEZVOUS"]
