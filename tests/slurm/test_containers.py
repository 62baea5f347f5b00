"""slurm/containers: what can be tried without a container runtime."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).resolve().parents[2] / "slurm" / "containers"
PROVE = CONTAINERS / "prove_install.sh"
WANTED = "SESAME_PROVE_IMAGE"
"""Environment variable: directories that the proof shows to pip, separated by colons; may be empty.
The proof installs some 3 GB over the network, as root."""


@pytest.mark.skipif(WANTED not in os.environ, reason=f"installs 3 GB as root: set {WANTED}= to try")
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_an_image_installs_and_trains_a_step_read_only(tmp_path: Path) -> None:
    shared = [place for place in os.environ[WANTED].split(":") if place]
    ended = subprocess.run(
        [str(PROVE), str(tmp_path / "image"), *shared], capture_output=True, text=True
    )
    if ended.returncode == 77:
        pytest.skip(ended.stderr.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "this installation can train" in ended.stdout
    assert "proven: sesame-hpc installs into a plain Debian 12" in ended.stdout


def test_where_it_cannot_be_tried_the_reason_is_said(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "env", "realpath"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    ended = subprocess.run(
        [str(PROVE), str(tmp_path / "image")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    reason = "mmdebstrap is missing" if os.geteuid() == 0 else "only root can make"
    assert (ended.returncode, reason in ended.stderr) == (77, True), ended.stderr
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize("name", ["Dockerfile", "sesame.def"])
def test_both_images_install_by_the_script_that_is_proven(name: str) -> None:
    text = (CONTAINERS / name).read_text()
    assert "bash /source/slurm/containers/install.sh /source" in text
    assert re.search(r"^(FROM|From:) debian:bookworm-slim$", text, re.MULTILINE)
    assert " bookworm " in PROVE.read_text()
    assert "/opt/sesame/bin" in text
    install = (CONTAINERS / "install.sh").read_text()
    assert "-m venv /opt/sesame" in install
    assert '"$source_directory/kernels" "$source_directory[train,export]"' in install
