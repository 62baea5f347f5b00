"""What a run says about where it came from."""

import json
import shutil

from torch.utils import collect_env

from sesame_hpc.training.environment import environment, required_packages


def test_environment_is_json_with_versions_and_only_the_job_ids_that_are_set(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr("sys.argv", ["sesame", "train", "a b.yaml"])
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    found = json.loads(json.dumps(environment()))
    assert found["slurm"]["SLURM_JOB_ID"] == "17"
    assert "SLURM_ARRAY_JOB_ID" not in found["slurm"]
    assert set(required_packages()) < set(found["packages"])
    assert all(found["packages"].values())
    assert found["command"] == "sesame train 'a b.yaml'"
    assert found["cpu"] in collect_env.get_cpu_info(collect_env.run) or not shutil.which("lscpu")


def test_required_packages_are_those_of_the_install_without_extras():
    assert "torch" not in required_packages()
    needed = required_packages("torch")
    assert tuple(map(int, needed["torch"].split("."))) >= (2, 11)
    assert "numpy" in needed
    assert "pytest" not in needed
