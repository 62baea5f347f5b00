"""When one run may take a stage from another, and what it then finds there."""

from pathlib import Path

import pytest

from sesame_hpc.config import Config, load_config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage
from sesame_hpc.run.settings import write_settings
from sesame_hpc.run.shared import (
    finish_taking,
    link_stage,
    note_source,
    source_of,
    stage_settings,
    taken_from,
)

IDENTITY = {"train": "these faces"}


def config_of(folder: Path, *overrides: str) -> Config:
    base = folder / "base.yaml"
    base.write_text(f"output: {folder / 'run'}\ndata: {{root: {folder}}}\n")
    return load_config(base, overrides)


@pytest.mark.parametrize(
    ("override", "shared"),
    [
        ("output=elsewhere", ["preliminary", "pretrain", "finetune"]),
        ("stages.finetune.lr=1e-2", ["preliminary", "pretrain"]),
        ("stages.pretrain.epochs=3", ["preliminary"]),
        ("masking.alpha=2", ["preliminary"]),
        ("masking.mode=patches", ["preliminary"]),
        ("data.unlabelled=images", ["preliminary"]),
        ("data.unlabelled_boxes=yunet", ["preliminary"]),
        ("data.unlabelled_rest=true", ["preliminary"]),
        ("stages.pretrain.unlabelled_share=0.5", ["preliminary"]),
        ("data.labels=100", []),
        ("stages.preliminary.epoch_samples=640", []),
        ("stages.preliminary.epochs=3", []),
        ("seed=1", []),
        ("data.augment.flip=0", []),
        ("model.width=64", []),
        ("head.beta=2", []),
        ("runtime.threads=1", []),
        ("stages={run: [preliminary]}", ["preliminary"]),
        ("stages={run: [preliminary, finetune], finetune: {start_from: scratch}}", ["preliminary"]),
    ],
)
def test_stages_are_shared_where_all_that_they_depend_on_is_equal(
    tmp_path: Path, override: str, shared: list[str]
) -> None:
    one, other = config_of(tmp_path), config_of(tmp_path, override)
    found = [
        stage
        for stage in other.stages.run
        if stage_settings(one, stage) == stage_settings(other, stage)
    ]
    assert found == shared


@pytest.fixture
def source(tmp_path: Path) -> RunFolder:
    """A run that has finished preliminary."""
    folder = RunFolder(tmp_path / "runs/a/seed-0")
    write_settings(folder, config_of(tmp_path), IDENTITY)
    folder.stage("preliminary").mkdir(parents=True)
    folder.weights("preliminary").write_bytes(b"weights")
    (folder.path / "predictions").mkdir()
    folder.predictions("preliminary", "heldout").write_bytes(b"points")
    folder.predictions("finetune", "heldout").write_bytes(b"of another stage")
    folder.masking_file.write_text("{}")
    finish_stage(folder, "preliminary", {"seconds": 1.0})
    return folder


def test_a_stage_is_taken_with_a_note_of_where_it_is_from(
    source: RunFolder, tmp_path: Path
) -> None:
    own = RunFolder(tmp_path / "runs/b/seed-0")
    note_source(own, {"preliminary": source})
    assert taken_from(own) == {}
    found = source_of(own, "preliminary", config_of(tmp_path, "masking.alpha=3"), IDENTITY)
    assert found is not None
    link_stage(found, own, "preliminary")
    assert own.result("preliminary") is None
    finish_taking(found, own, "preliminary")
    assert own.result("preliminary") == source.result("preliminary")
    assert own.weights("preliminary").samefile(source.weights("preliminary"))
    assert own.predictions("preliminary", "heldout").read_bytes() == b"points"
    assert not own.predictions("finetune", "heldout").exists()
    assert taken_from(own) == {"preliminary": source.path}


def test_a_stage_that_differs_or_is_unfinished_or_damaged_is_not_taken(
    source: RunFolder, tmp_path: Path
) -> None:
    own = RunFolder(tmp_path / "runs/b/seed-0")
    same = config_of(tmp_path)
    assert source_of(own, "preliminary", same, IDENTITY) is None
    note_source(own, {"preliminary": source, "pretrain": source})
    assert source_of(own, "preliminary", config_of(tmp_path, "seed=1"), IDENTITY) is None
    assert source_of(own, "preliminary", same, {"train": "other faces"}) is None
    assert source_of(own, "pretrain", same, IDENTITY) is None
    assert source_of(own, "preliminary", same, IDENTITY) is not None
    source.weights("preliminary").write_bytes(b"damaged")
    assert source_of(own, "preliminary", same, IDENTITY) is None


def test_unlabelled_faces_count_where_a_stage_pretrains(source: RunFolder, tmp_path: Path) -> None:
    own = RunFolder(tmp_path / "runs/b/seed-0")
    note_source(own, {"preliminary": source, "pretrain": source})
    source.stage("pretrain").mkdir()
    source.weights("pretrain").write_bytes(b"weights")
    finish_stage(source, "pretrain", {"seconds": 1.0})
    same, more = config_of(tmp_path), IDENTITY | {"unlabelled": "these images"}
    assert source_of(own, "preliminary", same, more) is not None
    assert source_of(own, "pretrain", same, more) is None
    assert source_of(own, "pretrain", same, IDENTITY) is not None


def test_the_note_of_a_stage_that_was_taken_stays(source: RunFolder, tmp_path: Path) -> None:
    own = RunFolder(tmp_path / "runs/b/seed-0")
    note_source(own, {"preliminary": source})
    finish_taking(source, own, "preliminary")
    note_source(own, {"preliminary": RunFolder(tmp_path / "runs/c/seed-0")})
    assert taken_from(own) == {"preliminary": source.path}
    note_source(own, {})
    assert taken_from(own) == {"preliminary": source.path}
