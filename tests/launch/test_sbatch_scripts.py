"""The scripts that SLURM would get, and that asking for them changes nothing."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from launched_runs import finish_stage, tiny_config

from sesame_hpc.config import load_config
from sesame_hpc.launch.plan import make_plan
from sesame_hpc.launch.profile import load_profile
from sesame_hpc.launch.submit import scripts
from sesame_hpc.launch.sweep import sweep_points

SITE = """
partition: gpu
account: mine
qos: high
constraint: a100
nodes: 2
gpus_per_node: 4
gpu_type: a100
cpus_per_task: 8
mem: 64G
time: 1-00
signal_delay: 77
max_requeues: 5
setup: [module load cuda]
extra: {mail-type: FAIL, exclusive: true}
"""


def texts(folder: Path, site: str = SITE, **options) -> dict[str, str]:
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    plan = make_plan(str(tiny_config(folder)), (), **options)
    return dict(scripts(plan, load_profile(folder / "site.yaml")[1]))


def flags(text: str) -> dict[str, str]:
    lines = [shlex.split(line)[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    return {name: value for name, _, value in (line[2:].partition("=") for line in lines)}


def command(text: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith("srun")]
    return shlex.split(line)


def test_a_script_says_all_that_the_profile_says(tmp_path):
    text = texts(tmp_path)["preliminary"]
    said = flags(text)
    expected = {
        "partition": "gpu",
        "account": "mine",
        "qos": "high",
        "constraint": "a100",
        "nodes": "2",
        "gpus-per-node": "a100:4",
        "ntasks-per-node": "4",
        "cpus-per-task": "8",
        "mem": "64G",
        "time": "1440",
        "signal": "USR2@77",
        "mail-type": "FAIL",
        "exclusive": "",
        "requeue": "",
        "open-mode": "append",
        "job-name": "sesame-tiny-preliminary",
        "output": str(tmp_path / "runs/tiny/logs/%j_0_log.out"),
    }
    assert said == expected
    assert "module load cuda\nset +e\nexport SESAME_MAX_REQUEUES=5\n" in text
    assert text.endswith('\nsesame_follow_up "$?"\n')
    run = command(text)
    assert run[0] == "srun"
    assert {"--kill-on-bad-exit=1", "--cpus-per-task=8", "--export=ALL"} <= set(run)
    assert sys.executable in run


def test_further_resources_and_options_of_srun(tmp_path):
    site = "gpus_per_node: 2\nmem_per_gpu: 40G\ngres: nvme:1\nexclude: n7,n[12-15]\n"
    site += "srun_args: [--mpi=pmix, --overlap]\nstages: {report: {exclude: n7}}\n"
    chain = texts(tmp_path, site)
    said = flags(chain["pretrain"])
    assert said["mem-per-gpu"] == "40G"
    assert (said["gres"], said["exclude"]) == ("nvme:1", "n7,n[12-15]")
    assert "mem" not in said
    assert {"--mpi=pmix", "--overlap"} <= set(command(chain["pretrain"]))
    assert flags(chain["report"])["exclude"] == "n7"


def test_each_stage_waits_for_the_one_before(tmp_path):
    chain = texts(tmp_path)
    assert list(chain) == ["preliminary", "pretrain", "finetune", "report"]
    assert "dependency" not in flags(chain["preliminary"])
    assert "kill-on-invalid-dep" not in flags(chain["preliminary"])
    for stage, before in (("pretrain", "PRELIMINARY"), ("report", "FINETUNE")):
        assert flags(chain[stage])["dependency"] == f"afterok:ID_OF_{before}"
        assert flags(chain[stage])["kill-on-invalid-dep"] == "yes"
    assert flags(chain["report"])["nodes"] == "1"


def test_finished_stages_are_left_out(tmp_path):
    finish_stage(tmp_path / "runs/tiny", "preliminary")
    chain = texts(tmp_path)
    assert list(chain) == ["pretrain", "finetune", "report"]
    assert "dependency" not in flags(chain["pretrain"])


def test_stages_can_be_chosen(tmp_path):
    assert list(texts(tmp_path, only="preliminary")) == ["preliminary"]
    with pytest.raises(ValueError, match="stage pretrain needs preliminary"):
        texts(tmp_path, only="pretrain")
    finish_stage(tmp_path / "runs/tiny", "preliminary")
    assert list(texts(tmp_path, first="pretrain")) == ["pretrain", "finetune", "report"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ("container: {image: 'group/a:1', mounts: ['/a:/a', '/b']}", "python"),
        ("container: {prefix: apptainer exec --nv /s.sif}", "apptainer exec --nv /s.sif python"),
        ("python: /shared/bin/python3", "/shared/bin/python3"),
    ],
)
def test_python_may_be_elsewhere(tmp_path, container, expected):
    run = command(texts(tmp_path, SITE + container)["preliminary"])
    own = expected.split()
    start = run.index(own[0])
    assert run[start : start + len(own) + 2] == [*own, "-u", "-m"]
    pyxis = [word for word in run if word.startswith("--container")]
    wanted = ["--container-image=group/a:1", "--container-mounts=/a:/a,/b"]
    assert pyxis == (wanted if "image" in container else [])


def test_a_sweep_is_an_array_a_stage(tmp_path):
    chain = texts(tmp_path, arrays=["seed=1,2,3", "model.width=8,16"])
    said = flags(chain["pretrain"])
    assert said["array"] == "0-5%6"
    assert said["dependency"] == "aftercorr:ID_OF_PRELIMINARY"
    assert said["kill-on-invalid-dep"] == "yes"
    assert said["output"] == str(tmp_path / "runs/tiny/logs/%A_%a_0_log.out")


def test_a_sweep_runs_as_many_at_once_as_it_may(tmp_path):
    plan = make_plan(str(tiny_config(tmp_path)), (), ["seed=1,2,3"])
    text = dict(scripts(plan, load_profile("local")[1], parallel=1))["preliminary"]
    assert flags(text)["array"] == "0-2%1"


def test_a_path_with_spaces_stays_one_word(tmp_path):
    folder = tmp_path / "my runs"
    folder.mkdir()
    text = texts(folder)["preliminary"]
    assert flags(text)["output"].endswith("/my runs/runs/tiny/logs/%j_0_log.out")
    assert str(folder / "runs/tiny/logs") in command(text)


def test_a_jobs_name_is_plain_and_short(tmp_path):
    run = tmp_path / ("grö ße" + "x" * 200)
    plan = make_plan(str(tiny_config(tmp_path)), [f"output={run}"])
    name = flags(dict(scripts(plan, load_profile("local")[1]))["pretrain"])["job-name"]
    assert name == "sesame-gr___e" + "x" * 74 + "-pretrain"


@pytest.mark.parametrize("control", ["\n", "\r", "\x1b", "\x00", "\x85"])
def test_control_characters_never_reach_a_script(tmp_path, control):
    """A newline would end an #SBATCH line, and what follows it would run."""
    path = tiny_config(tmp_path)
    written = json.dumps(f"{tmp_path}/runs/a{control}touch fired")
    for key in ("output", "data.root", "data.unlabelled_boxes"):
        with pytest.raises(ValueError, match=f"{key}: must have no control characters"):
            load_config(path, [f"{key}={written}"])
    for key in ("partition", "account", "constraint", "gpu_type", "python"):
        (tmp_path / "site.yaml").write_text(f"{key}: {json.dumps(f'a{control}b')}\n")
        with pytest.raises(ValueError, match=f"{key}: must have no control characters"):
            load_profile(tmp_path / "site.yaml")
    for text in (f"extra: {{comment: {written}}}", f"container: {{mounts: [{written}]}}"):
        (tmp_path / "site.yaml").write_text(text)
        with pytest.raises(ValueError, match="must have no control characters"):
            load_profile(tmp_path / "site.yaml")


@pytest.mark.parametrize("control", ["\n", "\x85"])
def test_folders_of_a_sweep_have_none_either(control):
    assert [each.name for each in sweep_points([f'seed=1,"a{control}b"'])] == ["seed=1", "seed=a_b"]


def test_a_working_directory_with_a_newline_is_refused(tmp_path, monkeypatch):
    here = tmp_path / "a\ntouch fired"
    here.mkdir()
    path = tiny_config(tmp_path, "output=runs/tiny")
    monkeypatch.chdir(here)
    plan = make_plan(str(path), ())
    with pytest.raises(ValueError, match="must have no control characters"):
        dict(scripts(plan, load_profile("local")[1]))


def test_lines_of_setup_are_shell(tmp_path):
    text = texts(tmp_path, "setup: ['if true; then\\n  module load a\\nfi']")["pretrain"]
    assert "if true; then" in text
    (tmp_path / "site.yaml").write_text('setup: ["if true\\nthen module load a\\nfi"]')
    assert load_profile(tmp_path / "site.yaml")[1].setup == ["if true\nthen module load a\nfi"]


def test_staging_and_notices_reach_the_script(tmp_path):
    site = """
stage_data: $TMPDIR/sesame
notify: curl -d "$SESAME_EVENT it's" chat.example
stuck_minutes: 20
min_progress: 0.02
exclude_bad_nodes: 2
"""
    found = texts(tmp_path, site)
    assert "export SESAME_STAGE_DATA='$TMPDIR/sesame'\n" in found["preliminary"]
    assert "export SESAME_MIN_PROGRESS=0.02\n" in found["preliminary"]
    assert all("export SESAME_EXCLUDE_BAD_NODES=2\n" in text for text in found.values())
    notify = shlex.quote('curl -d "$SESAME_EVENT it\'s" chat.example')
    for text in found.values():
        assert f"export SESAME_NOTIFY={notify}\nexport SESAME_RUN={tmp_path}/runs/tiny\n" in text
        assert "export SESAME_STUCK_SECONDS=1200\n" in text
    assert ["SESAME_LAST_JOB=yes" in text for text in found.values()] == [False] * 3 + [True]
    assert not any(
        re.search("NOTIFY|STUCK|STAGE|EXCLUDE", text) for text in texts(tmp_path).values()
    )
    with pytest.raises(ValueError, match=r"stage_data: .*begin with a variable such as \$TMPDIR"):
        texts(tmp_path, "stage_data: local/scratch")
