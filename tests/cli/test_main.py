"""The command line: help, completion, errors."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sesame_hpc.cli.main import app

HEAVY = {"torch", "numpy", "cv2", "nvidia", "deepspeed", "triton", "yaml"}


def test_help_names_the_commands(sesame):
    shown = sesame("--help")
    assert shown.returncode == 0
    commands = ["train", "eval", "report", "predict", "export", "data", "demo", "doctor"]
    commands += ["submit", "status", "logs", "cancel"]
    for command in commands:
        assert f"│ {command} " in shown.stdout


COMMANDS = ((), ("train",), ("status",), ("data",), ("data", "check"), ("data", "pack"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_short_option_shows_the_same_help(command):
    short, long = (CliRunner().invoke(app, [*command, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0, short.output
    assert short.output == long.output
    assert "--help" in short.output


def test_shells_can_complete_commands_and_options(sesame):
    asked = {"_SESAME_COMPLETE": "complete_bash", "COMP_WORDS": "sesame e", "COMP_CWORD": "1"}
    assert sesame(**asked).stdout.split() == ["eval", "export"]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["submit", "--help"], ["status", "--help"], ["--version"]],
)
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from sesame_hpc.cli.main import main\n"
        f"sys.argv = ['sesame', *{arguments}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('MODULES', *sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    modules = set(shown.stdout.split("MODULES")[1].split())
    assert "typer" in modules
    assert not modules & HEAVY


def test_a_wrong_setting_is_one_message_without_traceback(sesame):
    failed = sesame("train", "paper", "data.root=x", "model.widht=3")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "model.widht: unknown key; did you mean model.width?" in failed.stderr
    assert failed.stderr.startswith("sesame: ")
    assert "Traceback" not in failed.stderr


def test_a_missing_file_and_a_wrong_option_end_with_code_2(sesame):
    missing = sesame("train", "nosuch.yaml")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "nosuch.yaml" in missing.stderr
    wrong = sesame("train", "paper", "--stage", "warmup")
    assert wrong.returncode == 2
    assert "Invalid value for '--stage': 'warmup' is not one of 'preliminary'" in wrong.stderr
    short = sesame("predict", "run", "images", "--passes", "0")
    assert "Invalid value for '--passes': must be greater than or equal to 1" in short.stderr


@pytest.mark.parametrize(
    ("extra", "variables"), [(["--traceback"], {}), ([], {"SESAME_TRACEBACK": "1"})]
)
def test_tracebacks_on_demand(sesame, extra, variables):
    failed = sesame("train", "nosuch.yaml", *extra, **variables)
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
    assert "FileNotFoundError" in failed.stderr


def test_messages_of_several_ranks_say_which(sesame):
    failed = sesame("train", "nosuch.yaml", RANK="3", WORLD_SIZE="4")
    assert failed.stderr.startswith("sesame (rank 3): ")
