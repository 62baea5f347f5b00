import pytest

from sesame_hpc.config import MaskingConfig
from sesame_hpc.masking import masking_distribution

REGIONS = {"outline": 6.0, "eyes": 3.0, "pupils": 1.0}


def test_probability_is_the_normalised_nme() -> None:
    shares = masking_distribution(REGIONS, MaskingConfig(floor=0.0))
    assert shares == pytest.approx({"outline": 0.6, "eyes": 0.3, "pupils": 0.1})


def test_alpha_zero_is_uniform_and_alpha_two_is_sharper() -> None:
    uniform = masking_distribution(REGIONS, MaskingConfig(alpha=0.0))
    assert uniform == pytest.approx(dict.fromkeys(REGIONS, 1 / 3))
    sharp = masking_distribution(REGIONS, MaskingConfig(alpha=2.0, floor=0.0))
    assert sharp == pytest.approx({"outline": 36 / 46, "eyes": 9 / 46, "pupils": 1 / 46})


def test_the_floor_lifts_small_shares_and_keeps_the_others_in_proportion() -> None:
    shares = masking_distribution(REGIONS, MaskingConfig(floor=0.2))
    assert shares["pupils"] == pytest.approx(0.2)
    assert shares["outline"] / shares["eyes"] == pytest.approx(2.0)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_lifting_one_share_may_push_another_under_the_floor() -> None:
    shares = masking_distribution({"a": 70.0, "b": 25.5, "c": 4.5}, MaskingConfig(floor=0.25))
    assert shares == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.25})


@pytest.mark.parametrize("nme", [0.0, -1.0, float("nan"), float("inf")])
def test_an_nme_that_is_no_positive_number_is_named(nme: float) -> None:
    with pytest.raises(ValueError, match="region 'eyes'"):
        masking_distribution(REGIONS | {"eyes": nme}, MaskingConfig())


def test_an_impossible_floor_says_what_is_possible() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.3333"):
        masking_distribution(REGIONS, MaskingConfig(floor=0.4))
