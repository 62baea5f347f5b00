"""Outputs that cannot be: one sentence before any work, exit code 2, and nothing left behind."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import refused_outputs
from refused_outputs import commands, run_here
from training_process import TINY

from sesame_hpc.config import dump_config, load_config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings
from sesame_hpc.synth import synthesise

COMMANDS = list(commands(Path(), Path(), Path(), Path()))
FOLDERS = ("train", "predict", "export", "data export", "data pack", "synth")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """(run, faces, config): a run that has only begun, which is all that these commands look at."""
    folder = tmp_path_factory.mktemp("inputs")
    faces, config, run = folder / "faces", folder / "tiny.yaml", folder / "run"
    synthesise(faces, train=10, test=0, seed=1, size=64, workers=1)
    config.write_text(TINY)
    loaded = load_config(config, [f"data.root={faces}", f"output={run}"])
    config.write_text(dump_config(loaded))
    write_settings(RunFolder(run), loaded)
    return run, faces, config


def tree(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def refused(out, command, inputs, said):
    """The command's sentence; nothing changed below the folder of `out` or the inputs."""
    roots = [next(path for path in out.parents if os.path.isdir(path)), inputs[0].parent]
    before = [tree(root) for root in roots]
    code, text = run_here(commands(out, *inputs)[command])
    assert (code, "Traceback" in text) == (2, False), text
    assert said in text
    assert str(out)[:60] in text
    assert text.startswith("sesame: ")
    assert text.count("\n") == 1
    assert [tree(root) for root in roots] == before


@pytest.fixture
def mounted(tmp_path):
    """Mounts a tmpfs with options, or skips where that is not permitted."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        return place

    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command, inputs, mounted):
    place = mounted("size=64k")
    with pytest.raises(OSError, match="No space"):
        (place / "filler").write_bytes(bytes(65536 + 4096))
    refused(place / "deep" / "out.x", command, inputs, "No space left on device")


def test_a_copy_that_finds_no_room_names_where_it_was_to_be(inputs, mounted):
    place = mounted("size=96k")
    (place / "filler").write_bytes(bytes(80 * 1024))
    export = ["data", "export", str(inputs[1]), str(place / "out"), "--to", "csv", "--copy"]
    code, text = run_here(export)
    assert code == 2
    assert text.startswith(f"sesame: No space left on device: {place}"), text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_file_system(command, inputs, mounted):
    place = mounted("size=64k,ro")
    refused(place / "out.x", command, inputs, f"Read-only file system: {place / 'out.x'}")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "name",
    ["n" * 300, f"new/{'n' * 300}", f"new/{'ü' * 150}/x", "/".join(["n" * 200] * 25)],
    ids=["name", "name in a new folder", "folder in a new folder", "path"],
)
def test_a_path_that_is_too_long(command, inputs, tmp_path, name):
    refused(tmp_path / name, command, inputs, "File name too long")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_a_folder_should_be(command, inputs, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file" / "out.x", command, inputs, f"{tmp_path / 'file'} is a file")
    if command in FOLDERS:
        refused(tmp_path / "file", command, inputs, "is a file; give a directory")
    else:
        (tmp_path / "folder").mkdir()
        refused(tmp_path / "folder", command, inputs, "is a directory; give the name of a file")
    assert (tmp_path / "file").read_text() == "mine"


def test_no_permission(inputs, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps(list(commands(closed / "out.x", *inputs).values())))
    before = tree(tmp_path)
    ended = subprocess.run(
        [sys.executable, refused_outputs.__file__, str(cases)],
        capture_output=True,
        text=True,
        cwd=inputs[0].parent,
    )
    assert ended.returncode == 0, ended.stderr
    for command, (code, text) in zip(COMMANDS, json.loads(ended.stdout), strict=True):
        assert code == 2, (command, text)
        assert text.startswith(f"sesame: Permission denied: {closed}"), (command, text)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["data pack", "data export"])
def test_an_output_that_is_the_input_or_inside_it(command, inputs):
    faces = inputs[1]
    before = tree(faces)
    for out, said in (
        (faces, "is the input"),
        (faces.parent / "." / "faces" / "WFLW_images" / "..", "is the input"),
        (faces / "new", "is inside"),
    ):
        code, text = run_here(commands(out, *inputs)[command])
        assert (code, said in text) == (2, True), text
        assert text.startswith(f"sesame: OUT: {out}")
    assert tree(faces) == before


def test_an_output_over_what_is_read(inputs):
    run, faces, config = inputs
    image = next((faces / "WFLW_images").rglob("*.jpg"))
    labels = next((faces / "WFLW_annotations").rglob("*.txt"))
    before = labels.read_bytes()
    for command, out in (
        ("data show", image),
        ("eval --json", run / "config.yaml"),
        ("report", run / "metrics.jsonl"),
        ("report", run / "checkpoints" / "report.html"),
        ("eval --json", run / "predictions" / "finetune-heldout.npz"),
        ("eval --csv", labels),
        ("data check", labels),
        ("data check", image),
        ("data show", labels),
        ("export", run),
        ("export", run / "checkpoints"),
        ("predict", run),
        ("predict", run / "images" / "new"),
    ):
        code, text = run_here(commands(out, *inputs)[command])
        assert code == 2, text
        assert f"{out} is " in text, text
    code, text = run_here(["train", str(config), f"output={faces}"])
    assert (code, "is the input" in text) == (2, True), text
    assert image.stat().st_size > 0
    assert labels.read_bytes() == before
    assert not (run / "checkpoints").exists()
    assert RunFolder(run).config()


def test_a_typo_in_what_is_read_is_named_before_all_else(inputs):
    run, faces, _ = inputs
    code, text = run_here(["report", str(run), "--data", str(faces) + "x"])
    assert (code, text) == (
        2,
        f"sesame: --data: {faces}x is not a directory (did you mean {faces}?)\n",
    )
    assert not (run / "report.html").exists()
    code, text = run_here(["eval", "--predictions", f"{run}/gone.csv", "--data", str(faces)])
    assert (code, text) == (2, f"sesame: --predictions: {run}/gone.csv is not a file\n")


@pytest.mark.parametrize("text", ["", "1;2", "0.9,,1", "0.9,3"])
def test_scales_that_are_none_are_refused(inputs, text):
    run, faces, _ = inputs
    for command in (["eval", str(run), "--data", str(faces)], ["predict", str(run), str(faces)]):
        code, said = run_here([*command, "--scales", text])
        assert code == 2
        assert "such as" in said
        assert "0.92, 1, 1.08" in said or "0.92,1,1.08" in said


def test_options_of_a_run_are_not_silently_left_out_with_predictions(inputs, tmp_path):
    _, faces, _ = inputs
    (tmp_path / "found.csv").write_text("")
    predictions = ["eval", "--predictions", str(tmp_path / "found.csv"), "--data", str(faces)]
    code, text = run_here([*predictions, "--flip", "--scales", "0.9,1"])
    assert code == 2
    assert text.startswith("sesame: --flip, --scales: for RUN, not for --predictions")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "free some space and run the same"),
        (OSError(errno.ENOSPC, "No space left on device", "from", None, "to"), "device: to."),
        (OSError(errno.EIO, "Input/output error", "x"), "Input/output error: x."),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError("libcuda is missing"), "sesame: libcuda is missing"),
        (PermissionError(errno.EACCES, "Permission denied", b"\xff"), r"Permission denied: \xff"),
        (MemoryError(), "sesame: not enough memory"),
        (BrokenProcessPool("A process was terminated abruptly"), "a process was ended, as the"),
    ],
)
def test_errors_of_the_machine_are_sentences(error, said, monkeypatch):
    from sesame_hpc.cli import main

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(main, "app", fail)
    code, text = run_here(["status"])
    assert code == 2
    assert said in text


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyError("x")])
def test_in_threads_errors_of_the_machine_are_sentences_too(error, monkeypatch):
    from sesame_hpc.cli import main

    def fail():
        raise error

    def start(*arguments, **options):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    others = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: others.append(arguments))
    monkeypatch.setattr(main, "app", start)
    code, text = run_here(["status"])
    assert code == 0
    assert text.startswith("sesame: No space left on device. What") == isinstance(error, OSError)
    assert len(others) == isinstance(error, KeyError)
