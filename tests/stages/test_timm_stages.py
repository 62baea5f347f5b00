"""All three stages with backbones of three families of timm; weights, export, resumption."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from torchvision_build import make_torchvision_importable

from sesame_hpc import Callback, Landmarker, load_config, train
from sesame_hpc.choices import STAGES
from sesame_hpc.inference.export import export_run

if find_spec("timm") is None:
    pytest.skip("timm is not installed", allow_module_level=True)
make_torchvision_importable()
import timm  # noqa: E402

TINY = [
    "model.width=8",
    "checkpoint.every_steps=null",
    "log.images_epochs=0",
    *(f"stages.{stage}.epochs=1" for stage in STAGES),
]


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "convnext_atto"])
def test_three_stages(write_config, name):
    run = train(load_config(write_config(name, f"model.backbone=timm:{name}", *TINY)))
    assert run.finished == STAGES
    pretrain, finetune = (
        load_file(run.path / f"checkpoints/{stage}/weights.safetensors")
        for stage in ("pretrain", "finetune")
    )
    assert pretrain["backbone.head.weight"].shape[:2] == (3, 8)
    assert finetune["backbone.head.weight"].shape[:2] == (98, 8)
    assert pretrain.keys() == finetune.keys()
    crops = np.zeros((64, 64, 3), np.uint8), [[8, 8, 50, 50]]
    points = run.landmarker("cpu")(*crops).points
    if name == "mobilenetv3_small_050":
        export_run(run.path, "safetensors", run.path / "out")
        exported = Landmarker.load(run.path / "out", "cpu")
        assert np.array_equal(exported(*crops).points, points)


class Stops(Callback):
    """Ends the run in the middle of a stage."""

    def on_checkpoint(self, event):
        raise RuntimeError("enough")


def test_weights_of_a_file_are_taken_once(write_config, tmp_path):
    name = "mobilenetv3_small_050"
    file = tmp_path / "timm.safetensors"
    save_file(timm.create_model(name).state_dict(), file)
    settings = [*TINY, f"model.backbone=timm:{name}", "stages.run=[preliminary]"]
    settings += ["stages.preliminary.epochs=2", f"model.weights={file}"]
    whole, cut = (load_config(write_config(each, *settings)) for each in ("whole", "cut"))
    run = train(whole)
    start = json.loads((run.path / "checkpoints/preliminary/start.json").read_text())
    assert (start["setting"], start["file"]) == ("model.weights", str(file))
    with pytest.raises(RuntimeError, match="enough"):
        train(cut, callbacks=[Stops()])
    file.unlink()
    train(cut)
    key = "checkpoints/preliminary/weights.safetensors"
    one, two = load_file(whole.output / key), load_file(cut.output / key)
    assert not [each for each in one if not one[each].equal(two[each])]
