"""Published NME on the full WFLW test set (2,500 faces), and when a run is comparable."""

from dataclasses import dataclass
from typing import Any

__all__ = ["PUBLISHED", "Row", "incomparable", "placed"]

_TEST_FACES = 2500
_SUBSETS = {
    "pose": 326,
    "expression": 314,
    "illumination": 698,
    "makeup": 206,
    "occlusion": 736,
    "blur": 773,
}


@dataclass(frozen=True)
class Row:
    """One method; NME in percent, inter-ocular, with the decimals that were published.

    `crops` and `checkpoint` are empty if only the remark below the table applies; `stage` is set
    for the rows of this run.
    """

    method: str
    nme: str
    crops: str = ""
    checkpoint: str = ""
    stage: str = ""


_PAPER_CROPS = "data set's box + 20 %"

PUBLISHED = (
    Row("LAB", "5.27"),
    Row("DeCaFa", "4.62"),
    Row("HRNet-W18", "4.60"),
    Row("SESAME paper, preliminary", "4.40", _PAPER_CROPS, "not stated"),
    Row("AWing", "4.36"),
    Row("SESAME paper", "4.35", _PAPER_CROPS, "not stated"),
    Row("ADNet", "4.14"),
    Row("SLPT", "4.14"),
    Row("STAR", "4.02"),
    Row("RHT-R", "4.01"),
    Row("RTMPose-m", "4.01"),
    Row("KeyPosS", "4.00"),
    Row("LDEQ", "3.92"),
    Row("skps", "3.88"),
    Row("ORFormer", "3.86"),
)


def incomparable(scheme: str, test: dict[str, Any] | None) -> str | None:
    """Why figures (JSON of a stage on the test part) are not comparable; None if they are."""
    if scheme != "wflw98":
        return f"its landmarks are those of {scheme}, not WFLW's 98"
    if test is None:
        return "it was not evaluated on a test part"
    if test["faces"] != _TEST_FACES:
        return f"its test part has {test['faces']:,} faces, WFLW's has {_TEST_FACES:,}"
    counts = {name: subset["faces"] for name, subset in test.get("subsets", {}).items()}
    if counts != _SUBSETS:
        return "the attributes of its 2,500 test faces are not those of WFLW's test set"
    return None


def placed(own: dict[str, Any], averaged: dict[str, Any], crops: str) -> list[Row]:
    """The published rows and this run's, worst first.

    `own` and `averaged` (EMA weights) are {stage: JSON of its figures} on `crops`.
    """
    mine = [
        Row(f"This run, {stage}{name}", f"{figures['nme']:.3f}", crops, checkpoint, stage)
        for tables, name, checkpoint in (
            (own, "", "last epoch"),
            (averaged, ", EMA weights", "last epoch, averaged weights"),
        )
        for stage, figures in tables.items()
    ]
    return sorted([*PUBLISHED, *mine], key=lambda row: -float(row.nme))
