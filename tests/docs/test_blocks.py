"""Every shell, Python and YAML block of the documents runs, in a folder with a finished demo."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import doc_workspace
import pytest
import warm_process
from doc_blocks import ROOT, Block, blocks, documents
from training_process import clean_environment

from sesame_hpc.config import load_config
from sesame_hpc.schemes import load_scheme

RUN = ("sh", "python", "yaml")
SHOWN = ("text", "js")


def run_here(document: str) -> list[Block]:
    """Its blocks that a machine without network, SLURM or time to spare can run."""
    return [b for b in blocks(document) if b.language in RUN and b.reason is None]


def environment() -> dict[str, str]:
    path = f"{ROOT}:{ROOT / 'kernels'}"
    return clean_environment() | {"PYTHONPATH": path, "COLUMNS": "100", "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where commands run: a process that has imported torch."""
    place = tmp_path_factory.mktemp("warm") / "socket"
    command = [sys.executable, warm_process.__file__, "serve"]
    with subprocess.Popen(
        [*command, str(place)], env=environment(), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert "ready\n" in iter(server.stdout.readline, "")
        yield place
        server.terminate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, address: Path) -> Path:
    """A clone with a finished demo and a user's files; each document gets a copy."""
    folder = tmp_path_factory.mktemp("clone")
    doc_workspace.lay_out(folder, address)

    def sesame(*arguments: str) -> None:
        run(folder, [str(folder / ".venv" / "bin" / "sesame"), *arguments])

    doc_workspace.fill(folder, sesame)
    return folder


def run(folder: Path, command: list[str]) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment() | {"PATH": f"{folder / '.venv' / 'bin'}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}"
    return ended.stdout


def run_block(block: Block, folder: Path) -> None:
    """Run a block, or save a YAML block where the blocks after it look for it."""
    if block.language == "yaml":
        assert block.file_name, f"{block.place}: begins with the name of its file, as # mine.yaml"
        (folder / block.file_name).write_text(block.text + "\n")
    elif block.language == "sh":
        run(folder, ["bash", "-euo", "pipefail", "-c", block.text])
    else:
        run(folder, ["python", "-c", block.text])


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in documents() if run_here(name)])
def test_blocks_run(document: str, finished: Path, tmp_path: Path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    for block in run_here(document):
        run_block(block, folder)


@pytest.mark.parametrize("document", documents())
def test_every_block_says_what_it_is(document: str):
    unknown = [b.place for b in blocks(document) if b.language not in (*RUN, *SHOWN)]
    assert not unknown, f"say sh, python, yaml, js or text after the fence: {unknown}"


@pytest.mark.slow
def test_a_block_that_fails_is_noticed(finished: Path):
    with pytest.raises(AssertionError, match="no configuration file nosuch"):
        run_block(Block("a.md", 1, "sh", "sesame train nosuch\necho never"), finished)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_block(Block("a.md", 1, "python", "1 / 0"), finished)


def test_the_comment_right_above_a_block_says_why_it_is_not_run():
    fence = "```"
    text = f"<!-- not run: needs SLURM -->\n{fence}sh\na\n{fence}\n\n{fence}sh\nb\n{fence}\n"
    assert [block.reason for block in blocks("a.md", text)] == ["needs SLURM", None]
    with pytest.raises(ValueError, match=r"a\.md:1: this block has no end"):
        list(blocks("a.md", f"{fence}sh\na\n"))


def test_yaml_blocks_are_what_they_show(tmp_path: Path):
    own = {b.file_name: b.text for name in documents() for b in blocks(name) if b.file_name}
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    assert load_scheme(tmp_path / "five.yaml").num_landmarks == 5
    assert load_config(tmp_path / "mine.yaml").stages.preliminary.ema == 0.99
