"""Backbones of timm: maps of the right size for three families, and every tensor accounted for."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision_build import make_torchvision_importable

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.models.prediction import PredictionNet
from sesame_hpc.models.transfer import transfer_backbone

if find_spec("timm") is None:
    pytest.skip("timm is not installed", allow_module_level=True)
make_torchvision_importable()
import timm  # noqa: E402

FAMILIES = ("resnet10t", "mobilenetv3_small_050", "convnext_atto")


def config(name: str, map_size: int = 16, **settings) -> ModelConfig:
    return ModelConfig(
        backbone=f"timm:{name}", width=16, image_size=64, map_size=map_size, **settings
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_three_families_give_maps_and_take_their_weights(name, tmp_path):
    model, images = config(name), torch.rand(2, 3, 64, 64)
    torch.manual_seed(3)
    network = LandmarkNet(model, HeadConfig(), 5)
    torch.manual_seed(3)
    again = LandmarkNet(model, HeadConfig(impl="fused"), 5)
    assert all(map(torch.equal, network.state_dict().values(), again.state_dict().values()))
    network(images).square().sum().backward()
    assert not [key for key, each in network.named_parameters() if each.grad is None]
    reconstruction = ReconstructionNet(model, HeadConfig(reconstruction_upscale=2))
    assert reconstruction(images)[0].shape == (2, 3, 32, 32)
    report = transfer_backbone(reconstruction.state_dict(), network)
    assert report.fresh == ("backbone.head.bias", "backbone.head.weight")
    used = PredictionNet(model, 1.0, 5).eval()
    used.load_state_dict(network.state_dict())
    points, spread = used(images)
    assert torch.allclose(points, network.eval()(images)[-1], atol=1e-6)
    assert spread.shape == (2, 5)

    file = tmp_path / "timm.safetensors"
    whole = timm.create_model(name)
    save_file(whole.state_dict(), file)
    body: Any = network.backbone.body
    account = body.load_timm_weights(str(file))
    assert f"tensors inherited from {file}, " in account
    sources = {key.replace(".", "_"): value for key, value in whole.state_dict().items()}
    loaded = body.network.state_dict()
    assert loaded
    assert all(value.equal(sources[key.replace(".", "_")]) for key, value in loaded.items())


@pytest.mark.parametrize("map_size", [32, 8, 2])
def test_maps_finer_and_coarser_than_the_features(map_size):
    """convnext begins at a quarter of the resolution."""
    network = LandmarkNet(config("convnext_atto", map_size), HeadConfig(), 3)
    assert network.backbone(torch.rand(1, 3, 64, 64))[0].shape == (1, 3, map_size, map_size)


def test_an_image_size_that_no_stride_divides():
    model = ModelConfig(backbone="timm:resnet10t", width=8, image_size=40, map_size=10)
    network = LandmarkNet(model, HeadConfig(), 3)
    assert network.backbone(torch.rand(2, 3, 40, 40))[0].shape == (2, 3, 10, 10)


def test_foreign_and_damaged_weights_are_named(tmp_path):
    name = "mobilenetv3_small_050"
    body: Any = LandmarkNet(config(name), HeadConfig(), 5).backbone.body
    before = {key: value.clone() for key, value in body.state_dict().items()}
    file = tmp_path / "weights.safetensors"
    good = timm.create_model(name).state_dict()

    def refused(said: str) -> None:
        with pytest.raises(ValueError, match=said):
            body.load_timm_weights(str(file))

    save_file(timm.create_model("resnet10t").state_dict(), file)
    refused(r"weights.safetensors does not fit timm:mobilenetv3.*missing: blocks.*and \d+ more")
    save_file({key: value for key, value in good.items() if key != "conv_stem.weight"}, file)
    refused(r"missing: conv_stem\.weight$")
    save_file(good | {"more.weight": torch.zeros(1)}, file)
    refused(r"not of this network: more\.weight$")
    save_file(good | {"conv_stem.weight": torch.zeros(2, 3, 3, 3)}, file)
    refused(r"conv_stem\.weight is \(2, 3, 3, 3\), not \(\d+, 3, 3, 3\)$")
    file.write_bytes(file.read_bytes()[:-7])
    refused("is not a safetensors file")
    with pytest.raises(FileNotFoundError, match="gone"):
        body.load_timm_weights(str(tmp_path / "gone.safetensors"))
    assert all(value.equal(before[key]) for key, value in body.state_dict().items())


def test_without_a_network_the_download_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    body: Any = LandmarkNet(config("mobilenetv3_small_050"), HeadConfig(), 5).backbone.body
    with pytest.raises(ValueError, match=r"cannot be downloaded here .*model\.weights=FILE"):
        body.load_timm_weights("pretrained")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet19", r"timm has no network 'resnet19'; it has .*resnet"),
        ("hf_hub.someone", "timm has no network"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224 does not take crops of 64 pixels"),
    ],
)
def test_networks_that_there_are_not(name, said):
    with pytest.raises(ValueError, match=said):
        LandmarkNet(config(name), HeadConfig(), 5)


def test_settings_of_other_backbones_are_refused():
    with pytest.raises(ValueError, match=r"weights .* are those of a timm backbone, but backbone"):
        ModelConfig(weights="w.safetensors")
    with pytest.raises(ValueError, match=r"backbone_settings \(depth\) are those of a plugin"):
        config("resnet10t", backbone_settings={"depth": 1})
    with pytest.raises(ValueError, match=r"must be a multiple of map_size"):
        config("resnet10t", map_size=24)
    with pytest.raises(ValueError, match="did you mean hourglass"):
        ModelConfig(backbone="hourglas")
    with pytest.raises(ValueError, match=r"must be package\.module:Name, or the name"):
        ModelConfig(backbone="timm:hf-hub:someone/model")
