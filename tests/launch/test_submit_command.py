"""`sesame submit` as a process: what it prints, imports, writes, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from few_faces import add_few_faces
from launched_runs import fake_command, squeue_line, tiny_config

from sesame_hpc.choices import JOBS

# Shells start what runs in the background with SIGINT ignored, and processes inherit that.
CODE = (
    "import signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from sesame_hpc.cli.main import main\n"
    "try: main()\n"
    "finally: print('MODULES', *sys.modules)"
)


@pytest.fixture
def sesame(tmp_path: Path):
    """Runs the command line where SLURM has only the commands in tmp_path/bin."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("S")}
        return subprocess.run(
            [sys.executable, "-c", CODE, *map(str, arguments)],
            cwd=tmp_path,
            env={**clean, "PATH": str(tmp_path / "bin"), "COLUMNS": "80", **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_a_dry_run_needs_no_slurm_writes_nothing_and_imports_no_torch(sesame, tmp_path):
    config = tiny_config(tmp_path)
    before = files(tmp_path)
    shown = sesame("submit", config, "--profile", "local", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("#!/bin/bash") == 4
    assert files(tmp_path) == before
    modules = shown.stdout.split("MODULES")[1].split()
    assert "submitit" in modules
    assert not {"torch", "deepspeed", "nvidia"} & set(modules)


def test_without_slurm_it_says_so_and_names_the_way_around(sesame, tmp_path):
    failed = sesame("submit", tiny_config(tmp_path), "--profile", "local")
    assert failed.returncode == 2
    assert "sbatch is not installed on this machine" in failed.stderr
    assert "--local" in failed.stderr
    assert not (tmp_path / "runs").exists()


def slurm(folder: Path, sbatch_error: str = "", said: str = "Submitted batch job $id") -> None:
    """An sbatch that numbers its jobs from 11, or refuses those of the stage pretrain."""
    for name in ("srun", "scancel"):
        fake_command(folder, name)
    fake_command(folder, "sinfo", ["gpu", "debug"])
    queued = zip(("11", "12", "13", "14"), JOBS, strict=True)
    lines = [squeue_line(job, "PENDING", name=f"sesame-tiny-{stage}") for job, stage in queued]
    fake_command(folder, "squeue", lines)
    count = folder / "bin/count"
    script = f"""#!/bin/sh
if [ -n "{sbatch_error}" ] && /bin/grep -q "name={sbatch_error}" "$2"; then
  echo "sbatch: error: invalid partition specified: gpuu" >&2
  echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
  exit 1
fi
echo x >> "{count}"
id=$((10 + $(/usr/bin/wc -l < "{count}")))
echo "{said}"
"""
    (folder / "bin/sbatch").write_text(script, encoding="utf-8")
    (folder / "bin/sbatch").chmod(0o755)


def test_a_submission_leaves_its_ids_and_settings_in_the_run(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    config, run = tiny_config(tmp_path), tmp_path / "runs/tiny"
    done = sesame("submit", config, "seed=5", "--profile", "local")
    assert done.returncode == 0, done.stderr
    assert "finetune     job 13" in done.stdout
    assert not {"torch", "deepspeed"} & set(done.stdout.split("MODULES")[1].split())
    jobs = json.loads((run / "jobs.json").read_text())["submissions"][0]["jobs"]
    assert [(job["stage"], job["job"], job["dependency"]) for job in jobs] == [
        ("preliminary", "11", None),
        ("pretrain", "12", "afterok:11"),
        ("finetune", "13", "afterok:12"),
        ("report", "14", "afterok:13"),
    ]
    assert jobs[0]["logs"] == "logs/11_%t_log.out"
    assert (run / "logs/12_submitted.pkl").exists()
    assert "seed: 5" in (run / "config.yaml").read_text()
    again = sesame("submit", config, "seed=5", "--profile", "local")
    assert again.returncode == 2
    assert "11 (preliminary), 12 (pretrain), 13 (finetune), 14 (report)" in again.stderr


@pytest.mark.parametrize("how", [["--dry-run"], ["--local"], []])
def test_data_that_training_would_refuse_is_refused_before_the_queue(sesame, tmp_path, how):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    config = tiny_config(tmp_path)
    with add_few_faces(tmp_path / "faces").open("a") as file:
        file.write("1 2 3\n")
    failed = sesame("submit", config, "--profile", "local", *how)
    assert failed.returncode == 2
    assert "list_98pt_rect_attr_train.txt:17: " in failed.stderr
    assert "#!/bin/bash" not in failed.stdout
    assert not (tmp_path / "bin/count").exists()
    assert not (tmp_path / "runs").exists()


def test_ranks_that_cannot_share_a_batch_are_refused_before_the_queue(sesame, tmp_path):
    profile = tmp_path / "three.yaml"
    profile.write_text("nodes: 3\ntasks_per_node: 1\ntime: 60\n")
    for also in ("--dry-run", "--stage=preliminary"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        slurm(tmp_path)
        failed = sesame("submit", tiny_config(tmp_path), "--profile", profile, also)
        assert failed.returncode == 2
        assert "3 ranks with runtime.accumulation 1 cannot share each batch" in failed.stderr
        assert ": use 1, 2, 4 or 8 ranks, or" in failed.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("stage", "cancelled"), [("sesame-tiny-preliminary", False), ("sesame-tiny-pretrain", True)]
)
def test_a_refusal_is_one_line_and_leaves_no_half_chain(sesame, tmp_path, stage, cancelled):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path, stage)
    failed = sesame("submit", tiny_config(tmp_path), "--profile", "local")
    assert failed.returncode == 2
    expected = f"sesame: sbatch refused job {stage}: invalid partition specified: gpuu. "
    assert failed.stderr.startswith(expected + "This cluster's partitions: debug, gpu")
    assert failed.stderr.count("\n") == 1
    assert (tmp_path / "bin/scancel.asked").exists() == cancelled
    assert (tmp_path / "runs/tiny").exists() == cancelled
    assert not (tmp_path / "runs/tiny/jobs.json").exists()


def test_a_job_whose_id_sbatch_does_not_say_is_not_taken_for_a_refusal(sesame, tmp_path):
    """It may be queued, and needs the folder."""
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    script = "#!/bin/sh\necho 'Welcome: job limits are 24 h'\n"
    (tmp_path / "bin/sbatch").write_text(script)
    failed = sesame("submit", tiny_config(tmp_path), "--profile", "local")
    assert failed.returncode == 2
    assert "sbatch printed no job id but 'Welcome: job limits are 24 h'" in failed.stderr
    assert "scancel --name=sesame-tiny-preliminary ends it" in failed.stderr
    assert (tmp_path / "runs/tiny/config.yaml").exists()


@pytest.mark.parametrize("array", [(), ("--array", "seed=1,2")])
def test_a_wrapper_of_sbatch_and_a_cluster_of_a_federation(sesame, tmp_path, array):
    """A banner with a job in it comes first; the id is alone, with its cluster."""
    (tmp_path / "bin").mkdir()
    slurm(tmp_path, said="Project x: job 24 h\n$id;north")
    done = sesame("submit", tiny_config(tmp_path), "--profile", "local", *array)
    assert done.returncode == 0, done.stderr
    assert "finetune     job 13" in done.stdout
    run = tmp_path / "runs/tiny" / ("seed=2" if array else "")
    jobs = json.loads((run / "jobs.json").read_text())["submissions"][0]["jobs"]
    task = "_1" if array else ""
    assert [(job["job"], job["cluster"]) for job in jobs[:2]] == [
        (f"11{task}", "north"),
        (f"12{task}", "north"),
    ]
    assert (tmp_path / f"runs/tiny/logs/12{task}_submitted.pkl").exists()
    sesame("status", "--once", run)
    assert "--clusters=north" in (tmp_path / "bin/squeue.asked").read_text()
    lines = [squeue_line(f"11{task}", "PENDING", name="sesame-tiny-preliminary")]
    fake_command(tmp_path, "squeue", ["CLUSTER: north", *lines])
    assert sesame("cancel", run).returncode == 0
    asked = (tmp_path / "bin/scancel.asked").read_text().split()
    assert asked == ["--clusters=north", f"11{task}"]


def test_variables_of_sbatch_do_not_beat_the_profile(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    sbatch = tmp_path / "bin/sbatch"
    note = f'/usr/bin/env | /bin/grep SBATCH_ >> "{tmp_path}/bin/seen"'
    sbatch.write_text(sbatch.read_text().replace("#!/bin/sh", f"#!/bin/sh\n{note}"))
    own = {"SBATCH_TIMELIMIT": "7", "SBATCH_NO_REQUEUE": "1", "SBATCH_WAIT": "1"}
    kept = {"SBATCH_ACCOUNT": "mine", "SBATCH_EXPORT": "NONE"}
    done = sesame("submit", tiny_config(tmp_path), "--profile", "local", **own, **kept)
    assert done.returncode == 0, done.stderr
    for name, value in own.items():
        said = f"sesame: {name}={value} has no effect: the profile overrides it"
        assert done.stderr.count(said) == 1
    assert done.stderr.count("has no effect") == 3
    seen = set((tmp_path / "bin/seen").read_text().split())
    assert seen == {f"{name}={value}" for name, value in kept.items()}


def test_a_wrong_account_is_not_answered_with_partitions(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path, "sesame-tiny-preliminary")
    sbatch = tmp_path / "bin/sbatch"
    wrong = "Invalid account or account/partition combination specified"
    text = sbatch.read_text().replace("invalid partition specified: gpuu", wrong)
    sbatch.write_text(text.replace("Invalid partition name specified", wrong))
    failed = sesame("submit", tiny_config(tmp_path), "--profile", "local")
    assert wrong in failed.stderr
    assert "partitions" not in failed.stderr


def test_an_interrupt_leaves_no_half_chain(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    sbatch = tmp_path / "bin/sbatch"
    interrupt = 'if /bin/grep -q "name=sesame-tiny-finetune" "$2"; then kill -INT $PPID; fi'
    sbatch.write_text(sbatch.read_text().replace("#!/bin/sh", f"#!/bin/sh\n{interrupt}"))
    assert sesame("submit", tiny_config(tmp_path), "--profile", "local").returncode != 0
    assert (tmp_path / "bin/scancel.asked").read_text().split()[-2:] == ["11", "12"]
    assert not (tmp_path / "runs/tiny/jobs.json").exists()


def test_a_sweep_notes_its_points_and_their_tasks(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    config, output = tiny_config(tmp_path), tmp_path / "runs/tiny"
    done = sesame("submit", config, "--profile", "local", "--array", "seed=1,2")
    assert done.returncode == 0, done.stderr
    assert "pretrain     job 12_[0-1]" in done.stdout
    jobs = json.loads((output / "seed=2/jobs.json").read_text())["submissions"][0]["jobs"]
    assert [job["job"] for job in jobs] == ["11_1", "12_1", "13_1", "14_1"]
    assert (output / "seed=2" / jobs[0]["logs"]).resolve() == output / "logs/11_1_%t_log.out"
    assert "seed: 2" in (output / "seed=2/config.yaml").read_text()
    assert len(json.loads((output / "sweep.json").read_text())["points"]) == 2


def test_a_submission_from_within_a_job_is_as_from_outside(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    sbatch = tmp_path / "bin/sbatch"
    sbatch.write_text(
        sbatch.read_text().replace("#!/bin/sh", f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen"),
        encoding="utf-8",
    )
    variables = {"SLURM_JOB_ID": "7", "SLURM_CPU_BIND": "x", "RANK": "0", "SLURM_CONF": "/etc/s"}
    done = sesame("submit", tiny_config(tmp_path), "--profile", "local", **variables)
    assert done.returncode == 0, done.stderr
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["SLURM_CONF"] == "/etc/s"
    assert not {"SLURM_JOB_ID", "SLURM_CPU_BIND", "RANK"} & set(seen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parallel", "2"], "--parallel needs --array"),
        (["--local", "--dry-run"], "--local sends it nothing"),
        (["--stage", "pretrain", "--from-stage", "pretrain"], "give --stage for one"),
    ],
)
def test_options_that_do_not_go_together(sesame, tmp_path, options, message):
    failed = sesame("submit", tiny_config(tmp_path), "--profile", "local", *options)
    assert failed.returncode == 2
    assert message in failed.stderr
    assert not (tmp_path / "runs").exists()


def test_arrays_that_are_too_long_for_the_cluster_are_several_chains(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    slurm(tmp_path)
    fake_command(tmp_path, "scontrol", ["MaxArraySize            = 2", "MaxJobCount = 10000"])
    config = tiny_config(tmp_path)
    arguments = (config, "--profile", "local", "--array", "seed=0,1,2,3,4", "--parallel", "4")
    done = sesame("submit", *arguments)
    assert done.returncode == 0, done.stderr
    assert "finetune     job 13_[0-1]" in done.stdout
    assert "report       job 22\n" in done.stdout
    found = {}
    for seed in range(5):
        ledger = json.loads((tmp_path / f"runs/tiny/seed={seed}/jobs.json").read_text())
        jobs = ledger["submissions"][0]["jobs"]
        found[seed] = [(job["job"], job["dependency"]) for job in jobs[:2]]
    assert found == {
        0: [("11_0", None), ("12_0", "aftercorr:11")],
        1: [("11_1", None), ("12_1", "aftercorr:11")],
        2: [("15_0", None), ("16_0", "aftercorr:15")],
        3: [("15_1", None), ("16_1", "aftercorr:15")],
        4: [("19", None), ("20", "afterok:19")],
    }
    scripts = sesame("submit", *arguments, "output=elsewhere", "--dry-run").stdout
    assert scripts.count("#SBATCH --array=0-1%2") == 2 * len(JOBS)


def test_a_dry_run_asks_slurm_what_it_would_do(sesame, tmp_path):
    (tmp_path / "bin").mkdir()
    script = """#!/bin/sh
/bin/cat > "{0}/given"
if /bin/grep -q "dependency=" "{0}/given"; then exit 5; fi
if /bin/grep -q "name=sesame-tiny-{1}" "{0}/given"; then
  echo "sbatch: error: Batch job submission failed: Requested time limit is invalid" >&2; exit 1
fi
echo "sbatch: Job 7 to start at 2026-11-26T08:00:00 using 1 processors on nodes n0" >&2
"""
    for refused, code in (("none", 0), ("finetune", 1)):
        (tmp_path / "bin/sbatch").write_text(script.format(tmp_path, refused))
        (tmp_path / "bin/sbatch").chmod(0o755)
        shown = sesame("submit", tiny_config(tmp_path), "--profile", "local", "--dry-run")
        assert shown.returncode == code, shown.stderr
        assert (
            "sesame: pretrain: sbatch would take it: Job 7 to start at 2026-11-26T08:00:00 using 1 "
            "processors on nodes n0"
        ) in shown.stderr
        said = "finetune: sbatch would refuse it: Batch job submission failed: Requested time limit"
        assert (said in shown.stderr) == bool(code)
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "error",
    [
        "error: _establish_config_source: failed to fetch config\n"
        "sbatch: fatal: Could not establish a configuration source",
        "error: allocation failure: Unable to contact slurm controller (connect failure)",
    ],
)
def test_a_dry_run_without_a_controller_is_no_refusal(sesame, tmp_path, error):
    fake_command(tmp_path, "sbatch", error=f"sbatch: {error}\n", code=1)
    shown = sesame("submit", tiny_config(tmp_path), "--profile", "local", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    last = error.splitlines()[-1].removeprefix("sbatch: ").partition(": ")[2]
    assert shown.stderr.count(f"sesame: preliminary: sbatch cannot say: {last}\n") == 1
    assert len((tmp_path / "bin/sbatch.asked").read_text().splitlines()) == 1
