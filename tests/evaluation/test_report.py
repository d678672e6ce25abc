"""The report of an evaluation: worst places, maps, size of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine

from roadgis.errors import OutputError, SceneError
from roadgis.evaluation.errors import classify_errors
from roadgis.evaluation.report.backdrop import Backdrop, picture_uri
from roadgis.evaluation.report.maps import KINDS, LineMap, scale_length
from roadgis.evaluation.report.page import ReportPair, report_page, write_report
from roadgis.evaluation.report.worst_windows import worst_places
from roadgis.evaluation.table import SCORES, total_row
from tests.factories.geometries import lines
from tests.train.test_report import Page

UTM = pyproj.CRS.from_epsg(32619)
#: A place within the UTM zone.
X, Y = 300_000.0, 4_700_000.0


def line(*points: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(X + x, Y + y) for x, y in points])


NONE = lines()


def pair(
    truth: npt.NDArray[np.object_], proposal: npt.NDArray[np.object_], name: str = "p", **more: Any
) -> ReportPair:
    scores = dict.fromkeys(SCORES, 0.5) | {"apls": None}
    return ReportPair(name, scores, classify_errors(truth, proposal), UTM, **more)


def write_image(
    path: Path, colour: tuple[int, int, int], *, crs: str | None = "EPSG:32619", **more: Any
) -> Path:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": 200,
        "height": 100,
        "count": 3,
        "dtype": "uint8",
    }
    profile |= more
    with rasterio.open(
        path, "w", crs=crs, transform=Affine(10, 0, X, 0, -10, Y + 1000), **profile
    ) as image:
        for band, value in enumerate(colour, 1):
            image.write(np.full((100, 200), value, profile["dtype"]), band)
    return path


def test_worst_places_start_with_the_square_with_the_most_errors() -> None:
    misses = lines(line((10, 50), (90, 50)), line((1010, 50), (1100, 50)))
    false_roads = lines(line((1010, 60), (1040, 60)))
    first, second = worst_places(misses, false_roads, side_m=100, count=9)
    assert [first.missed_m, first.false_m] == pytest.approx([90, 30])
    assert [second.missed_m, second.false_m] == pytest.approx([80, 0])
    assert first.bounds[0] <= X + 1010 <= X + 1100 <= first.bounds[2]


def test_worst_places_are_not_split_at_grid_lines() -> None:
    # 100 m of road across x = 300 500, a multiple of 100: only a shifted grid holds all of it.
    (found,) = worst_places(lines(line((460, 20), (540, 20))), NONE, side_m=100, count=1)
    assert found.missed_m == pytest.approx(80)


def test_worst_places_do_not_overlap_or_depend_on_line_order() -> None:
    rng = np.random.default_rng(3)
    ends = rng.uniform(0, 3000, (300, 1, 2)) + rng.normal(0, 40, (300, 2, 2)) + (X, Y)
    misses = np.asarray(shapely.linestrings(ends))
    found = worst_places(misses, misses[:50], side_m=200, count=12)
    assert found == worst_places(misses[::-1], misses[:50], side_m=200, count=12)
    assert [place.wrong_m for place in found] == sorted((p.wrong_m for p in found), reverse=True)
    boxes = [shapely.box(*place.bounds) for place in found]
    for at, box in enumerate(boxes):
        assert all(box.intersection(other).area < 1e-3 for other in boxes[:at])


def test_worst_places_are_empty_without_errors() -> None:
    assert worst_places(NONE, NONE, side_m=100, count=5) == []


@pytest.mark.parametrize(
    ("longest", "bar"), [(1, 1), (140, 100), (499.9, 200), (500, 500), (0.7, 0.5), (21000, 20000)]
)
def test_scale_length_is_the_longest_round_length(longest: float, bar: float) -> None:
    assert scale_length(longest) == pytest.approx(bar)


def paths(svg: str) -> dict[str, str]:
    return dict(re.findall(r'<path class="(\w+)"[^>]* d="([^"]*)"', svg))


def test_line_map_draws_each_kind_of_line_in_place() -> None:
    drawing = LineMap(
        [lines(line((0, 10), (50, 10), (100, 10))), lines(line((0, 50), (200, 50))), NONE]
    )
    svg = drawing.svg((X, Y, X + 100, Y + 100), "label <&>", width_px=200)
    # North is up, half a metre per pixel; vertices on a straight line are dropped, and parts
    # outside are clipped.
    assert paths(svg) == {"hit": "M0 180 200 180", "miss": "M0 100 200 100"}
    assert 'aria-label="label &lt;&amp;&gt;"' in svg
    assert 'viewBox="0 0 200 200"' in svg
    assert ">20 m<" in svg
    assert Page(svg)  # elements close in order


def test_line_map_of_very_many_lines_is_painted_and_stays_small() -> None:
    rng = np.random.default_rng(0)
    many = np.asarray(shapely.linestrings(rng.uniform(0, 5000, (60_000, 3, 2))))
    drawing = LineMap([many[:30_000], many[30_000:45_000], many[45_000:]])
    svg = drawing.svg((0, 0, 5000, 5000), "x", width_px=480)
    assert paths(svg) == {}
    assert "data:image/png;base64," in svg
    assert len(svg) < 1_200_000


def test_backdrop_lies_under_the_lines_in_place(tmp_path: Path) -> None:
    write_image(tmp_path / "scene.tif", (200, 100, 50))
    backdrop = Backdrop(tmp_path / "scene.tif", UTM)
    # The image ends at x = 2000: the right half of the map has none.
    picture = backdrop.picture((X + 1900, Y + 400, X + 2100, Y + 500), 100, 50)
    assert picture is not None
    assert picture.shape == (50, 100, 3)
    assert (picture[:, :48] == (200, 100, 50)).all()
    assert (picture[:, 52:] == 225).all()
    assert backdrop.picture((X + 5000, Y, X + 5100, Y + 100), 10, 10) is None


def test_backdrop_reprojects_and_stretches_16_bit_imagery(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=1, dtype="uint16", nodata=0,
        crs="EPSG:4326", transform=Affine(1e-4, 0, -71.45, 0, -1e-4, 42.42),
    ) as image:  # fmt: skip
        image.write(np.linspace(1000, 5000, 10_000).reshape(100, 100).astype(np.uint16), 1)
    x, y = pyproj.Transformer.from_crs(4326, 32619, always_xy=True).transform(-71.445, 42.415)
    picture = Backdrop(path, UTM).picture((x - 100, y - 400, x + 100, y + 400), 20, 80)
    assert picture is not None
    rows = picture[:, 10, 0].astype(int)
    assert (np.diff(rows) >= 0).all()
    assert rows[0] < 60
    assert rows[-1] > 190


def test_backdrop_rejects_imagery_without_crs_unless_one_is_assumed(tmp_path: Path) -> None:
    path = write_image(tmp_path / "plain.tif", (1, 2, 3), crs=None)
    with pytest.raises(SceneError, match="--assume-crs"):
        Backdrop(path, UTM)
    backdrop = Backdrop(path, UTM, assume_crs="EPSG:32619")
    assert backdrop.picture((X, Y, X + 10, Y + 10), 5, 5) is not None


def test_picture_uri_is_jpeg_or_png_by_channels() -> None:
    assert picture_uri(np.zeros((4, 4, 3), np.uint8)).startswith("data:image/jpeg;base64,/9j/")
    assert picture_uri(np.zeros((4, 4, 4), np.uint8)).startswith("data:image/png;base64,iVBOR")


TOWN = lines(
    line((0, 0), (900, 0)), line((900, 0), (900, 900)), line((0, 0), (0, 900)),
    line((0, 900), (900, 900)),
)  # fmt: skip


def test_report_page_is_self_contained_and_well_formed(tmp_path: Path) -> None:
    write_image(tmp_path / "scene.tif", (90, 120, 90))
    text = report_page(
        [pair(TOWN, lines(*TOWN[:3], line((100, 300), (400, 500))), name="Straße <b>&.gpkg")],
        options={"buffer_m": 4.0, "speed_field": None},
        image=tmp_path / "scene.tif",
    )
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        for value in (attributes.get("href"), attributes.get("src")):
            assert value is None or value.startswith("data:image/")
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    words = " ".join(page.words)
    assert "Straße <b>&.gpkg, evaluated" in words
    assert "within 4 m" in words
    for kind in KINDS:
        assert kind.text in words
    assert "missed, " in words
    assert "latitude" in words


def test_report_page_shows_lengths_by_class_of_error() -> None:
    text = report_page([pair(TOWN, TOWN[:3])], options={})
    words = Page(text).words
    at = words.index("missing")
    assert words[at + 1 : at + 3] == ["0.894", "24.8%"]  # 3 m at both ends are found


def test_report_page_of_a_perfect_network_has_no_largest_errors() -> None:
    assert "Largest errors" not in report_page([pair(TOWN, TOWN)], options={})
    assert "Largest errors" in report_page([pair(TOWN, NONE)], options={})
    assert "There are no roads here" in report_page([pair(NONE, NONE)], options={})


def test_report_page_outlines_the_area() -> None:
    area = shapely.box(X - 100, Y - 100, X + 500, Y + 500)
    text = report_page([pair(TOWN, TOWN, area=area)], options={})
    assert 'class="area"' in text


def test_report_page_of_many_pairs_shows_the_worst_and_stays_small() -> None:
    shifted = shapely.transform(TOWN, lambda xy: xy + 20)
    pairs = [pair(TOWN, TOWN if at % 2 else shifted, name=f"sheet {at:02}") for at in range(20)]
    text = report_page(pairs, options={})
    assert len(text) < 500_000
    headings = re.findall(r"<h3>(sheet \d+)</h3>", text)
    assert headings == ["sheet 00", "sheet 02", "sheet 04", "sheet 06"]
    assert text.count('scope="row">sheet') == 20
    assert "20 road networks" in text


def test_report_page_of_a_very_large_network_stays_below_5_mb() -> None:
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 8_000, (20_000, 1, 2))
    walks = np.cumsum(rng.normal(0, 25, (20_000, 12, 2)), axis=1)
    wild = np.asarray(shapely.linestrings(starts + walks + (X, Y)))
    pieces = classify_errors(wild[:200], wild[200:400])
    big = type(pieces)(
        truth=type(pieces.truth)(
            wild, np.full(len(wild), "missed"), np.asarray(shapely.length(wild)),
            np.arange(len(wild)), pieces.truth.kinds,
        ),
        proposal=pieces.proposal,
    )  # fmt: skip
    text = report_page([ReportPair("big", {}, big, UTM)], options={})
    assert len(text) < 5_000_000


def test_write_report_replaces_a_file_only_when_asked_and_leaves_nothing_partial(
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        write_report(path, [pair(TOWN, TOWN)], options={})
    with pytest.raises(SceneError):
        write_report(
            path, [pair(TOWN, TOWN)], options={}, image=tmp_path / "no.tif", overwrite=True
        )
    assert path.read_text() == "mine"
    write_report(path, [pair(TOWN, TOWN)], options={}, overwrite=True)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_total_row_sums_relaxed_lengths_and_weights_other_scores_by_truth() -> None:
    one = {
        "relaxed_precision": 1.0, "relaxed_recall": 0.5, "relaxed_f1": 2 / 3, "apls": 0.9,
        "topo_f1": None, "matched_proposal_m": 100.0, "proposal_m": 100.0,
        "matched_truth_m": 50.0, "truth_m": 100.0, "truth_junctions": 3, "rmse_m": 1.0,
        "crs": "EPSG:32619", "truth_length_by_kind_m": {"hit": 50.0, "missed": 50.0},
        "issues": ["x"],
    }  # fmt: skip
    two = one | {
        "relaxed_precision": 0.0, "relaxed_recall": 0.0, "relaxed_f1": 0.0, "apls": 0.1,
        "matched_proposal_m": 0.0, "proposal_m": 300.0, "matched_truth_m": 0.0, "truth_m": 300.0,
        "rmse_m": None, "truth_length_by_kind_m": {"hit": 0.0, "missed": 300.0},
        "crs": "EPSG:32620",
    }  # fmt: skip
    total = total_row([one, two])
    assert total["relaxed_precision"] == 0.25
    assert total["relaxed_recall"] == 0.125
    assert total["relaxed_f1"] == pytest.approx(1 / 6)
    assert total["apls"] == pytest.approx(0.3)
    assert total["topo_f1"] is None
    assert total["rmse_m"] == 1.0
    assert total["truth_junctions"] == 6
    assert (total["truth_hit_m"], total["truth_missed_m"]) == (50, 350)
    assert total["crs"] is None
    assert "issues" not in total
