"""Which providers of an op are timed."""

import pytest
import torch

from benchmarks.kernels.case import Case
from benchmarks.kernels.harness import with_peers_that_run


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def refused(x: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("too many matrices\nmore of it")


def case_of(**providers) -> Case:
    named = {name.replace("_", " "): each for name, each in providers.items()}
    return Case("an_op", "2x3", (torch.ones(2, 3),), named, 1, 1, equal=tuple(named)[1:])


def test_a_peer_that_raises_is_left_out_and_named(capsys) -> None:
    left = with_peers_that_run(case_of(ours=doubled, eager=refused, closed_form=doubled))
    assert list(left.providers) == ["ours", "closed form"]
    assert left.equal == ("closed form",)
    assert capsys.readouterr().out == "an_op 2x3: eager is left out: too many matrices\n"


def test_ours_must_run() -> None:
    with pytest.raises(RuntimeError, match="too many matrices"):
        with_peers_that_run(case_of(ours=refused, eager=doubled))
