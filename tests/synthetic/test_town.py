"""Synthetic towns: exact truth, reproducible."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from roadgis.errors import InputError, OutputError
from roadgis.imagery.grid import Window
from roadgis.options.synthetic import TownOptions
from roadgis.synthetic import Town, make_town, write_large_town, write_town
from roadgis.synthetic.layout import Layout
from roadgis.synthetic.noise import Frame, smooth_noise, white_noise

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = TownOptions(width_px=250, height_px=220)


@pytest.fixture(scope="module")
def town() -> Town:
    """Return one tile, cached."""
    return make_town(SMALL)


@pytest.fixture(scope="module")
def wide() -> Town:
    """Return a larger town, as geometry only."""
    return make_town(TownOptions(width_px=3000, height_px=2500))


def in_pixels(town: Town) -> npt.NDArray[np.object_]:
    """Return the centrelines in (column, row) of pixel corners."""
    grid = town.grid
    return shapely.transform(
        town.centerlines.edges,
        lambda xy: (xy - [grid.x0, grid.y0]) * [1, -1] / grid.gsd_m,
    )


def test_make_town_is_reproducible(town: Town) -> None:
    again = make_town(SMALL)
    np.testing.assert_array_equal(town.image, again.image)
    np.testing.assert_array_equal(town.road_mask, again.road_mask)
    assert (shapely.to_wkb(town.centerlines.edges) == shapely.to_wkb(again.centerlines.edges)).all()


def test_make_town_differs_between_seeds(town: Town) -> None:
    other = make_town(dataclasses.replace(SMALL, seed=SMALL.seed + 1))
    assert (town.road_mask != other.road_mask).any()


def test_town_image_has_daylight_colours(town: Town) -> None:
    assert town.image.shape == (220, 250, 3)
    assert town.image.dtype == np.uint8
    assert 60 < town.image.mean() < 130
    assert town.image.std() > 25


@settings(max_examples=8)
@given(st.integers(0, 210), st.integers(0, 240), st.integers(1, 60), st.integers(1, 60))
def test_town_render_windows_equal_parts_of_the_whole(
    town: Town, row: int, col: int, height: int, width: int
) -> None:
    window = Window(row, col, min(height, 220 - row), min(width, 250 - col))
    part = np.s_[window.row : window.row + window.height, window.col : window.col + window.width]
    np.testing.assert_array_equal(town.render(window), town.image[part])
    np.testing.assert_array_equal(town.render_mask(window), town.road_mask[part])


def test_town_render_has_no_seams() -> None:
    """Differences across the tile border are like those next to it, in mean and maximum."""
    seam = make_town(TownOptions(noise=0)).render(Window(0, 224, 256, 64)).astype(float)
    steps = np.abs(np.diff(seam, axis=1)).mean(axis=(0, 2))
    beside = np.delete(steps, 31)
    assert beside.min() * 0.8 < steps[31] < beside.max() * 1.2


def test_town_render_continues_beyond_the_grid(town: Town) -> None:
    assert town.render(Window(-20, 10, 20, 30)).shape == (20, 30, 3)


def test_town_centerlines_lie_on_asphalt(town: Town) -> None:
    lines = in_pixels(town)
    points = shapely.get_coordinates(shapely.segmentize(lines, 1.0))
    inside = ((points > 0) & (points < [250, 220])).all(axis=1)
    cols, rows = points[inside].astype(int).T
    assert inside.sum() > 300
    assert town.road_mask[rows, cols].all()


def test_town_asphalt_has_the_width_of_the_centerlines(wide: Town) -> None:
    """Half the width to the left is road; a metre more is not, away from junctions."""
    network = wide.centerlines
    mask = wide.render_mask(Window(0, 0, 700, 700))
    lines = in_pixels(wide)
    found = []
    for k in np.flatnonzero(shapely.length(lines) > 120):
        middle = shapely.line_interpolate_point(lines[k], [0.5, 0.505], normalized=True)
        (x, y), (x1, y1) = shapely.get_coordinates(middle)
        if not (20 < x < 680 and 20 < y < 680):
            continue
        normal = np.array([-(y1 - y), x1 - x]) / np.hypot(x1 - x, y1 - y)
        reach = np.arange(-12, 12, 0.25)
        cols, rows = (np.array([x, y]) + reach[:, None] * normal).astype(int).T
        found.append((mask[rows, cols].sum() * 0.25, network.width_m[k]))
    measured, said = np.array(found).T
    assert len(found) >= 8
    assert np.median(np.abs(measured - said)) <= 1.0
    assert set(np.unique(network.width_m)) <= {6.0, 6.5, 7.5, 8.0, 9.0, 10.0, 12.0}
    assert len(np.unique(network.width_m)) >= 5


def test_town_centerlines_meet_in_nodes_only(wide: Town) -> None:
    """Edges cross or touch only at a node that ends both."""
    network = wide.centerlines
    tree = shapely.STRtree(network.edges)
    first, second = tree.query(network.edges, predicate="intersects")
    pair = first < second
    first, second = first[pair], second[pair]
    meeting = shapely.intersection(network.edges[first], network.edges[second])
    points, index = shapely.get_coordinates(meeting, return_index=True)
    for ends in (network.start, network.end):
        assert len(ends) == len(network)
    for point, k in zip(points, index, strict=True):
        nodes = {
            int(end)
            for edge in (first[k], second[k])
            for end in (network.start[edge], network.end[edge])
        }
        gaps = np.hypot(*(network.nodes[sorted(nodes)] - point).T)
        assert gaps.min() < 0.02


def test_town_edges_end_exactly_in_their_nodes(wide: Town) -> None:
    network = wide.centerlines
    start = shapely.get_coordinates(shapely.get_point(network.edges, 0))
    end = shapely.get_coordinates(shapely.get_point(network.edges, -1))
    assert np.abs(start - network.nodes[network.start]).max() < 0.01
    assert np.abs(end - network.nodes[network.end]).max() < 0.01


def test_town_junctions_have_the_expected_degrees(wide: Town) -> None:
    """T and X junctions and dead ends; degree 2 only where the width changes."""
    network = wide.centerlines
    count = np.bincount(network.degree, minlength=5)
    assert count[0] == 0
    assert count[1] > 50
    assert count[3] > 100
    assert count[4] > 50
    assert count[5:].sum() == 0
    for node in np.flatnonzero(network.degree == 2):
        at = (network.start == node) | (network.end == node)
        assert len(np.unique(network.width_m[at])) == 2


def test_town_roundabouts_are_rings_of_junctions(wide: Town) -> None:
    network = wide.centerlines
    rings = np.flatnonzero(network.width_m == 8.0)
    assert len(rings) >= 3
    assert (network.degree[network.start[rings]] >= 3).mean() > 0.8


def test_town_dead_ends_are_longer_than_the_road_width(wide: Town) -> None:
    network, grid = wide.centerlines, wide.grid
    frame = shapely.box(*grid.bounds).exterior
    inner = shapely.distance(shapely.points(network.nodes), frame) > 0.01
    loose = (network.degree == 1) & inner
    edges = loose[network.start] | loose[network.end]
    assert edges.sum() > 20
    assert shapely.length(network.edges[edges]).min() > 3.9


def test_town_centerlines_stay_inside_the_grid(wide: Town) -> None:
    west, south, east, north = shapely.total_bounds(wide.centerlines.edges)
    left, bottom, right, top = wide.grid.bounds
    assert left - 1e-6 <= west
    assert bottom - 1e-6 <= south
    assert east <= right + 1e-6
    assert north <= top + 1e-6


def test_town_centerlines_of_a_part_equal_the_part(town: Town, wide: Town) -> None:
    frame = shapely.box(*town.grid.bounds)
    wide_frame = shapely.box(*wide.grid.bounds)
    part = shapely.union_all(wide.centerlines.edges).intersection(frame.intersection(wide_frame))
    own = shapely.union_all(town.centerlines.edges).intersection(frame.intersection(wide_frame))
    assert own.length == pytest.approx(part.length, abs=3.0)
    assert own.hausdorff_distance(part) < 6.0


def test_repeating_town_repeats_its_roads() -> None:
    layout = Layout(TownOptions(repeating=True))
    here = layout.roads((100, 100, 700, 700))
    there = layout.roads((100 + 1536, 100 + 3072, 700 + 1536, 700 + 3072))
    assert len(here) == len(there) > 10
    for a, b in zip(here, there, strict=True):
        moved = shapely.transform(b.line, lambda xy: xy - [1536.0, 3072.0])
        assert moved.hausdorff_distance(a.line) < 1e-6
        assert a.width_m == b.width_m


@pytest.mark.parametrize("scale_m", [1.0, 16.0, 64.0])
def test_noise_is_periodic_in_a_repeating_town(scale_m: float) -> None:
    a = Frame(row=-5, col=40, rows=30, cols=20, step_m=0.5, seed=3, wrap_m=1536.0)
    b = dataclasses.replace(a, row=-5 + 3072, col=40 - 3072)
    np.testing.assert_allclose(smooth_noise(a, scale_m, 1), smooth_noise(b, scale_m, 1), atol=1e-5)
    np.testing.assert_array_equal(white_noise(a, 1), white_noise(b, 1))


def test_noise_has_unit_deviation_and_no_mean() -> None:
    frame = Frame(row=0, col=0, rows=512, cols=512, step_m=1.0, seed=1)
    for noise in (white_noise(frame, 5), smooth_noise(frame, 4.0, 6)):
        assert abs(float(noise.mean())) < 0.05
        assert float(noise.std()) == pytest.approx(1.0, abs=0.08)


def test_write_town_image_is_georeferenced_and_equal(town: Town, tmp_path: Path) -> None:
    lossless = make_town(dataclasses.replace(SMALL, jpeg_quality=0))
    path = tmp_path / "town.tif"
    write_town(lossless, path)
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == 32619
        assert dataset.transform == town.grid.transform
        assert dataset.block_shapes == [(256, 256)] * 3
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, 2), town.image)
    assert [p.name for p in tmp_path.iterdir()] == ["town.tif"]


def test_write_town_jpeg_changes_little(town: Town, tmp_path: Path) -> None:
    write_town(town, tmp_path / "town.tif")
    with rasterio.open(tmp_path / "town.tif") as dataset:
        written = np.moveaxis(dataset.read(), 0, 2).astype(int)
        assert dataset.compression.name == "jpeg"
    assert np.abs(written.mean(2) - town.image.mean(2)).mean() < 6


def test_write_town_truth_is_rfc_7946_and_equal(town: Town, tmp_path: Path) -> None:
    write_town(town, tmp_path / "town.tif", tmp_path / "roads.geojson")
    text = (tmp_path / "roads.geojson").read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document
    back = Transformer.from_crs(CRS.from_epsg(4326), town.grid.crs, always_xy=True)
    assert len(document["features"]) == len(town.centerlines) > 5
    for k, feature in enumerate(document["features"]):
        assert feature["properties"]["width_m"] == town.centerlines.width_m[k]
        lonlat = np.array(feature["geometry"]["coordinates"])
        assert np.array_equal(lonlat, np.round(lonlat, 7))
        assert -180 <= lonlat[:, 0].min() <= lonlat[:, 0].max() < -60
        xy = np.stack(back.transform(*lonlat.T), -1)
        assert np.abs(xy - shapely.get_coordinates(town.centerlines.edges[k])).max() < 0.02


def test_write_town_is_reproducible(town: Town, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_town(town, tmp_path / f"{name}.tif", tmp_path / f"{name}.geojson")
    for suffix in (".tif", ".geojson"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("existing", ["town.tif", "roads.geojson"])
def test_write_town_keeps_existing_files(town: Town, tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_town(town, tmp_path / "town.tif", tmp_path / "roads.geojson")
    assert [p.name for p in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"
    write_town(town, tmp_path / "town.tif", tmp_path / "roads.geojson", overwrite=True)
    assert (tmp_path / existing).stat().st_size > 100


def test_write_town_failure_leaves_no_file(town: Town, tmp_path: Path) -> None:
    class Stop(RuntimeError):
        pass

    def stop(fraction: float, message: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        write_town(town, tmp_path / "town.tif", tmp_path / "roads.geojson", progress=stop)
    assert not list(tmp_path.iterdir())


def test_write_town_names_a_missing_folder(town: Town, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_town(town, tmp_path / "nowhere" / "town.tif")


def test_write_town_rejects_a_folder_as_output(town: Town, tmp_path: Path) -> None:
    (tmp_path / "town.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_town(town, tmp_path / "town.tif", overwrite=True)


def test_write_town_rejects_other_suffixes(town: Town, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected \.tif"):
        write_town(town, tmp_path / "town.png")


def test_write_large_town_repeats_its_picture(tmp_path: Path) -> None:
    """At 3 m a period is one tile, so this is quick; the second period repeats the first."""
    options = TownOptions(width_px=600, height_px=512, gsd_m=3.0, jpeg_quality=0)
    write_large_town(options, tmp_path / "large.tif")
    with rasterio.open(tmp_path / "large.tif") as dataset:
        pixels = dataset.read()
    np.testing.assert_array_equal(pixels[:, :, :88], pixels[:, :, 512:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width_px", 0),
        ("height_px", -1),
        ("gsd_m", 0.0),
        ("gsd_m", float("nan")),
        ("seed", -1),
        ("jpeg_quality", 101),
        ("sun_elevation_deg", 5.0),
    ],
)
def test_town_options_name_values_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        TownOptions(**{name: value})


def test_town_options_repeating_needs_a_suitable_pixel_size() -> None:
    with pytest.raises(InputError, match=r"0\.7 m"):
        TownOptions(gsd_m=0.7, repeating=True)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2249", "nonsense"])
def test_make_town_needs_a_metric_crs(crs: str) -> None:
    with pytest.raises(InputError, match="metres"):
        make_town(TownOptions(crs=crs))


def test_make_town_without_trees() -> None:
    """Without trees more asphalt is visible: roads are brighter."""
    window = Window(0, 0, 256, 256)
    bare = make_town(TownOptions(tree_density=0.0))
    grown = make_town(TownOptions(tree_density=1.5))
    mask = bare.render_mask(window)
    assert bare.render(window)[mask].mean() > grown.render(window)[mask].mean() + 5


class TestExample:
    """The files in examples/ are made with the defaults."""

    def test_example_scene_is_small_and_georeferenced(self) -> None:
        path = EXAMPLES / "town.tif"
        assert path.stat().st_size < 2_000_000
        with rasterio.open(path) as dataset:
            assert dataset.crs.to_epsg() == 32619
            assert dataset.res == (1.0, 1.0)
            assert dataset.shape == (1400, 1400)

    def test_example_truth_is_that_of_the_default_town(self, tmp_path: Path) -> None:
        from roadgis.output import write_network

        write_network(make_town().centerlines, tmp_path / "truth.geojson")
        fresh = json.loads((tmp_path / "truth.geojson").read_text(encoding="utf-8"))
        stored = json.loads((EXAMPLES / "town_roads.geojson").read_text(encoding="utf-8"))
        assert len(fresh["features"]) == len(stored["features"])
        for a, b in zip(fresh["features"], stored["features"], strict=True):
            assert a["properties"]["width_m"] == b["properties"]["width_m"]
            # Other versions of GEOS may round differently.
            assert a["properties"]["length_m"] == pytest.approx(
                b["properties"]["length_m"], abs=0.1
            )

    def test_example_picture_is_that_of_the_default_town(self) -> None:
        window = Window(0, 0, 256, 256)
        with rasterio.open(EXAMPLES / "town.tif") as dataset:
            stored = np.moveaxis(dataset.read(window=((0, 256), (0, 256))), 0, 2)
        fresh = make_town().render(window).astype(int)
        assert np.abs(fresh.mean(2) - stored.mean(2)).mean() < 6
