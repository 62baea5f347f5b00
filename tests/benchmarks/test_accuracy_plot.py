"""The chart of the accuracy benchmark."""

import re

from benchmarks.accuracy.peers import Row
from benchmarks.accuracy.plot import chart
from benchmarks.common.paths import RESULTS
from benchmarks.common.table import Table


def test_every_method_that_was_measured_on_300_w_is_named():
    rows = Table(RESULTS / "accuracy_cpu.csv", Row).read()
    text = chart(rows).decode()
    named = {re.split("@|, ", row.method)[0].removeprefix("sesame ") for row in rows}
    labels = {"dlib": "dlib 20.0", "resnet18": "ResNet-18, wing loss", "hrnet": "small HRNet"}
    expected = {labels.get(name, name) for name in named - {"lfpw_small"}}
    assert len(expected) >= 3
    assert all(f">{label}<" in text for label in expected)
    assert ">lfpw_small<" not in text
