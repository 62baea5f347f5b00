"""`masking.share`: which images of a batch are masked at all."""

import pytest
import tiny_stage
import torch

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.masking.masker import Masker

SCHEME = tiny_stage.SCHEME


def masker(**masking: object) -> Masker:
    shares = dict.fromkeys(SCHEME.regions, 1.0)
    return Masker(shares, SCHEME, MaskingConfig.model_validate(masking), seed=3)


def batch(ids: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        images=torch.rand(1, 3, 16, 16, generator=generator).expand(len(ids), -1, -1, -1).clone(),
        landmarks=torch.rand(1, 68, 2, generator=generator).expand(len(ids), -1, -1).clone(),
        sample_ids=torch.tensor(ids),
        matrices=torch.zeros(len(ids), 2, 3, dtype=torch.float64),
    )


def is_masked(lam: torch.Tensor) -> torch.Tensor:
    return lam.flatten(1).amax(dim=1) > 0


@pytest.mark.parametrize("mode", ["regions", "patches"])
def test_without_a_share_no_image_changes(mode: str) -> None:
    given = batch(list(range(8)))
    images, lam = masker(share=0, mode=mode)(given, "pretrain", 0)
    assert torch.equal(images, given.images)
    assert not lam.any()


@pytest.mark.parametrize("mode", ["regions", "patches"])
def test_those_that_are_masked_are_masked_as_ever(mode: str) -> None:
    given = batch(list(range(400)))
    whole, whole_lam = masker(mode=mode)(given, "pretrain", 0)
    some, some_lam = masker(mode=mode, share=0.3)(given, "pretrain", 0)
    chosen = is_masked(some_lam)
    assert is_masked(whole_lam).all()
    assert 0.22 < chosen.float().mean() < 0.38
    assert torch.equal(some[chosen], whole[chosen])
    assert torch.equal(some_lam[chosen], whole_lam[chosen])
    assert torch.equal(some[~chosen], given.images[~chosen])


def test_the_draw_depends_on_the_sample_and_the_epoch_alone() -> None:
    half = masker(share=0.5)
    chosen = is_masked(half(batch(list(range(40))), "pretrain", 0)[1])
    reverse = is_masked(half(batch(list(range(39, -1, -1))), "pretrain", 0)[1])
    assert torch.equal(reverse.flip(0), chosen)
    assert not torch.equal(is_masked(half(batch(list(range(40))), "pretrain", 1)[1]), chosen)
