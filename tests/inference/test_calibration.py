"""Confidence: monotone, right on average on faces it has not seen, and of honest form."""

import numpy as np
import pytest
from pydantic import ValidationError

from sesame_hpc.inference import calibration
from sesame_hpc.inference.calibration import Calibration, check_calibration, fit_calibration


def telling_spreads(faces: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks whose error grows with their spread, each from its own level."""
    rng = np.random.default_rng(seed)
    level = np.linspace(0.02, 0.2, 12)
    away = rng.normal(0, 0.4, (faces, 12))
    spread = level * np.exp(away)
    errors = 5 * np.exp(1.2 * away) * rng.rayleigh(0.8, (faces, 12))
    return spread, errors


def test_expectations_hold_on_faces_not_seen():
    spread, errors = telling_spreads(300, 1)
    fitted = fit_calibration(spread, errors)
    spread, errors = telling_spreads(4000, 2)
    confidence, expected = fitted.confidence(spread), fitted.expected_error(spread)
    for low in (0.1, 0.3, 0.5, 0.7):
        chosen = (confidence >= low) & (confidence < low + 0.2)
        assert abs((errors[chosen] <= 5).mean() - confidence[chosen].mean()) < 0.05
    assert abs(expected.mean() - errors.mean()) < 0.3
    assert np.corrcoef(expected.ravel(), errors.ravel())[0, 1] > 0.5


def test_a_wider_map_never_gets_more_confidence_where_width_tells():
    fitted = fit_calibration(*telling_spreads(300, 1))
    usual = np.exp(fitted.usual)
    factors = np.linspace(1, 4, 30)
    confidence = np.stack([fitted.confidence(usual[None] * f)[0] for f in factors])
    assert (np.diff(confidence, axis=0) <= 1e-12).all()
    assert (confidence[0] > confidence[-1]).all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_spreads_that_say_nothing_leave_the_overall_share():
    rng = np.random.default_rng(3)
    spread, errors = rng.uniform(0.1, 0.2, (400, 10)), rng.rayleigh(4, (400, 10))
    found = check_calibration(spread, errors, np.arange(400))
    assert abs(found.rank_correlation) < 0.1
    assert found.gap < 0.05
    assert found.brier == pytest.approx(found.brier_constant, abs=0.01)


def test_cross_fit_finds_what_is_there_and_keeps_groups_together():
    spread, errors = telling_spreads(200, 4)
    found = check_calibration(spread, errors, np.arange(200) // 2)
    assert found.rank_correlation > 0.4
    assert found.brier < 0.9 * found.brier_constant
    assert found.gap < 0.06
    assert check_calibration(spread, errors, np.arange(200) % 3) is None


def test_pooling_is_the_nearest_non_falling_sequence():
    rng = np.random.default_rng(5)
    for _ in range(20):
        values, counts = rng.normal(size=6), rng.integers(1, 5, 6).astype(float)
        pooled = calibration._pool(values, counts)
        # The min-max formula of isotonic regression.
        expected = [
            max(
                min(np.average(values[a : b + 1], weights=counts[a : b + 1]) for b in range(i, 6))
                for a in range(i + 1)
            )
            for i in range(6)
        ]
        np.testing.assert_allclose(pooled, expected, atol=1e-12)


def test_it_survives_json_and_refuses_other_forms():
    fitted = fit_calibration(*telling_spreads(20, 6))
    again = Calibration.model_validate_json(fitted.model_dump_json())
    assert again == fitted
    assert len(fitted.knots) <= 20
    with pytest.raises(ValidationError, match="one number per landmark"):
        Calibration.model_validate(fitted.model_dump() | {"base": (1.0,)})
    with pytest.raises(ValueError, match="at least 4 faces"):
        fit_calibration(*telling_spreads(3, 6))
    with pytest.raises(ValueError, match="above 0"):
        fit_calibration(np.zeros((5, 2)), np.ones((5, 2)))


def test_errors_that_are_not_known_are_left_out():
    """As of points that are not labelled: expectations stay near those of all errors."""
    spread, errors = telling_spreads(400, 1)
    gaps = errors.copy()
    gaps[np.random.default_rng(0).random(errors.shape) < 0.3] = np.nan
    gaps[5] = np.nan
    whole, some = fit_calibration(spread, errors), fit_calibration(spread, gaps)
    assert some.faces == 399
    assert np.abs(whole.confidence(spread) - some.confidence(spread)).mean() < 0.03
    check = check_calibration(spread, gaps, np.arange(400))
    assert check.rank_correlation > 0.3
    gaps[:, 2] = np.nan
    assert np.isfinite(fit_calibration(spread, gaps).base).all()
    gaps[4:] = np.nan
    gaps[:2] = np.nan
    with pytest.raises(ValueError, match="at least 4 faces"):
        fit_calibration(spread, gaps)
