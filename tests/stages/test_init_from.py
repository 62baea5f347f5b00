"""`init_from`: what is inherited from runs, exports and files, and what is refused."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from training_process import TINY

from sesame_hpc import Callback
from sesame_hpc.checksums import add_sums, file_digest
from sesame_hpc.choices import STAGES
from sesame_hpc.config import load_config
from sesame_hpc.inference.export import export_run
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import load_scheme
from sesame_hpc.stages.init_from import map_names, read_trained, take_trained
from sesame_hpc.stages.train import train

HEADS = "backbone.stacks.1.head"


class Stops(Callback):
    """Ends the run at the first checkpoint."""

    def on_checkpoint(self, event):
        raise RuntimeError("enough")


@pytest.fixture(scope="module")
def source(faces, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "tiny.yaml").write_text(TINY)
    settings = [f"data.root={faces}", f"output={folder / 'run'}"]
    settings += [f"stages.{stage}.epochs=1" for stage in STAGES]
    return train(load_config(folder / "tiny.yaml", settings)).path


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_run(source, "safetensors", folder)
    return folder


def network(source, landmarks=98, **model):
    config = RunFolder(source).config()
    settings = config.model.model_copy(update=model)
    return LandmarkNet(settings, config.head, landmarks), settings


def test_a_run_an_export_and_a_file_give_the_same(source, exported):
    weights = load_file(RunFolder(source).weights("finetune"))
    file = exported / "model.safetensors"
    for path in (source, exported, file, RunFolder(source).weights("finetune")):
        own, model = network(source)
        account = take_trained(
            read_trained(path, "finetune"), own, model, load_scheme("wflw98").points
        )
        assert all(value.equal(weights[key]) for key, value in own.state_dict().items())
        assert account.endswith("of the 98 maps of a head, 98 taken by name")


def test_another_scheme_takes_the_points_of_equal_names(source):
    theirs = load_scheme("wflw98").points
    ours = ("ear", *reversed(load_scheme("ibug68").points), "hat")
    own, model = network(source, len(ours))
    fresh = {key: value.clone() for key, value in own.state_dict().items()}
    account = take_trained(read_trained(source, "finetune"), own, model, ours)
    shared = [name for name in ours if name in theirs]
    assert account.endswith("of the 70 maps of a head, 68 taken by name")
    assert len(shared) == 68
    weights, state = load_file(RunFolder(source).weights("finetune")), own.state_dict()
    for index, name in enumerate(ours):
        for part in ("weight", "bias"):
            key = f"{HEADS}.{part}"
            expected = weights[key][theirs.index(name)] if name in theirs else fresh[key][index]
            assert state[key][index].equal(expected)
    key = "backbone.stacks.0.inject_map.weight"
    first, there = ours.index(shared[0]), theirs.index(shared[0])
    assert state[key][:, first].equal(weights[key][:, there])
    assert state["backbone.stem.conv.0.weight"].equal(weights["backbone.stem.conv.0.weight"])


def test_pretrain_takes_the_reconstruction_of_a_run_or_the_backbone_of_an_export(source, exported):
    config = RunFolder(source).config()
    names = map_names(config, load_scheme("wflw98"), "pretrain")
    assert len(names) == 3
    for path, taken in ((source, 3), (exported, 0)):
        own = ReconstructionNet(config.model, config.head)
        account = take_trained(read_trained(path, "pretrain"), own, config.model, names)
        assert account.endswith(f"of the 3 maps of a head, {taken} taken by name")
    weights = load_file(RunFolder(source).weights("pretrain"))
    own = ReconstructionNet(config.model, config.head)
    take_trained(read_trained(source, "pretrain"), own, config.model, names)
    assert all(value.equal(weights[key]) for key, value in own.state_dict().items())


def test_a_file_alone_names_no_points(source, tmp_path):
    file = shutil.copy(RunFolder(source).weights("finetune"), tmp_path / "alone.safetensors")
    own, model = network(source)
    head = own.state_dict()[f"{HEADS}.weight"].clone()
    account = take_trained(read_trained(tmp_path / file, "finetune"), own, model, ())
    assert "the file alone does not name its points" in account
    assert own.state_dict()[f"{HEADS}.weight"].equal(head)


def test_what_does_not_fit_is_named(source, exported, tmp_path):
    def refused(path, said, error=ValueError, **model):
        own, settings = network(source, **model)
        with pytest.raises(error, match=said):
            take_trained(read_trained(path, "finetune"), own, settings, ("a",))

    refused(source, r"another one: model\.width is 8 there and 16 here", width=16)
    refused(tmp_path / "gone", "gone does not exist", FileNotFoundError)
    refused(tmp_path, "is neither a run folder")
    pickle = tmp_path / "weights.pt"
    pickle.write_bytes(b"\x80")
    refused(pickle, r"weights\.pt is not a safetensors file")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"layer.weight": load_file(exported / "model.safetensors")[f"{HEADS}.bias"]}, foreign)
    refused(
        foreign, r"foreign.safetensors: the weights do not fit.*missing in the source: backbone"
    )
    foreign.write_bytes(foreign.read_bytes()[:20])
    refused(foreign, "foreign.safetensors is not a safetensors file")
    copy = shutil.copytree(exported, tmp_path / "copy")
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[:-1] + b"\0")
    refused(copy, r"model\.safetensors.*(damaged|checksum)")
    other = json.loads((copy / "config.json").read_text())
    shutil.copy(exported / "model.safetensors", copy)
    other["scheme"] = json.loads(json.dumps(other["scheme"])) | {"name": 3}
    (copy / "config.json").write_text(json.dumps(other))
    add_sums(copy, {"config.json": file_digest(copy / "config.json")})
    refused(copy, r"config\.json is not a model description")
    unfinished = shutil.copytree(source, tmp_path / "unfinished")
    for path in unfinished.glob("checkpoints/*/result.json"):
        path.unlink()
    refused(unfinished, "has not finished any stage")


def test_a_stage_starts_from_it_and_resumes_without_it(write_config, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")
    settings = [
        "stages.run=[preliminary]",
        f"stages.preliminary.init_from={moved}",
        "stages.preliminary.epochs=2",
    ]
    whole, cut = (load_config(write_config(name, *settings)) for name in ("whole", "cut"))
    train(whole)
    start = json.loads((whole.output / "checkpoints/preliminary/start.json").read_text())
    assert start["setting"] == "stages.preliminary.init_from"
    assert start["sha256"] == file_digest(RunFolder(moved).weights("finetune"))
    assert start["account"].endswith("98 taken by name")
    with pytest.raises(RuntimeError, match=r"Stops\.on_checkpoint failed .* at step 2: .*enough"):
        train(cut, callbacks=[Stops()])
    shutil.rmtree(moved)
    train(cut)
    name = "checkpoints/preliminary/weights.safetensors"
    one, two = load_file(whole.output / name), load_file(cut.output / name)
    assert not [key for key in one if not one[key].equal(two[key])]


def test_a_stage_that_starts_again_wants_the_same_file(write_config, source, tmp_path):
    file = tmp_path / "weights.safetensors"
    shutil.copy(RunFolder(source).weights("finetune"), file)
    config = load_config(
        write_config("again", "stages.run=[preliminary]", f"stages.preliminary.init_from={file}")
    )
    with pytest.raises(RuntimeError, match="enough"):
        train(config, callbacks=[Stops()])
    for state in config.output.glob("checkpoints/preliminary/step-*/state.pt"):
        state.write_bytes(b"damaged")
    weights = load_file(file)
    weights[f"{HEADS}.bias"] += 1
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"init_from: .* was changed since the stage began"):
        train(config)


def test_the_key_is_named_and_two_starts_are_refused(write_config, tmp_path):
    path = write_config("none", f"stages.preliminary.init_from={tmp_path / 'gone'}")
    for stage in STAGES:
        start = [f"stages.{stage}.init_from={tmp_path / 'gone'}"]
        start += ["stages.finetune.start_from=scratch"]
        config = load_config(path, ["stages.preliminary.init_from=null", *start])
        with pytest.raises(
            FileNotFoundError, match=rf"stages\.{stage}\.init_from: .*gone does not"
        ):
            train(config)
        assert not config.output.exists()
    with pytest.raises(ValueError, match=r"use finetune\.start_from=scratch with init_from"):
        load_config(path, ["stages.finetune.init_from=somewhere"])
