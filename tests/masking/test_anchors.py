from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from sesame_hpc.config import MaskingConfig
from sesame_hpc.masking import draw_plan, place_anchors
from sesame_hpc.schemes import load_scheme

SCHEME = load_scheme("wflw98")
REGION_OF = {point: name for name, points in SCHEME.regions.items() for point in points}
UNIFORM = dict.fromkeys(SCHEME.regions, 0.1)


def plan(ids, probabilities=UNIFORM, epoch: int = 0, **masking):
    return draw_plan(
        ids, probabilities, SCHEME, MaskingConfig(**masking), seed=5, stage="pretrain", epoch=epoch
    )


def regions_of(one_plan, row: int) -> list[str]:
    used = int(one_plan.counts[row])
    return [REGION_OF[int(point)] for point in one_plan.first[row, :used]]


def test_a_sample_is_masked_alike_in_any_batch() -> None:
    together, alone = plan([3, 900, 41]), plan([41])
    for field in ("first", "second", "fraction", "sigma", "counts"):
        assert torch.equal(getattr(together, field)[2:], getattr(alone, field)), field


def test_epochs_differ() -> None:
    assert not torch.equal(plan(range(50)).fraction, plan(range(50), epoch=1).fraction)


def test_one_to_three_different_regions_with_their_anchors() -> None:
    drawn = plan(range(600), anchors=4)
    numbers: Counter[int] = Counter()
    for row in range(600):
        regions = regions_of(drawn, row)
        assert all(count == 4 for count in Counter(regions).values())
        numbers[len(set(regions))] += 1
    assert set(numbers) == {1, 2, 3}
    assert min(numbers.values()) > 150


def test_single_draws_follow_the_probabilities() -> None:
    probabilities = UNIFORM | {"outline": 0.55, "pupils": 0.05}
    drawn = plan(range(4000), probabilities, regions=(1, 1))
    counts = Counter(regions_of(drawn, row)[0] for row in range(4000))
    total = sum(probabilities.values())
    for name, share in probabilities.items():
        assert counts[name] / 4000 == pytest.approx(share / total, abs=0.03), name


def test_anchors_spread_over_the_whole_outline() -> None:
    only_outline = {name: float(name == "outline") for name in SCHEME.regions}
    drawn = plan(range(500), only_outline, regions=(1, 1), anchors=3)
    along = (drawn.first + drawn.fraction).numpy()
    for part in range(3):
        assert along[:, part].min() >= part / 3 * 32 - 1e-4
        assert along[:, part].max() <= (part + 1) / 3 * 32 + 1e-4
        assert np.ptp(along[:, part]) > 9


def test_sigma_stays_in_its_range() -> None:
    drawn = plan(range(300), sigma=(0.04, 0.05))
    used = torch.arange(drawn.sigma.shape[1]) < drawn.counts[:, None]
    assert drawn.sigma[used].min() >= 0.04
    assert drawn.sigma[used].max() <= 0.05
    assert drawn.sigma[used].std() > 0.002


def test_anchors_lie_between_their_landmarks() -> None:
    drawn = plan(range(20))
    landmarks = torch.rand(20, 98, 2)
    placed = place_anchors(drawn, landmarks)
    for row in range(20):
        for column in range(int(drawn.counts[row])):
            a, b = (
                landmarks[row, drawn.first[row, column]],
                landmarks[row, drawn.second[row, column]],
            )
            expected = a + (b - a) * drawn.fraction[row, column]
            assert torch.allclose(placed[row, column], expected, atol=1e-6)


def test_consecutive_landmarks_of_one_region() -> None:
    drawn = plan(range(200))
    for row in range(200):
        for column in range(int(drawn.counts[row])):
            first, second = int(drawn.first[row, column]), int(drawn.second[row, column])
            assert REGION_OF[first] == REGION_OF[second]
            assert second - first == 1


def gaps(count: int, seed: int = 0) -> np.ndarray:
    """bool [count, 98]: a quarter of the points is not labelled, of some faces whole regions."""
    generator = np.random.default_rng(seed)
    labelled = generator.random((count, 98)) > 0.25
    labelled[::3, list(SCHEME.regions["outline"])] = False
    labelled[::5, list(SCHEME.regions["pupils"])] = False
    labelled[:, 60] = True
    return labelled


def plan_with(ids, labelled: np.ndarray, **masking):
    settings = MaskingConfig(**masking)
    return draw_plan(
        ids, UNIFORM, SCHEME, settings, seed=5, stage="pretrain", epoch=0, labelled=labelled
    )


def test_anchors_lie_between_labelled_neighbours_alone() -> None:
    labelled = gaps(300)
    drawn = plan_with(range(300), labelled)
    for row in range(300):
        used = int(drawn.counts[row])
        assert used > 0
        for first, second in zip(drawn.first[row, :used], drawn.second[row, :used], strict=True):
            assert labelled[row, [int(first), int(second)]].all()
            line = SCHEME.regions[REGION_OF[int(first)]]
            if first == second:
                assert not any(labelled[row, list(pair)].all() for pair in pairwise(line))
            else:
                assert line.index(int(second)) - line.index(int(first)) == 1


def test_a_region_without_labels_is_not_drawn_and_the_others_by_their_shares() -> None:
    labelled = np.ones((3000, 98), dtype=bool)
    labelled[:, list(SCHEME.regions["outline"])] = False
    drawn = plan_with(range(3000), labelled, regions=(1, 1))
    counts = Counter(regions_of(drawn, row)[0] for row in range(3000))
    assert "outline" not in counts
    for name in set(SCHEME.regions) - {"outline"}:
        assert counts[name] / 3000 == pytest.approx(1 / 9, abs=0.03), name


def test_a_face_with_all_points_is_masked_alike_beside_others() -> None:
    labelled = gaps(20)
    labelled[7] = True
    mixed, whole = plan_with(range(20), labelled), plan(range(20))
    for field in ("first", "second", "fraction", "sigma", "counts"):
        assert torch.equal(getattr(mixed, field)[7], getattr(whole, field)[7]), field


def test_a_face_without_labels_gets_no_anchors() -> None:
    drawn = plan_with([1, 2], np.zeros((2, 98), dtype=bool))
    assert drawn.counts.tolist() == [0, 0]
