"""Activation checkpointing: the same bits for less memory."""

import torch

from sesame_hpc.config import HeadConfig, ModelConfig
from sesame_hpc.models.checkpointing import checkpoint_stacks
from sesame_hpc.models.heads import LandmarkNet

MODEL = ModelConfig(stacks=8, width=16, levels=2, image_size=64, map_size=16)


def network() -> LandmarkNet:
    torch.manual_seed(0)
    return LandmarkNet(MODEL, HeadConfig(), 5)


def test_gradients_and_state_are_the_same_to_the_bit() -> None:
    plain, checkpointed = network(), network()
    checkpoint_stacks(checkpointed)
    images = torch.rand(2, 3, 64, 64)
    for _ in range(2):
        for each in (plain, checkpointed):
            each(images).square().sum().backward()
    for one, other in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)
    state = plain.state_dict()
    assert all(torch.equal(state[key], value) for key, value in checkpointed.state_dict().items())
    assert int(state["backbone.stem.conv.1.num_batches_tracked"]) == 2


def kept(each: LandmarkNet, images: torch.Tensor) -> int:
    """Bytes that the graph of a forward pass holds on to, each storage once."""
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        each(images)
    return sum(storage.nbytes() for storage in storages.values())


def test_a_forward_pass_of_eight_stacks_keeps_a_fraction() -> None:
    plain, checkpointed = network(), network()
    checkpoint_stacks(checkpointed)
    images = torch.rand(2, 3, 64, 64)
    assert kept(checkpointed, images) < 0.4 * kept(plain, images)


def test_evaluation_is_left_alone() -> None:
    plain, checkpointed = network().eval(), network().eval()
    checkpoint_stacks(checkpointed)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(plain(images), checkpointed(images))
