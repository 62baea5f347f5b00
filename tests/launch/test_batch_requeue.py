"""What a batch script does when srun has ended: batch_requeue.sh beside SLURM commands of a few
lines, which answer as those of 22.05. Real daemons: tests/slurm/test_cluster_requeue.py."""

import pytest
from batch_job import AWAY, REFUSED, RUNNING, Job


@pytest.mark.parametrize("code", [1, 2])
def test_a_job_whose_ranks_do_not_ask_ends_with_their_code(job: Job, code: int) -> None:
    assert job.end(code).returncode == code
    assert not (job.place / "asked").exists()


@pytest.mark.parametrize("code", [75, 143, 0])
def test_a_job_whose_ranks_ask_is_requeued_whatever_srun_ends_with(job: Job, code: int) -> None:
    ended = job.end(code, asks=True)
    assert job.asked == ["scontrol requeue 17"]
    assert "sesame: job 17 is requeued" in ended.stderr
    assert list(job.logs.iterdir()) == []


@pytest.mark.parametrize("code", [138, 140])
def test_a_signal_that_ends_the_ranks_while_they_start_requeues(job: Job, code: int) -> None:
    """As SIGUSR2 ends a process that has no handler for it yet; three times in a row."""
    ended = job.end(code)
    assert job.asked == ["scontrol requeue 17"]
    assert "the signal came before the ranks could handle it" in ended.stderr
    assert job.end(75, asks=True).returncode == 75
    for _ in range(4):
        assert job.end(code).returncode == code
    assert job.asked == ["scontrol requeue 17"] * 5
    assert list(job.logs.iterdir()) == []


def test_a_job_that_is_being_signalled_is_running(job: Job) -> None:
    job.answers("scontrol", "show", RUNNING.replace("RUNNING", "SIGNALING"))
    job.end(75, asks=True)
    assert job.asked == ["scontrol requeue 17"]


@pytest.mark.parametrize(("preempted", "requeues"), [("None", []), ("2026-11-22", [17])])
def test_a_job_that_succeeds_in_its_grace_time_runs_again(
    job: Job, preempted: str, requeues: list[int]
) -> None:
    """Since 24.05 it would count as preempted, and the jobs that wait for it as never satisfied."""
    shown = RUNNING.replace("PreemptTime=None", f"PreemptTime={preempted}")
    job.answers("scontrol", "show", shown)
    assert job.end(0).returncode == 0
    assert job.asked == [f"scontrol requeue {number}" for number in requeues]


def test_a_job_that_succeeds_does_not_wait_for_slurm(job: Job) -> None:
    job.answers("scontrol", "show", f"!{AWAY}")
    ended = job.end(0)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (job.place / "asked").read_text().count("show job") == 1


def test_slurm_is_asked_until_it_answers(job: Job) -> None:
    job.answers("scontrol", "show", f"!{AWAY}", f"!{AWAY}", RUNNING)
    timed_out = "slurm_requeue error: Socket timed out on send/recv operation"
    job.answers("scontrol", "requeue", f"!{timed_out}", "done")
    ended = job.end(75, asks=True)
    assert job.asked == ["scontrol requeue 17"] * 2
    assert ended.stderr.count("Unable to contact slurm controller (connect failure)") == 1
    assert "Socket timed out on send/recv operation; asking again" in ended.stderr


def test_it_is_not_asked_for_ever(job: Job) -> None:
    job.answers("scontrol", "show", f"!{AWAY}")
    ended = job.end(75, asks=True, SESAME_REQUEUE_SECONDS="0")
    assert ended.returncode == 75
    assert "SLURM did not say how job 17 is" in ended.stderr


@pytest.mark.parametrize(
    "state",
    ["JobState=CANCELLED Restarts=0", "JobState=PENDING Restarts=1", "JobState=RUNNING Restarts=1"],
)
def test_a_job_that_slurm_ends_itself_is_left_alone(job: Job, state: str) -> None:
    job.answers("scontrol", "show", f"JobId=17 {state} PreemptTime=None")
    assert job.end(75, asks=True).returncode == 75
    assert job.asked == []


def test_sigterm_of_a_preemption_requeues_and_that_of_scancel_does_not(job: Job) -> None:
    assert job.end(75).returncode == 75
    assert job.asked == []
    job.answers("scontrol", "show", RUNNING.replace("PreemptTime=None", "PreemptTime=2026-11-22"))
    assert job.end(75).returncode == 75
    assert job.asked == ["scontrol requeue 17"]


def test_a_job_that_slurm_does_not_requeue_is_submitted_again(job: Job) -> None:
    (job.logs / "17_submitted.pkl").write_text("what to do")
    job.answers("scontrol", "requeue", f"!{REFUSED}")
    (job.place / "sbatch").write_text(
        '#!/bin/sh\necho "sbatch $* $SLURM_MEM" >> $PLACE/asked\n'
        "echo 24 h of compute are left\necho '21;north'\necho bye >&2\n"
    )
    waiting = [
        "18 afterok:17(unfulfilled)",
        "19 afterok:18(unfulfilled)",
        "20 afterany:9,afterok:17(unfulfilled)",
        "30 afterok:171(unfulfilled)",
        "21 (null)",
    ]
    (job.place / "squeue..0").write_text("\n".join(waiting) + "\n")
    ended = job.end(75, asks=True, SLURM_MEM="of this job")
    assert f"sesame: SLURM does not requeue job 17 ({REFUSED})" in ended.stderr
    assert "sesame: job 21 continues job 17" in ended.stderr
    assert job.asked == [
        "scontrol requeue 17",
        "sbatch --parsable --dependency=afterany:17 slurm_script ",
        "scontrol update JobId=18 Dependency=afterok:21",
        "scontrol update JobId=20 Dependency=afterany:9,afterok:21",
    ]
    assert (job.logs / "21_submitted.pkl").read_text() == "what to do"
    assert (job.logs / "successors.txt").read_text() == "17 21\n"


def test_a_task_of_an_array_goes_on_alone(job: Job) -> None:
    (job.logs / "12_3_submitted.pkl").write_text("what to do")
    job.answers("scontrol", "requeue", f"!{REFUSED}")
    (job.place / "sbatch").write_text('#!/bin/sh\necho "sbatch $*" >> $PLACE/asked\necho 21\n')
    waiting = ["13_3 aftercorr:12_*(unfulfilled)", "13_4 aftercorr:12_*(unfulfilled)"]
    (job.place / "squeue..0").write_text("\n".join(waiting) + "\n")
    job.end(75, asks=True, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3")
    assert job.asked[0] == "scontrol requeue 12_3"
    assert "--dependency=afterany:17 --array=3 " in job.asked[1]
    assert job.asked[2:] == ["scontrol update JobId=13_3 Dependency=afterok:21_3"]
    assert (job.logs / "21_3_submitted.pkl").exists()
    assert (job.logs / "successors.txt").read_text() == "12_3 21_3\n"


def test_a_successor_that_sbatch_refuses_is_said(job: Job) -> None:
    job.answers("scontrol", "requeue", f"!{REFUSED}")
    (job.place / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: too many jobs' >&2\nexit 1\n"
    )
    ended = job.end(75, asks=True)
    assert "and sbatch refuses it: sbatch: error: too many jobs; submit it again" in ended.stderr
    assert list(job.logs.iterdir()) == []


def test_a_job_with_a_faulty_node_is_submitted_again_without_it(job: Job) -> None:
    (job.logs / "17_submitted.pkl").write_text("what to do")
    job.answers("scontrol", "show", f"{RUNNING} ReqNodeList=(null) ExcNodeList=n[7-8]")
    (job.place / "sbatch").write_text('#!/bin/sh\necho "sbatch $*" >> $PLACE/asked\necho 21\n')
    (job.place / "squeue..0").write_text("18 afterok:17(unfulfilled)\n")
    ended = job.end(1, bad=("n2", "n1", "n2"), SESAME_EXCLUDE_BAD_NODES="2")
    assert job.asked == [
        "sbatch --parsable --dependency=afterany:17 --exclude=n1,n2,n[7-8] slurm_script",
        "scontrol update JobId=18 Dependency=afterok:21",
    ]
    assert "sesame: faulty: n1,n2; submitting job 17 again without" in ended.stderr
    assert (job.logs / "excluded_nodes.txt").read_text() == "17 n1\n17 n2\n"
    assert list(job.logs.glob("*.bad.*")) == []


@pytest.mark.parametrize(
    ("limit", "words"), [("", ""), ("1", "faulty: n3; 1 excluded before, of 1 (exclude_bad_nodes)")]
)
def test_a_job_with_a_faulty_node_ends_where_no_more_may_be_excluded(
    job: Job, limit: str, words: str
) -> None:
    (job.logs / "excluded_nodes.txt").write_text("16 n1\n")
    ended = job.end(1, bad=("n3",), SESAME_EXCLUDE_BAD_NODES=limit)
    assert ended.returncode == 1
    assert job.asked == []
    assert words in ended.stderr
    job.answers("scontrol", "show", "JobId=17 JobState=CANCELLED Restarts=0")
    job.end(1, bad=("n3",), SESAME_EXCLUDE_BAD_NODES="5")
    assert job.asked == []


@pytest.mark.parametrize(
    ("code", "asks", "state", "last", "noticed"),
    [
        (1, False, "JobState=RUNNING Restarts=0", "", "failed in /runs/mine\n"),
        (0, False, "JobState=RUNNING Restarts=0", "", ""),
        (0, False, "JobState=RUNNING Restarts=0", "yes", "ended in /runs/mine\n"),
        (75, True, "JobState=RUNNING Restarts=0", "", ""),
        (75, True, "JobState=PENDING Restarts=1", "", ""),
        (75, True, "JobState=CANCELLED Restarts=0", "", "cancelled in /runs/mine\n"),
        (1, False, "JobState=CANCELLED Restarts=0", "", "cancelled in /runs/mine\n"),
        (75, False, "JobState=RUNNING Restarts=0", "", "failed in /runs/mine\n"),
    ],
)
def test_a_notice_is_given_when_nothing_goes_on(
    job: Job, code: int, asks: bool, state: str, last: str, noticed: str
) -> None:
    job.answers("scontrol", "show", f"JobId=17 {state} PreemptTime=None")
    told = job.place / "notices"
    notify = f"echo $SESAME_EVENT in $SESAME_RUN >> '{told}'"
    own = {"SESAME_NOTIFY": notify, "SESAME_RUN": "/runs/mine", "SESAME_LAST_JOB": last}
    assert job.end(code, asks, (), **own).returncode == code
    assert (told.read_text() if told.exists() else "") == noticed


def test_a_run_that_records_nothing_is_stuck_and_goes_on(job: Job) -> None:
    """At each of the first five looks there is a new line in the log, or in the metrics."""
    told, looks = job.place / "notices", job.place / "looks"
    (job.place / "sleep").write_text(
        f"""#!/bin/bash
echo >> {looks}
case $(wc -l < {looks}) in
  [135]) echo step >> {job.logs}/17_0_log.out ;;
  [24]) echo step >> {job.place}/metrics.jsonl ;;
esac
"""
    )
    notify = f"echo $SESAME_EVENT after $(wc -l < {looks}) looks >> {told}"
    own = {"SESAME_NOTIFY": notify, "SESAME_RUN": str(job.place), "SESAME_STUCK_SECONDS": "60"}
    waits = f"for each in {{1..600}}; do [[ -e {told} ]] && break; /bin/sleep 0.1; done\n"
    ended = job.end(0, False, (), waits, SESAME_LAST_JOB="yes", **own)
    assert ended.returncode == 0
    assert told.read_text() == "stuck after 6 looks\nended after 6 looks\n"
    assert "sesame: nothing was recorded for 60 s" in ended.stderr


def test_nothing_of_the_watch_is_left(job: Job) -> None:
    """A process that is left would hold the job's output open for an hour."""
    (job.place / "sleep").unlink()
    told = job.place / "notices"
    own = {"SESAME_NOTIFY": f"echo $SESAME_EVENT >> {told}", "SESAME_STUCK_SECONDS": "3600"}
    watches = 'until pgrep --parent "$sesame_watcher" sleep > /dev/null; do /bin/sleep 0.05; done\n'
    assert job.end(0, False, (), watches, SESAME_LAST_JOB="yes", **own).returncode == 0
    assert told.read_text() == "ended\n"


def test_a_job_that_another_continues_gives_no_notice(job: Job) -> None:
    (job.logs / "17_submitted.pkl").write_text("what to do")
    job.answers("scontrol", "requeue", f"!{REFUSED}")
    (job.place / "sbatch").write_text("#!/bin/sh\necho 21\n")
    told = job.place / "notices"
    job.end(75, asks=True, SESAME_NOTIFY=f"touch {told}")
    assert not told.exists()
    (job.place / "sbatch").write_text("#!/bin/sh\necho no more jobs >&2\nexit 1\n")
    job.end(75, asks=True, SESAME_NOTIFY=f"touch {told}")
    assert told.exists()


def test_a_notice_that_fails_changes_nothing(job: Job) -> None:
    ended = job.end(2, SESAME_NOTIFY="exit 3")
    assert ended.returncode == 2
    assert "sesame: the command of notify ended with code 3" in ended.stderr
