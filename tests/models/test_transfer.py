import pytest
import torch

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import LandmarkNet, ReconstructionNet
from sesame_hpc.models.transfer import transfer_backbone

MODEL = ModelConfig(stacks=2, width=16, levels=2, image_size=32, map_size=8)


def networks() -> tuple[ReconstructionNet, LandmarkNet]:
    torch.manual_seed(0)
    return ReconstructionNet(MODEL, HeadConfig()), LandmarkNet(MODEL, HeadConfig(), 5)


def test_all_but_heads_and_their_injection_is_inherited() -> None:
    source, target = networks()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    report = transfer_backbone(source.state_dict(), target)
    heads = {f"backbone.stacks.{i}.head.{p}" for i in (0, 1) for p in ("weight", "bias")}
    injection = {f"backbone.stacks.0.inject_map.{p}" for p in ("weight", "bias")}
    assert set(report.fresh) == heads | injection
    assert set(report.inherited) | set(report.fresh) == set(before)
    for key, value in target.state_dict().items():
        expected = before if key in report.fresh else source.state_dict()
        assert torch.equal(value, expected[key]), key


def test_heads_stay_behind_even_when_they_would_fit() -> None:
    source, target = LandmarkNet(MODEL, HeadConfig(), 5), LandmarkNet(MODEL, HeadConfig(), 5)
    transfer_backbone(source.state_dict(), target)
    key = "backbone.stacks.0.head.weight"
    assert not torch.equal(source.state_dict()[key], target.state_dict()[key])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("backbone.stem.conv.0.weight"), "missing in the source"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "missing in the target: extra"),
        (
            lambda weights: weights.update({"backbone.stem.conv.0.bias": torch.zeros(3)}),
            r"stem.conv.0.bias is \(3,\), not \(4,\)",
        ),
    ],
)
def test_any_other_difference_is_an_error(change, message: str) -> None:
    source, target = networks()
    weights = dict(source.state_dict())
    change(weights)
    with pytest.raises(ValueError, match=message):
        transfer_backbone(weights, target)
