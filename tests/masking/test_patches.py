"""Random patches: keyed draws on a grid that know nothing of landmarks."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch

from sesame_hpc.config import MaskingConfig
from sesame_hpc.data.loading.crops import Batch
from sesame_hpc.masking import draw_patches, draw_plan
from sesame_hpc.masking.masker import Masker
from sesame_hpc.schemes import load_scheme

SCHEME = load_scheme("wflw98")
UNIFORM = dict.fromkeys(SCHEME.regions, 0.1)


def draw(
    ids: Sequence[int], epoch: int = 0, **masking: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    settings = MaskingConfig(mode="patches", **masking)
    return draw_patches(ids, 10, settings, seed=5, stage="pretrain", epoch=epoch)


def test_a_sample_is_masked_alike_in_any_batch_and_anew_each_epoch() -> None:
    together, alone, later = draw([3, 900, 41]), draw([41]), draw([41], epoch=1)
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one[2:], other)
    assert not torch.equal(alone[0], later[0])


def test_patches_are_centres_of_the_grid_without_a_repeat() -> None:
    centres, _, counts = draw(range(300), grid=4, anchors=2)
    cells = centres * 4 - 0.5
    assert set(counts.tolist()) == {2, 4, 6}
    for row, used in enumerate(counts.tolist()):
        drawn = cells[row, :used]
        assert torch.equal(drawn, drawn.round())
        assert len({tuple(cell) for cell in drawn.tolist()}) == used


def test_every_patch_is_drawn_about_as_often() -> None:
    centres, _, counts = draw(range(3000), grid=4, regions=(2, 2), anchors=4)
    assert set(counts.tolist()) == {8}
    cells = (centres * 4 - 0.5).long()
    shares = np.bincount((cells[..., 1] * 4 + cells[..., 0]).flatten().numpy(), minlength=16)
    assert shares / 3000 == pytest.approx(np.full(16, 0.5), abs=0.04)


def test_as_many_places_and_the_same_range_of_sizes_as_regions_have() -> None:
    settings: dict[str, Any] = {"anchors": 4, "sigma": (0.04, 0.05)}
    _, sigma, counts = draw(range(900), **settings)
    plan = draw_plan(
        range(900), UNIFORM, SCHEME, MaskingConfig(**settings), seed=5, stage="pretrain", epoch=0
    )
    assert sigma.shape == plan.sigma.shape
    assert float(counts.float().mean()) == pytest.approx(float(plan.counts.float().mean()), rel=0.1)
    assert float(sigma.min()) == pytest.approx(0.04, abs=1e-4)
    assert float(sigma.max()) == pytest.approx(0.05, abs=1e-4)


def batch(landmarks: torch.Tensor) -> Batch:
    faces = len(landmarks)
    return Batch(
        images=torch.rand(faces, 3, 32, 32, generator=torch.Generator().manual_seed(1)),
        landmarks=landmarks,
        sample_ids=torch.arange(faces),
        matrices=torch.eye(3)[:2].expand(faces, 2, 3),
    )


def test_the_masker_masks_alike_wherever_the_landmarks_are() -> None:
    modes: dict[Literal["patches", "regions"], bool] = {"patches": True, "regions": False}
    for mode, is_alike in modes.items():
        masker = Masker(UNIFORM, SCHEME, MaskingConfig(mode=mode), seed=3)
        masks = [
            masker(batch(torch.full((4, 98, 2), place)), "pretrain", 0)[1] for place in (0.2, 0.7)
        ]
        assert torch.equal(*masks) == is_alike
        assert float(masks[0].max()) > 0.5


def test_more_anchors_than_patches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"grid \(3\) gives 9 patches, fewer than the 12"):
        MaskingConfig(mode="patches", grid=3, regions=(1, 4))
    assert MaskingConfig(grid=3, regions=(1, 4)).mode == "regions"
