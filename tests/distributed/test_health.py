"""Which ranks are called slow."""

from sesame_hpc.distributed.health import RankHealth, slow_ranks


def ranks(*speeds: tuple[float, float]) -> list[RankHealth]:
    return [RankHealth(rank, f"n{rank // 2}", *speed) for rank, speed in enumerate(speeds)]


def test_a_rank_below_half_the_median_is_named_with_its_node() -> None:
    found = slow_ranks(ranks((60, 20), (61, 21), (59, 20), (29, 9.9)))
    assert [each.node for each in found] == ["n1", "n1"]
    assert [str(each) for each in found] == [
        "rank 3 on n1 multiplies matrices at 29 TFLOP/s, the median rank at 59.5",
        "rank 3 on n1 exchanges data at 9.9 GB/s, the median rank at 20",
    ]
    assert slow_ranks(ranks((60, 20), (31, 11), (59, 20))) == []
