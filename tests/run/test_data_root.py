"""Where a run's data set is: by the directory of its last start, else by the current one."""

import json
from pathlib import Path

import pytest

from sesame_hpc.config import load_config
from sesame_hpc.run.data_root import run_config
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import write_settings


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with the relative root `faces`, started in `tmp_path`/start."""
    base = tmp_path / "base.yaml"
    base.write_text("output: run\ndata: {root: faces, format: pts}\n")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_settings(folder, load_config(base))
    starts = [{"directory": str(tmp_path / name)} for name in ("earlier", "start")]
    folder.environment_file.write_text(json.dumps({"starts": starts}))
    return folder


@pytest.mark.parametrize("current", ["start", "elsewhere"])
def test_a_decoy_in_the_current_directory_or_an_earlier_start_is_not_taken(
    folder, tmp_path, monkeypatch, current
):
    for name in ("earlier", "start", "elsewhere"):
        (tmp_path / name / "faces").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / current)
    assert run_config(folder).data.root == tmp_path / "start" / "faces"


def test_where_nothing_is_left_at_the_start_the_current_directory_counts(
    folder, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere" / "faces").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_config(folder).data.root.resolve() == tmp_path / "elsewhere" / "faces"


def test_a_folder_that_is_given_is_taken(folder, tmp_path):
    assert run_config(folder, tmp_path / "moved").data.root == tmp_path / "moved"


def test_of_several_data_sets_the_one_of_that_name_has_moved(tmp_path):
    base = tmp_path / "base.yaml"
    roots = [tmp_path / "old" / name for name in ("one", "two")]
    base.write_text(f"output: run\ndata: {{root: [{roots[0]}, {roots[1]}], format: pts}}\n")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_settings(folder, load_config(base))
    moved = tmp_path / "new" / "two"
    assert run_config(folder, moved).data.roots == (roots[0], moved)
    other = tmp_path / "new" / "three"
    assert run_config(folder, other).data.roots == (other, roots[1])
