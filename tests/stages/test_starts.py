"""What may be started where: refused starts leave nothing, and a run knows its data."""

import json
import shutil

import pytest

from sesame_hpc.config import load_config
from sesame_hpc.data.formats.wflw import list_path
from sesame_hpc.inference.loading import load_run
from sesame_hpc.inference.variant import Variant
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import check_config, open_run
from sesame_hpc.stages.evaluate import evaluate_run
from sesame_hpc.stages.source import Source
from sesame_hpc.stages.train import train


@pytest.fixture
def changed_faces(faces, tmp_path):
    """The set of a run with one held-out or training label moved, and a face less."""
    root = tmp_path / "changed"
    shutil.copytree(faces, root)
    table = next(root.rglob(list_path("train").name))
    lines = table.read_text().splitlines()
    first, rest = lines[0].split(" ", 1)
    lines[0] = f"{float(first) + 1} {rest}"
    table.write_text("\n".join(lines[:-1]) + "\n")
    return root


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run."""
    _, original, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    config = copy / "config.yaml"
    return copy, load_config(config, [f"output={copy}"])


def test_a_refused_start_leaves_nothing_and_the_corrected_one_trains(write_config, tmp_path):
    config = load_config(write_config("first", "data.heldout=47"))
    with pytest.raises(ValueError, match="leaves none to train on"):
        train(config.model_copy(update={"data": config.data.model_copy(update={"heldout": 48})}))
    assert not config.output.exists()
    with pytest.raises(
        ValueError,
        match=r"stages\.preliminary\.batch_size: 8 faces per step, but an epoch has 1 face: lower",
    ):
        train(config)
    assert not config.output.exists()
    missing = config.data.model_copy(update={"root": tmp_path / "nowhere"})
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a directory.*data\.root=FOLDER"):
        train(config.model_copy(update={"data": missing}))
    assert not config.output.exists()


def test_a_folder_without_a_checkpoint_may_be_started_anew(write_config, monkeypatch):
    config = load_config(write_config("anew"))
    with monkeypatch.context() as patch:
        patch.setattr("sesame_hpc.stages.preliminary.preliminary", _fail)
        with pytest.raises(RuntimeError, match="at once"):
            train(config)
    assert (config.output / "config.yaml").exists()
    (config.output / "metrics.jsonl").write_text("of the first start\n")
    other = load_config(write_config("anew", "seed=5"))
    go_on(other)
    assert RunFolder(config.output).config().seed == 5
    assert not (config.output / "metrics.jsonl").exists()
    (config.output / "checkpoints" / "preliminary" / "latest.json").write_text("{}")
    with pytest.raises(ValueError, match=r"another config: seed: 5 -> 0"):
        go_on(config)


def _fail(session):
    raise RuntimeError("at once")


def test_every_stage_and_reader_refuses_another_data_set(run, changed_faces, monkeypatch):
    folder, config = run
    theirs = config.model_copy(
        update={"data": config.data.model_copy(update={"root": changed_faces})}
    )
    result = folder / "checkpoints" / "finetune" / "result.json"
    said = r"is not the data set that .* was started with: training faces: "
    with pytest.raises(ValueError, match=said):
        train(theirs)  # although it is complete
    result.unlink()
    with pytest.raises(ValueError, match=said):
        train(theirs)
    with pytest.raises(ValueError, match=said):
        evaluate_run(folder, Source(changed_faces, part="heldout"))
    with pytest.warns(UserWarning, match=said):
        load_run(RunFolder(folder), "cpu", Variant(), data=changed_faces)
    data = read_report_data(RunFolder(folder), changed_faces)
    assert "is not the data set that" in data.unread
    assert data.parts[0].change is None
    assert not result.exists()


def test_a_data_set_that_moved_is_the_same(run, faces, tmp_path, capsys):
    folder, config = run
    moved = tmp_path / "moved"
    shutil.copytree(faces, moved)
    elsewhere = config.data.model_copy(update={"root": moved})
    train(config.model_copy(update={"data": elsewhere}))
    assert "This run is complete" in capsys.readouterr().out
    assert evaluate_run(folder, Source(moved, part="heldout"))["faces"] == 8
    theirs = config.model_copy(update={"data": config.data.model_copy(update={"root": moved})})
    go_on(theirs)
    assert run_config(RunFolder(folder)).data.root == moved


def go_on(config):
    """As `train` opens a run that has work left."""
    folder = RunFolder(config.output)
    check_config(folder, config)
    found = read_faces(config, folder)
    open_run(folder, config, {"directory": "."}, found.identity, found.look_alikes)
    folder.lease.release()


def test_a_damaged_record_of_the_data_is_mended_by_the_same_data(run, changed_faces):
    folder, config = run
    record = folder / "data.json"
    whole = record.read_bytes()
    for damaged in (b"", whole.replace(b"4", b"5", 1), None):
        record.unlink()
        if damaged is not None:
            record.write_bytes(damaged)
            other = config.data.model_copy(update={"root": changed_faces})
            with pytest.raises(ValueError, match=r"data\.json: is damaged"):
                go_on(config.model_copy(update={"data": other}))
        go_on(config)
        assert record.read_bytes() == whole


def test_a_damaged_config_is_mended_by_the_same_command(run):
    folder, config = run
    go_on(config)
    file = folder / "config.yaml"
    whole = file.read_bytes()
    for damaged in (b"", whole.replace(b"seed: 0", b"seed: 1"), b"\xff\xfe"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"config\.yaml: is damaged or was changed"):
            RunFolder(folder).config()
        go_on(config)
        assert file.read_bytes() == whole
    file.write_bytes(whole.replace(b"seed: 0", b"seed: 1"))
    with pytest.raises(ValueError, match=r"seed: 1 -> 2; .*config\.yaml is damaged or was"):
        go_on(config.model_copy(update={"seed": 2}))


def test_ranks_that_read_other_faces_are_told(run):
    from sesame_hpc.stages.train import _check_agreement

    one = json.loads((run[0] / "data.json").read_text())
    with pytest.raises(ValueError, match="rank 2 finds other faces"):
        _check_agreement([one, dict(one), one | {"train": None}])


def test_a_busy_folder_says_one_sentence_whatever_is_asked(run, tmp_path):
    folder, config = run
    (folder / "checkpoints" / "finetune" / "result.json").unlink()
    holder = RunFolder(folder).lease
    holder.acquire()
    try:
        said = set()
        gone = config.data.model_copy(update={"root": tmp_path / "nowhere"})
        for each in (
            config,
            config.model_copy(update={"seed": 9}),
            config.model_copy(update={"data": gone}),
        ):
            with pytest.raises(ValueError, match="another process is training in") as refused:
                train(each)
            said.add(str(refused.value))
        assert len(said) == 1
    finally:
        holder.release()
