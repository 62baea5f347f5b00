"""The network of pretrain with landmark heads, and their way from stage to stage."""

import pytest
import torch
from sesame_kernels import soft_argmax

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.heads import JointLandmarks, JointNet, LandmarkNet, ReconstructionNet
from sesame_hpc.models.transfer import transfer_backbone, transfer_landmark_heads

HEAD = HeadConfig(reconstruction_upscale=2)
POINTS = 5


def model(stacks: int) -> ModelConfig:
    sizes = {"stacks": stacks, "width": 16, "levels": 2, "image_size": 32, "map_size": 8}
    return ModelConfig.model_validate(sizes)


def networks(stacks: int) -> tuple[LandmarkNet, JointNet, LandmarkNet]:
    torch.manual_seed(0)
    config = model(stacks)
    joint = JointNet(config, HEAD, POINTS).eval()
    return LandmarkNet(config, HEAD, POINTS).eval(), joint, LandmarkNet(config, HEAD, POINTS).eval()


def test_it_reconstructs_and_has_maps_of_landmarks() -> None:
    _, joint, _ = networks(2)
    reconstructions, maps = joint(torch.rand(3, 3, 32, 32))
    assert [tuple(each.shape) for each in reconstructions] == [(3, 3, 16, 16)] * 2
    assert [tuple(each.shape) for each in maps] == [(3, POINTS, 8, 8)] * 2
    pure = ReconstructionNet(model(2), HEAD)(torch.rand(3, 3, 32, 32))
    assert [each.shape for each in pure] == [each.shape for each in reconstructions]


def test_its_landmarks_are_those_of_its_maps() -> None:
    _, joint, _ = networks(2)
    images = torch.rand(3, 3, 32, 32)
    found = JointLandmarks(joint)(images)
    assert found.shape == (2, 3, POINTS, 2)
    for each, maps in zip(found, joint(images)[1], strict=True):
        torch.testing.assert_close(each, soft_argmax(maps, HEAD.beta))


@pytest.mark.parametrize("stacks", [1, 2])
def test_landmarks_survive_the_way_through_pretrain(stacks: int) -> None:
    """With one stack to the bit; a second one also gets what the first reconstructs."""
    first, joint, last = networks(stacks)
    images = torch.rand(2, 3, 32, 32)
    for source, target in ((first, joint), (joint, last)):
        transfer_backbone(source.state_dict(), target)
        transfer_landmark_heads(source.state_dict(), target, POINTS)
    before, between, after = first(images), JointLandmarks(joint)(images), last(images)
    torch.testing.assert_close(between[0], before[0])
    torch.testing.assert_close(after, before)
    for key, tensor in first.state_dict().items():
        assert torch.equal(last.state_dict()[key], tensor), key


def test_heads_of_the_reconstruction_stay_as_they_were() -> None:
    first, joint, _ = networks(2)
    before = {key: tensor.clone() for key, tensor in joint.state_dict().items()}
    transfer_landmark_heads(first.state_dict(), joint, POINTS)
    after = joint.state_dict()
    for stack in (0, 1):
        key = f"backbone.stacks.{stack}.head.weight"
        assert torch.equal(after[key][POINTS:], before[key][POINTS:])
        assert not torch.equal(after[key][:POINTS], before[key][:POINTS])
    key = "backbone.stacks.0.inject_map.weight"
    assert torch.equal(after[key][:, POINTS:], before[key][:, POINTS:])
    assert torch.equal(after[key][:, :POINTS], first.state_dict()[key])
