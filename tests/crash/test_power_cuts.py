"""Power cuts at every moment of a save: what a file declares is there, whole."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from power_cut import recorded, restore
from torch import nn

from sesame_hpc.config import RuntimeConfig, StageConfig, load_config
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.evaluation.predictions import write_predictions
from sesame_hpc.files import new_folder, write_json_atomic, write_text_atomic
from sesame_hpc.models.weights import load_weights, save_weights
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.results import finish_stage, stage_damage
from sesame_hpc.run.settings import check_config, open_run
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.engine import Engine

pytestmark = pytest.mark.crash

STAGE = StageConfig(batch_size=8, lr=1e-2, final_lr=1e-3)


@pytest.fixture(scope="module")
def world() -> World:
    return connect(RuntimeConfig(device="cpu", threads=1))


def make(world: World) -> Engine:
    torch.manual_seed(0)
    return Engine(nn.Linear(6, 4), STAGE, RuntimeConfig(device="cpu"), world, total_steps=10)


def weight_of(engine: Engine) -> torch.Tensor:
    return next(engine.module.parameters())


def test_the_harness_drops_what_was_not_synced(tmp_path: Path) -> None:
    """Written the wrong way, a file is empty or absent in some state; ours never is."""
    root = tmp_path / "root"
    root.mkdir()
    write_text_atomic(root / "a", "old")
    with recorded(root) as disk:
        (root / ".b").write_text("new")
        os.replace(root / ".b", root / "a")
    assert b"" in [state.get("a") for state in disk.states]
    write_text_atomic(root / "a", "old")
    with recorded(root) as disk:
        write_text_atomic(root / "a", "new")
    assert len(disk.states) > 2
    assert {state["a"] for state in disk.states} == {b"old", b"new"}
    assert {state["a"] for state in disk.now} == {b"new"}


def test_names_of_one_folder_may_be_ahead_of_those_of_another(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("one", "two"):
        (root / folder).mkdir(parents=True)
    with recorded(root) as disk:
        for folder in ("one", "two"):
            (root / folder / ".a").write_text("1")
            os.rename(root / folder / ".a", root / folder / "a")
    kept = [[f"{folder}/a" in state for folder in ("one", "two")] for state in disk.now]
    assert sorted(kept) == [[False, False], [False, True], [True, False], [True, True]]


def test_a_new_folder_is_whole_or_absent(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with recorded(root) as disk, new_folder(root / "set") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("1")
    there = [state for state in disk.states if "set" in state]
    assert all("set" in state for state in disk.now)
    assert all(state["set/inner/a"] == b"1" for state in there)


def test_a_checkpoint_is_the_one_before_or_this_one(world: World, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    engine, checkpoints = make(world), Checkpoints(root, keep=2, world=world)
    returned, weights = [0], {}
    seen: list[tuple[dict, int]] = []
    for step in (1, 2, 3, 4):
        engine.step(engine.forward(torch.ones(8, 6)).square().mean())
        weights[step] = weight_of(engine).detach().clone()
        with recorded(root) as disk:
            checkpoints.save(engine, step, {"step": step})
        seen += [(state, returned[-1]) for state in disk.states]
        returned.append(step)
    assert len(seen) > 30
    other = make(world)
    for number, (state, least) in enumerate(seen):
        folder = restore(state, tmp_path / str(number))
        found = Checkpoints(folder, keep=2, world=world).load_latest(other)
        step = found["step"] if found else 0
        assert least <= step <= least + 1, (number, sorted(state))
        if step:
            assert weight_of(other).equal(weights[step])
    assert (step, found) == (4, {"step": 4})


def test_a_finished_stage_has_all_that_it_declares(faces, tmp_path: Path) -> None:
    root = tmp_path / "run"
    folder = RunFolder(root)
    folder.stage("preliminary").mkdir(parents=True)
    table = read_annotations(faces, "wflw", "train").select(np.arange(3))
    weights = {"w": torch.rand(50)}
    with recorded(root) as disk:
        for part in ("heldout", "test"):
            write_predictions(folder.predictions("preliminary", part), table.landmarks, table)
        save_weights(folder.weights("preliminary", averaged=True), weights)
        write_json_atomic(folder.masking_file, {"nose": 1.0})
        save_weights(folder.weights("preliminary"), weights)
        finish_stage(folder, "preliminary", {"seconds": 1.0})
    result = str(folder.stage("preliminary").relative_to(root) / "result.json")
    assert all(state[result] for state in disk.now)
    finished = 0
    for number, state in enumerate(disk.states):
        after = RunFolder(restore(state, tmp_path / str(number)))
        if not after.is_finished("preliminary"):
            continue
        finished += 1
        assert stage_damage(after, "preliminary") == []
        assert after.result("preliminary") == {"seconds": 1.0}
        assert load_weights(after.weights("preliminary"))["w"].equal(weights["w"])
        assert after.masking == {"nose": 1.0}
        assert len(list((after.path / "predictions").glob("*.npz"))) == 2
    assert finished
    assert len(disk.states) > 10


def test_a_start_can_be_repeated_after_any_cut(write_config, tmp_path: Path) -> None:
    config = load_config(write_config("cut"))
    folder = RunFolder(config.output)
    folder.path.mkdir(parents=True)
    found = read_faces(config, folder)

    def start(folder: RunFolder) -> None:
        check_config(folder, config)
        open_run(folder, config, {"directory": "."}, found.identity, found.look_alikes)
        folder.lease.release()

    states = []
    for progress in (False, True):
        with recorded(folder.path) as disk:
            start(folder)
        states += disk.states
        if not progress:
            write_json_atomic(folder.stage("preliminary") / "latest.json", {})
    assert len(states) > 10
    for number, state in enumerate(states):
        lying = {name: each for name, each in state.items() if name != ".lock"}
        after = RunFolder(restore(lying, tmp_path / str(number)))
        start(after)
        assert after.config() == config
        assert read_faces(config, after).identity == found.identity
