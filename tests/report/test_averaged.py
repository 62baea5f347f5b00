"""Averaged weights (EMA) in the page: rows of their own, beside those of the last weights."""

from dataclasses import replace

import pytest
from page_reading import Page, read_page

from sesame_hpc.choices import COORDINATE_STAGES, STAGES
from sesame_hpc.report import write_report
from sesame_hpc.report.page import render
from sesame_hpc.report.published import placed
from sesame_hpc.report.report_data import read_report_data
from sesame_hpc.run.folder import RunFolder

REGIONS = "NME per region on 5 test faces{} (Table 1 of the paper)"


@pytest.fixture
def both(make_run) -> RunFolder:
    return make_run(*STAGES, averaged=COORDINATE_STAGES)


def page_of(folder: RunFolder) -> Page:
    return read_page(write_report(folder).read_text("utf-8"))


def row(page: Page, table: str, name: str) -> list[str]:
    return next(row for row in page.tables[table] if row[0] == name)


def test_table_1_has_a_row_and_a_table_of_them(both: RunFolder) -> None:
    page = page_of(both)
    last, averaged = (row(page, REGIONS.format(""), f"all points{x}") for x in ("", ", EMA"))
    for place, stage in enumerate(COORDINATE_STAGES):
        figures = both.result(stage)["test"]
        assert last[2 + place].startswith(f"{figures['nme']:.3f}")
        low, high = figures["ema"]["intervals"]["nme"]
        assert averaged[2 + place] == f"{figures['ema']['nme']:.3f} [{low:.3f}, {high:.3f}]"
    assert averaged[6] != ""
    regions = both.result("finetune")["test"]["ema"]["regions"]
    assert row(page, REGIONS.format(", EMA weights"), "outline")[3].startswith(
        f"{regions['outline']:.3f}"
    )
    assert "moving average" in page.text


def test_rates_have_a_row_of_them(both: RunFolder) -> None:
    found = row(page_of(both), "Failure rates and AUC on 5 test faces", "all faces, EMA")
    before, after = (both.result(stage)["test"]["ema"] for stage in COORDINATE_STAGES)
    for cell, figures in zip(found[2:4], (before, after), strict=True):
        low, high = figures["intervals"]["nme"]
        assert cell == f"{figures['nme']:.3f} [{low:.3f}, {high:.3f}]"
    assert found[-2:] == [f"{before['auc10']:.3f}", f"{after['auc10']:.3f}"]


def test_one_stage_alone_may_have_them(make_run) -> None:
    page = page_of(make_run(*STAGES, averaged=("finetune",)))
    found = row(page, REGIONS.format(""), "all points, EMA")
    assert [found[2], found[4]] == ["–", "–"]
    assert row(page, "Failure rates and AUC on 5 test faces", "all faces, EMA")[2] == "–"


def test_without_any_nothing_is_said_of_them(run: RunFolder) -> None:
    assert "EMA" not in page_of(run).text.split("Config")[0]


def test_they_stand_among_the_published_numbers_by_name() -> None:
    rows = placed({"finetune": {"nme": 4.2}}, {"finetune": {"nme": 4.1}}, "square")
    mine = {row.method: (row.nme, row.checkpoint) for row in rows if row.stage}
    assert mine == {
        "This run, finetune": ("4.200", "last epoch"),
        "This run, finetune, EMA weights": ("4.100", "last epoch, averaged weights"),
    }


def test_lost_predictions_of_theirs_are_said(both: RunFolder) -> None:
    both.predictions("finetune", "test", averaged=True).unlink()
    data = read_report_data(both)
    page = read_page(render(replace(data, starts=[])))
    assert "the predictions could not be read" in page.text
    assert row(page, REGIONS.format(""), "all points, EMA")[3] != "–"
