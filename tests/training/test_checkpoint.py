"""Checkpoints of a real engine: what is kept, what damage does, and what is never saved."""

import errno
import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sesame_hpc.config import RuntimeConfig, StageConfig
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.training.checkpoint import Checkpoints
from sesame_hpc.training.engine import Engine

STAGE = StageConfig(batch_size=8, lr=1e-2, final_lr=1e-3)


@pytest.fixture(scope="module")
def world() -> World:
    return connect(RuntimeConfig(device="cpu", threads=1))


def make(world: World, **runtime) -> Engine:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    return Engine(network, STAGE, RuntimeConfig(device="cpu", **runtime), world, total_steps=10)


def train(engine: Engine, steps: int) -> None:
    given = torch.rand(8, 6, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        engine.step(engine.forward(given).square().mean())


def state_of(engine: Engine) -> list[Tensor]:
    return [value.clone() for value in engine.module.state_dict().values()]


@pytest.fixture(scope="module")
def three(world: World, tmp_path_factory) -> tuple[Path, dict[int, list[Tensor]]]:
    """Checkpoints after 2, 4 and 6 steps, and the networks then."""
    folder = tmp_path_factory.mktemp("three")
    engine, checkpoints = make(world), Checkpoints(folder, keep=3, world=world)
    states = {}
    for step in (2, 4, 6):
        train(engine, 2)
        checkpoints.save(engine, step, {"step": step})
        states[step] = state_of(engine)
    return folder, states


def restored(world: World, folder: Path, engine: Engine) -> tuple[int | None, list[str]]:
    checkpoints = Checkpoints(folder, keep=3, world=world)
    state = checkpoints.load_latest(engine)
    return (None if state is None else state["step"]), checkpoints.notes


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 7, 10, 100])
def test_as_many_are_kept_as_asked_for(world: World, tmp_path: Path, keep: int) -> None:
    engine, checkpoints = make(world), Checkpoints(tmp_path, keep=keep, world=world)
    for step in range(1, 13):
        checkpoints.save(engine, step, {"step": step})
    kept = [f"step-{step:08d}" for step in range(max(1, 13 - keep), 13)]
    assert sorted(os.listdir(tmp_path)) == ["latest.json", *kept]
    assert checkpoints.load_latest(engine)["step"] == 12


def test_those_of_interruptions_take_no_place(world: World, tmp_path: Path) -> None:
    """Every fourth step is scheduled; where there are too few of these, others stay too."""
    checkpoints = Checkpoints(tmp_path, 2, world, is_scheduled=lambda step: step % 4 == 0)
    engine, kept = make(world), list[list[int]]()
    for step in (1, 3, 4, 7, 8, 9, 11, 12, 13):
        checkpoints.save(engine, step, {"step": step})
        kept.append([int(path.name[5:]) for path in sorted(tmp_path.glob("step-*"))])
    assert kept == [
        [1],
        [1, 3],
        [3, 4],
        [4, 7],
        [4, 8],
        [4, 8, 9],
        [4, 8, 11],
        [8, 12],
        [8, 12, 13],
    ]


def test_as_many_as_there_is_room_for_stay_where_none_is_scheduled(world, tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, 4, world, is_scheduled=lambda step: False)
    engine = make(world)
    for step in (1, 2, 3, 5, 6):
        checkpoints.save(engine, step, {"step": step})
    assert [int(path.name[5:]) for path in sorted(tmp_path.glob("step-*"))] == [2, 3, 5, 6]


@pytest.mark.parametrize(
    ("before", "count", "step"), [(13, 1, 12), (13, 2, 8), (12, 1, 8), (13, 9, 4), (4, 1, None)]
)
def test_going_back_is_to_scheduled_ones_and_stays(
    world: World, tmp_path: Path, before: int, count: int, step: int | None
) -> None:
    checkpoints = Checkpoints(tmp_path, 3, world, is_scheduled=lambda step: step % 4 == 0)
    engine, states = make(world), {}
    for each in (4, 8, 10, 12, 13):
        train(engine, 1)
        checkpoints.save(engine, each, {"step": each})
        states[each] = state_of(engine)
    there = sorted(os.listdir(tmp_path))
    found = checkpoints.go_back(engine, before, count)
    if step is None:
        assert found is None
        assert sorted(os.listdir(tmp_path)) == there
        return
    assert found == {"step": step}
    assert all(map(torch.equal, state_of(engine), states[step]))
    assert max(path.name for path in tmp_path.glob("step-*")) == f"step-{step:08d}"
    assert restored(world, tmp_path, engine) == (step, [])


def test_none_is_none(world: World, tmp_path: Path) -> None:
    assert restored(world, tmp_path, make(world)) == (None, [])


def test_one_with_code_in_it_is_refused(world: World, tmp_path: Path) -> None:
    engine, checkpoints = make(world), Checkpoints(tmp_path, keep=1, world=world)
    checkpoints.save(engine, 1, {"step": 1, "path": tmp_path})
    with pytest.raises(ValueError, match="Weights only load failed"):
        checkpoints.load_latest(engine)


def damage(path: Path, how: str, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    elif how == "cut":
        del content[
            generator.randrange(len(content) - 1) :
        ]  # losing the final newline alone does no harm
    elif how == "emptied":
        content.clear()
    path.write_bytes(content) if how != "deleted" else path.unlink()


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "deleted"])
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_one_is_passed_over(world, three, tmp_path, how: str, seed: int) -> None:
    """Whatever file of the newest it is: the one before comes, with its own bits."""
    original, states = three
    engine = make(world)
    for name in ("state.pt", "SHA256SUMS"):
        folder = tmp_path / f"{how}-{name}"
        shutil.copytree(original, folder)
        damage(folder / "step-00000006" / name, how, random.Random(f"{seed}{name}"))
        step, notes = restored(world, folder, engine)
        assert step == 4
        assert all(map(torch.equal, state_of(engine), states[4]))
        assert "step-00000006" in notes[0]
        assert notes[1] == (
            "resuming at step 4, the newest checkpoint that is whole: 2 steps to be trained again"
        )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tag": 5}', b'{"tag": "x"}', None])
def test_a_torn_pointer_blocks_nothing(world, three, tmp_path, content: bytes | None) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(three[0], folder)
    (folder / "latest.json").unlink()
    if content is not None:
        (folder / "latest.json").write_bytes(content)
    assert restored(world, folder, make(world)) == (6, [])


def test_the_pointer_may_name_an_older_one(world, three, tmp_path) -> None:
    folder = tmp_path / "older"
    shutil.copytree(three[0], folder)
    (folder / "latest.json").write_text('{"tag": "step-00000004"}')
    assert restored(world, folder, make(world)) == (4, [])
    shutil.rmtree(folder / "step-00000004")
    assert restored(world, folder, make(world))[0] == 2


def test_where_none_is_whole_the_stage_begins_anew_and_says_so(world, three, tmp_path) -> None:
    folder = tmp_path / "all"
    shutil.copytree(three[0], folder)
    for step in (2, 4, 6):
        (folder / f"step-{step:08d}" / "state.pt").write_bytes(b"torn")
    step, notes = restored(world, folder, make(world))
    assert step is None
    assert len(notes) == 4
    assert notes[-1].endswith("the stage starts again, 6 steps to be trained again")


def test_what_was_passed_over_is_replaced_on_the_way(world, three, tmp_path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(three[0], folder)
    (folder / "step-00000006" / "state.pt").write_bytes(b"torn")
    engine, checkpoints = make(world), Checkpoints(folder, keep=3, world=world)
    checkpoints.load_latest(engine)
    train(engine, 2)
    checkpoints.save(engine, 6, {"step": 6})
    assert restored(world, folder, make(world)) == (6, [])
    assert all(map(torch.equal, state_of(engine), three[1][6]))


@pytest.mark.parametrize("zero_stage", [0, 1])
@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
@pytest.mark.parametrize("where", ["weights", "buffers", "optimizer", "average"])
def test_nothing_that_is_not_finite_is_saved(
    world, tmp_path: Path, zero_stage: int, value: float, where: str
) -> None:
    engine = make(world, zero_stage=zero_stage)
    checkpoints = Checkpoints(tmp_path, keep=3, world=world)
    train(engine, 1)
    average = [torch.ones(3)]
    checkpoints.save(engine, 1, {"step": 1, "average": average})
    assert engine.count_not_finite(average)[0] == 0
    total = engine.count_not_finite(average)[1]
    optimizer = engine._adam.state
    tensor = {
        "weights": lambda: next(engine.module.parameters()).data,
        "buffers": lambda: next(engine.module.buffers()),
        "optimizer": lambda: next(iter(optimizer.values()))["exp_avg_sq"],
        "average": lambda: average[0],
    }[where]()
    tensor.view(-1)[-1] = value
    said = rf"1 of {total} tensors of the network and its optimizer are not finite after step 2, "
    with pytest.raises(FloatingPointError, match=said + ".*that of step 1 is kept"):
        checkpoints.save(engine, 2, {"step": 2, "average": average})
    assert set(os.listdir(tmp_path)) == {"latest.json", "step-00000001"}
    assert json.loads((tmp_path / "latest.json").read_text()) == {"tag": "step-00000001"}


def test_large_and_subnormal_numbers_are_finite(world) -> None:
    engine = make(world)
    weight = next(engine.module.parameters()).data
    weight.fill_(torch.finfo(torch.float32).max)
    assert engine.count_not_finite([torch.full((2,), 1e-45), torch.zeros(0)])[0] == 0


@pytest.mark.parametrize("zero_stage", [0, 1])
def test_a_disk_that_fills_up_in_a_save_leaves_what_was(
    world, tmp_path: Path, monkeypatch, zero_stage: int
) -> None:
    """The error says so, and is not hidden by what serialises."""
    engine, checkpoints = make(world, zero_stage=zero_stage), Checkpoints(tmp_path, 2, world)
    checkpoints.save(engine, 1, {"step": 1})
    with monkeypatch.context() as patch:
        patch.setattr("sesame_hpc.checksums.HashingWriter.write", fails_after(3))
        with pytest.raises(OSError, match=r"No space left on device.*\.pt") as failed:
            checkpoints.save(engine, 2, {"step": 2})
    assert failed.value.errno == errno.ENOSPC
    assert [name for name in os.listdir(tmp_path) if re.fullmatch(r"step-.*", name)] == [
        "step-00000001"
    ]
    assert checkpoints.load_latest(engine)["step"] == 1


def fails_after(count: int):
    left = [count]

    def write(self, content) -> int:
        left[0] -= 1
        if left[0] < 0:
            self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self.error
        self._file.write(content)
        return len(content)

    return write


def test_who_lost_the_folder_saves_nothing(world, tmp_path: Path) -> None:
    def lost() -> None:
        raise ValueError("another process is training in it")

    checkpoints = Checkpoints(tmp_path, keep=1, world=world, check_writer=lost)
    with pytest.raises(ValueError, match="another process"):
        checkpoints.save(make(world), 1, {"step": 1})
    assert os.listdir(tmp_path) == []
