"""`sesame doctor` here, and on machines that lack something."""

import json
import os
from importlib import metadata

import pytest

from sesame_hpc.cli import doctor_machine, doctor_running
from sesame_hpc.cli.diagnosis import Status


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    """One run of the command: process and JSON."""
    import subprocess
    import sys

    path = tmp_path_factory.mktemp("doctor") / "doctor.json"
    command = [sys.executable, "-m", "sesame_hpc", "doctor", "--json", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return shown, json.loads(path.read_text())


def test_this_install_is_whole(diagnosis):
    shown, findings = diagnosis
    assert shown.returncode == 0, shown.stdout
    assert findings["ok"] is True
    status = {check["name"]: check["status"] for check in findings["checks"]}
    for name in ("Python", "torch", "soft_argmax op", "decoding", "training step"):
        assert status[name] == "ok"


def test_every_required_package_has_its_version(diagnosis):
    found = {check["name"]: check["found"] for check in diagnosis[1]["checks"]}
    assert found["torch"] == metadata.version("torch")
    assert found["submitit"] == metadata.version("submitit")


def test_the_table_fits_80_columns(diagnosis):
    lines = diagnosis[0].stdout.splitlines()
    assert len(lines) > 20
    assert max(map(len, lines)) <= 80


def test_the_file_holds_what_torch_collects(diagnosis):
    import torch

    collected = diagnosis[1]["torch"]
    assert collected["torch_version"] == torch.__version__
    assert collected["cpu_info"]


def checks_with(monkeypatch, **packages):
    monkeypatch.setattr(doctor_machine, "required_packages", lambda *extras: packages)
    return {check.name: check for check in doctor_machine.machine_diagnoses()}


def test_missing_and_old_packages_break_it_and_say_what_to_install(monkeypatch):
    checks = checks_with(monkeypatch, nosuchpackage="1.0", numpy="999.1")
    assert checks["nosuchpackage"].status is Status.BROKEN
    assert '"nosuchpackage>=1.0"' in checks["nosuchpackage"].fix
    assert checks["numpy"].status is Status.BROKEN
    assert "older than 999.1" in checks["numpy"].found


def test_no_compiler_no_ninja_no_slurm_are_notes_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    checks = checks_with(monkeypatch)
    for name in ("C++ compiler", "ninja on PATH", "SLURM"):
        assert checks[name].status is Status.NOTE
        assert checks[name].fix
    assert "g++" in checks["C++ compiler"].fix


def test_a_compiler_that_fails_is_found_out(monkeypatch):
    monkeypatch.setenv("CXX", "false")
    assert "does not compile" in checks_with(monkeypatch)["C++ compiler"].found


def test_a_job_whose_gpus_torch_does_not_see_cannot_train(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert doctor_running._gpus().status is Status.NOTE
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_GPUS", "2")
    diagnosis = doctor_running._gpus()
    assert diagnosis.status is Status.BROKEN
    assert "SLURM gave this job GPUs (SLURM_JOB_GPUS=2), but torch sees none" in diagnosis.found


def test_within_a_job_the_compile_caches_are_those_of_its_training(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from sesame_hpc.cli.main import app

    monkeypatch.setattr(doctor_running, "running_diagnoses", lambda trains: [])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = {key: text for key, text in os.environ.items() if not key.endswith("_CACHE_DIR")}
    monkeypatch.setattr("os.environ", own | {"SLURM_JOB_ID": "7"})
    shown = "".join(CliRunner().invoke(app, ["doctor"]).output.replace("│", "").split())
    folder = tmp_path / f"sesame-{os.getuid()}-7"
    assert f"Triton:{folder}/triton,Inductor:{folder}/inductor" in shown
