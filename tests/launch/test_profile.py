"""Cluster profiles: what they may say, what they come to for each job, how they are found."""

from pathlib import Path

import pytest

from sesame_hpc.choices import JOBS
from sesame_hpc.launch.profile import load_profile, profile_names


@pytest.fixture
def profile(tmp_path: Path):
    def load(text: str):
        path = tmp_path / "site.yaml"
        path.write_text(text, encoding="utf-8")
        return load_profile(path)[1]

    return load


@pytest.mark.parametrize("name", ["local", "example_gpu", "example_cpu", "example_container"])
def test_shipped_profiles_load(name):
    assert name in profile_names()
    site = load_profile(name)[1]
    assert all(site.resources(job).ranks >= 1 for job in JOBS)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("9:30", 10),
        ("2:00:00", 120),
        ("1-12", 36 * 60),
        ("1-12:30", 36 * 60 + 30),
        ("1-00:00:01", 24 * 60 + 1),
    ],
)
def test_times_as_sbatch_takes_them(profile, text, minutes):
    assert profile(f"time: {text}").time == minutes


@pytest.mark.parametrize("text", ["soon", "1:2:3:4", "0", "1-", "-5"])
def test_other_times_are_refused(profile, text):
    with pytest.raises(ValueError, match=r"site\.yaml: time: "):
        profile(f"time: {text}")


@pytest.mark.parametrize(
    "text",
    ["{time: 2, signal_delay: 61}", "{time: 60, signal_delay: 120, stages: {report: {time: 2}}}"],
)
def test_a_signal_that_leaves_no_time_to_train_is_refused(profile, text):
    with pytest.raises(
        ValueError, match=r"site\.yaml: signal_delay: (61|120) s before the time limit of"
    ):
        profile(text)
    assert profile("{time: 2, signal_delay: 60}").signal_delay == 60


def test_a_stage_differs_only_in_what_it_says(profile):
    site = profile(
        "partition: gpu\nqos: high\nnodes: 2\ngpus_per_node: 4\nextra: {mail-type: FAIL}\n"
        "stages:\n  pretrain: {nodes: 3, qos: null, extra: {exclusive: true}}\n"
    )
    assert site.resources("finetune").nodes == 2
    pretrain = site.resources("pretrain")
    assert (pretrain.nodes, pretrain.qos, pretrain.partition) == (3, None, "gpu")
    assert pretrain.extra == {"mail-type": "FAIL", "exclusive": True}
    assert pretrain.ranks == 12


def test_ranks_are_gpus_unless_given(profile):
    assert profile("gpus_per_node: 4").ranks_per_node == 4
    assert profile("gpus_per_node: 4\ntasks_per_node: 2").ranks_per_node == 2
    assert profile("nodes: 3").ranks == 3


def test_the_report_takes_one_rank_unless_it_says_more(profile):
    text = "nodes: 4\ngpus_per_node: 8\ntasks_per_node: 8\n"
    report = profile(text).resources("report")
    assert (report.nodes, report.gpus_per_node, report.ranks) == (1, 1, 1)
    more = profile(text + "stages: {report: {nodes: 2}}").resources("report")
    assert more.ranks == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partiton: gpu", r"partiton: unknown key; did you mean partition\?.*site\.yaml:1"),
        ("nodes: 0", r"nodes: .*greater than 0.*got 0 \(.*site\.yaml:1\)"),
        ("stages: {pretrian: {}}", r"stages\.pretrian: unknown key; did you mean stages\.pretrain"),
        ("container: {image: a, prefix: b}", "not both"),
        ("container: {mounts: [a]}", "mounts need image"),
        ("mem: lots", "mem: "),
        ("extra: {dependency: 'afterok:1'}", "dependency cannot be given here: the chain sets it"),
        ("extra: {open_mode: x}", "open_mode cannot be given here"),
        ("extra: {partition: x}", "partition has its own key"),
        ("extra: {exclusive: false}", "exclusive must be text, a number or true"),
        ("setup: module load cuda", r"setup: .*list"),
    ],
)
def test_faults_are_named_with_their_line(profile, text, message):
    with pytest.raises(ValueError, match=message):
        profile(text)


def test_a_profile_builds_on_another(tmp_path):
    (tmp_path / "base.yaml").write_text("partition: gpu\nnodes: 2\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("base: base.yaml\nnodes: 1\n", encoding="utf-8")
    site = load_profile(tmp_path / "mine.yaml")[1]
    assert (site.partition, site.nodes) == ("gpu", 1)


def test_the_profile_is_named_by_option_or_variable(monkeypatch):
    monkeypatch.delenv("SESAME_PROFILE", raising=False)
    with pytest.raises(ValueError, match=r"no cluster profile: give --profile.*example_cpu"):
        load_profile(None)
    assert load_profile(None, required=False)[0] is None
    monkeypatch.setenv("SESAME_PROFILE", "example_cpu")
    assert load_profile(None)[0] == "example_cpu"
    assert load_profile("local")[0] == "local"
    with pytest.raises(FileNotFoundError, match=r"no cluster profile nosuch.*local"):
        load_profile("nosuch")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{mem: 4G, mem_per_gpu: 2G, gpus_per_node: 1}", "give mem .per node. or mem_per_gpu"),
        ("{mem_per_gpu: 2G}", "mem_per_gpu needs gpus_per_node"),
        ("{gres: 'nvme:1,gpu:2'}", r"gres: GPUs are asked for by gpus_per_node"),
        ("{srun_args: [mpi]}", "'mpi' is not an option such as --mpi=pmix"),
        ("{srun_args: ['--export=NONE']}", "--export cannot be given here: the ranks need all"),
        ("{extra: {exclude: n7}}", "exclude has its own key: write exclude: beside extra:"),
    ],
)
def test_resources_that_exclude_each_other_are_refused(profile, text, problem):
    with pytest.raises(ValueError, match=problem):
        profile(text)
