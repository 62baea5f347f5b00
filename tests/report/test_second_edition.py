"""Maps, confidences, faces around the median, fingerprints, CSV files: what the page says is so."""

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from page_reading import Page, read_page
from random_faces import annotations

from sesame_hpc.choices import STAGES
from sesame_hpc.evaluation.mean_shape import mean_shape
from sesame_hpc.files import read_json, write_json_atomic
from sesame_hpc.report import write_report
from sesame_hpc.report.csv_file import CsvFile
from sesame_hpc.report.face_map import face_map
from sesame_hpc.report.images import chosen_rows
from sesame_hpc.report.reliability import Spreads, reliabilities
from sesame_hpc.run.data_identity import fingerprint
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.schemes import load_scheme


def page_of(folder: RunFolder) -> Page:
    return read_page(write_report(folder).read_text("utf-8"))


def saved(page: Page, name: str) -> list[dict[str, str]]:
    """The rows of the CSV file of this name."""
    (address,) = [found["href"] for _, found in page.tags if found.get("download") == name]
    text = base64.b64decode(address.partition(",")[2]).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def drawn(page: Page, what: str) -> list[str]:
    labels = [found.get("aria-label", "") for tag, found in page.tags if tag == "svg"]
    return [label for label in labels if label.startswith(what)]


def test_csv_files_hold_the_json_unrounded(run: RunFolder) -> None:
    page = page_of(run)
    before, after = (run.result(stage)["test"] for stage in ("preliminary", "finetune"))
    regions = {row["region"]: row for row in saved(page, "regions-test.csv")}
    assert float(regions["outline"]["finetune_nme"]) == after["regions"]["outline"]
    low, high = after["intervals"]["regions"]["outline"]
    assert float(regions["outline"]["finetune_nme_low"]) == low
    assert float(regions["outline"]["finetune_nme_high"]) == high
    rates = {row["stage"]: row for row in saved(page, "rates-test.csv")}
    assert float(rates["preliminary"]["auc8"]) == before["auc8"]
    assert float(rates["preliminary"]["auc8_high"]) == before["intervals"]["auc8"][1]
    points = saved(page, "landmarks-test.csv")
    assert [float(row["preliminary_nme"]) for row in points] == before["landmarks"]
    masking = {row["region"]: row for row in saved(page, "masking.csv")}
    assert float(masking["outline"]["masked_share"]) == read_json(run.masking_file)["outline"]
    stages = {row["stage"]: row for row in saved(page, "stages.csv")}
    assert stages["finetune"]["seconds"] == "30.25"


def test_a_csv_file_is_safe_in_a_spreadsheet() -> None:
    table = CsvFile("a/b <c>", ["name", "value"], [["=1+1", -1.5], ['say "x",\ny', None]])
    assert table.name == "a-b-c.csv"
    assert list(csv.reader(io.StringIO(table.text, newline=""))) == [
        ["name", "value"],
        ["'=1+1", "-1.5"],
        ['say "x",\ny', ""],
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "Coordinate loss: L1."),
        (["loss.heatmap=0.1", "loss.penalty=wing"], "Coordinate loss: wing + heat map."),
        (["loss.extra=my_terms:Edges"], "Coordinate loss: L1 + my_terms:Edges."),
        (["stages.pretrain.landmark_weight=1"], "Reconstruction loss: Eq. 2 + landmarks."),
    ],
)
def test_losses_are_called_by_their_terms(make_run, settings: list[str], said: str) -> None:
    assert said in page_of(make_run(*STAGES, settings=settings)).text


def test_the_plugins_of_the_latest_start_are_named(run: RunFolder) -> None:
    start = read_json(run.environment_file)["starts"][-1]
    plugin = {"name": "short", "path": "my_terms:<Edges>", "version": "sha256:0a1b"}
    start["plugins"] = {"loss.extra": plugin, "track.settings.my_terms:Lines": plugin}
    write_json_atomic(run.environment_file, {"starts": [start]})
    text = page_of(run).text
    for key in start["plugins"]:
        assert f"{key} my_terms:<Edges>, version sha256:0a1b" in " ".join(text.split())


def test_names_of_files_break_between_words() -> None:
    from sesame_hpc.report.environment import page_environment

    breakable = page_environment().filters["breakable"]
    assert breakable("helen_1_2.jpg") == "helen_<wbr>1_<wbr>2<wbr>.jpg"
    assert breakable("<b>&quoted'.png") == "&lt;b&gt;&amp;quoted&#39;.png"


def test_charts_side_by_side_have_the_same_axes(run: RunFolder) -> None:
    html = write_report(run).read_text("utf-8")
    for what in ("Cumulative error", "NME per landmark", "Map of the error"):
        charts = re.findall(rf'<svg class="[\w -]+" viewBox="([^"]+)"[^>]*"{what}.*?</svg>', html)
        assert len(charts) == 2
        assert charts[0] == charts[1]
    ticks = [
        re.findall(r'class="tick middle"[^>]*>([^<]+)<', chart)
        for chart in re.findall(r"<svg class=\"chart\".*?over optimizer steps.*?</svg>", html)
    ]
    assert len(ticks) == 4
    assert all(each == ticks[0] for each in ticks)


def test_ced_of_both_parts_end_at_the_same_error(run: RunFolder) -> None:
    html = write_report(run).read_text("utf-8")
    charts = re.findall(r"<svg class=\"chart\"[^>]*Cumulative.*?</svg>", html)
    axes = [re.findall(r'class="tick[^"]*" x="([^"]+)"[^>]*>([^<]+)<', chart) for chart in charts]
    assert len(axes) == 2
    assert axes[0] == axes[1]


def test_the_map_has_a_disc_at_scale_for_each_landmark(run: RunFolder) -> None:
    html = write_report(run).read_text("utf-8")
    discs = re.findall(r'<circle class="disc lower" cx="([^"]+)" cy="([^"]+)" r="([^"]+)"', html)
    places = np.array(discs, dtype=float)
    first = places[:68]
    eyes = np.linalg.norm(first[36, :2] - first[45, :2])
    nme = np.array(run.result("finetune")["test"]["landmarks"])
    lower = nme < np.array(run.result("preliminary")["test"]["landmarks"])
    assert lower.all(), "the noise of finetune is smaller"
    np.testing.assert_allclose(first[:, 2] / eyes, nme / 100, atol=2e-3)


def test_a_map_tells_lower_from_higher_and_leaves_out_what_is_unknown() -> None:
    scheme = load_scheme("ibug68")
    shape = np.stack([np.linspace(0, 1, 68), np.zeros(68)], axis=1)
    nme: list[float | None] = [5.0] * 68
    before: list[float | None] = [4.0] * 34 + [7.0] * 33 + [None]
    nme[3] = None
    html = str(face_map(shape, scheme, nme, before, "map", 0.05, 2.0).drawing)
    assert html.count('class="disc higher"') == 33
    assert html.count('class="disc lower"') == 33
    assert html.count('class="disc alone"') == 1
    opacities = set(re.findall(r'lower"[^>]*fill-opacity="([^"]+)"', html))
    assert opacities == {"0.85"}, "the largest change has the fullest colour"


def test_mean_shape_does_not_depend_on_place_size_and_turn() -> None:
    faces = annotations(40)
    scheme, landmarks = faces.scheme, faces.landmarks
    shape = mean_shape(landmarks, scheme)
    assert shape is not None
    left, right = scheme.normaliser
    assert np.linalg.norm(shape[right] - shape[left]) == pytest.approx(1.0)
    turned = np.deg2rad(np.random.default_rng(0).permuted(np.tile([-20.0, 20.0], 20)))
    z = (landmarks[..., 0] + 1j * landmarks[..., 1]) * (3 * np.exp(1j * turned))[:, None] + 70
    moved = mean_shape(np.stack([z.real, z.imag], axis=2), scheme)
    assert moved is not None
    distances = [np.linalg.norm(each[:, None] - each, axis=2) for each in (shape, moved)]
    np.testing.assert_allclose(distances[0], distances[1], atol=1e-9)
    hidden = landmarks.copy()
    hidden[::2, 3] = np.nan
    hidden[:, 5] = np.nan
    holed = mean_shape(hidden, scheme)
    assert holed is not None
    assert np.flatnonzero(np.isnan(holed).any(axis=1)).tolist() == [5]


def test_a_confidence_that_holds_is_on_the_diagonal() -> None:
    faces = annotations(200)
    random = np.random.default_rng(1)
    spread = random.uniform(0.01, 0.05, faces.landmarks.shape[:2])
    eyes = np.linalg.norm(faces.landmarks[:, 60] - faces.landmarks[:, 72], axis=1)
    noise = random.normal(size=faces.landmarks.shape) * (spread * eyes[:, None])[..., None]
    both = [
        Spreads(name, name, part, part.landmarks + noise[rows], spread[rows])
        for name, rows in (("heldout", np.arange(120)), ("test", np.arange(120, 200)))
        for part in [faces.select(rows)]
    ]
    heldout, test = reliabilities(*both)
    assert heldout.gap < 0.03
    assert test.gap < 0.03
    assert test.bins[0].share < 0.6 < 0.9 < test.bins[-1].share
    for each in (*heldout.bins, *test.bins):
        assert each.interval[0] <= each.share <= each.interval[1]
    assert sum(each.count for each in test.bins) == 80 * 98
    wrong = Spreads("test", "test", both[1].faces, both[1].points, spread[120:][::-1])
    assert reliabilities(both[0], wrong)[1].gap > 0.1


def test_the_page_shows_confidences_or_says_why_not(make_run) -> None:
    run = make_run(*STAGES)
    page = page_of(run)
    assert drawn(page, "Share of landmarks within 5 % over their confidence")
    assert {row["part"] for row in saved(page, "confidence.csv")} == {"held-out", "test"}
    for path in (run.path / "predictions").glob("*.npz"):
        arrays = dict(np.load(path))
        del arrays["spread"]
        np.savez(path, **arrays)
    page = page_of(run)
    assert "have no spreads" in page.text
    assert not drawn(page, "Share of landmarks")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 40])
def test_worst_median_and_best_faces_share_none(count: int) -> None:
    nme = np.random.default_rng(count).permuted(np.arange(count + 1.0))
    nme[nme == count] = np.nan
    worst, median, best = chosen_rows(nme, 6)
    rows = [*worst, *median, *best]
    assert len(set(rows)) == len(rows) == min(count, 18)
    assert not np.isnan(nme[rows]).any()
    assert nme[best].tolist() == sorted(nme[best])
    assert nme[best[0]] == 0.0
    if count > 1:
        assert nme[worst[0]] == count - 1
    if count == 40:
        assert nme[median].tolist() == [17, 18, 19, 20, 21, 22]


def test_command_and_fingerprint_are_in_the_page(run: RunFolder, make_run) -> None:
    page = page_of(run)
    assert "sesame train <it> & more" in page.text
    identity = read_json(run.data_file)
    rows = {row[0]: row[1:] for row in page.tables["Data"][1:]}
    assert rows["test faces"] == ["5", fingerprint(identity["test"])]
    assert rows["the whole, with scheme and crops"][1] == fingerprint(identity)
    other = make_run("preliminary", name="other", settings=["seed=1"])
    theirs = read_json(other.data_file)
    assert fingerprint(theirs["test"]) == fingerprint(identity["test"])
    assert fingerprint(theirs["train"]) != fingerprint(identity["train"])


def test_faces_around_the_median_are_shown(run: RunFolder, tmp_path: Path) -> None:
    assert "Around the median" in page_of(run).text
