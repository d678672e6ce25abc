"""Roads and rasters as map tiles."""

from __future__ import annotations

import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning

pytest.importorskip("rio_tiler")

from roadgis.output import write_network
from roadgis.web.raster_tiles import build_overviews, empty_tile, imagery_tile, probability_tile
from roadgis.web.road_tiles import NetworkTiles, open_layer, tile_bounds
from tests.factories.rasters import write_raster
from tests.web.test_networks import X, Y, network

# Area of the test networks: 15 degrees east, at zoom 15.
ZOOM, COLUMN, ROW = 15, 17749, 11786


def layer(tmp_path: Path, *lines: list[tuple[float, float]]) -> NetworkTiles:
    path = tmp_path / "n.gpkg"
    write_network(network(*lines), path, overwrite=True)
    return NetworkTiles(path)


def pixels(data: bytes) -> np.ndarray:
    with warnings.catch_warnings(), rasterio.MemoryFile(data) as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as dataset:
            return dataset.read()


def place(x: float, y: float) -> tuple[int, int]:
    """Return column and row of the tile at a position of the test networks."""
    from pyproj import Transformer

    east, north = Transformer.from_crs(32633, 3857, always_xy=True).transform(X + x, Y + y)
    side = 2 * 20037508.342789244 / 2**ZOOM
    return int((east + 20037508.342789244) // side), int((20037508.342789244 - north) // side)


def test_tile_bounds_of_the_world() -> None:
    west, south, east, north = tile_bounds(0, 0, 0)
    assert (west, south) == (-east, -north)
    assert tile_bounds(1, 1, 0) == (0.0, 0.0, east, north)


def test_road_tile_has_the_edges_that_touch_it(tmp_path: Path) -> None:
    roads = layer(tmp_path, [(10, 10), (200, 10)], [(10, 9000), (200, 9000)])
    column, row = place(100, 10)
    edges = roads.tile(ZOOM, column, row)["edges"]
    assert [edge[:5] for edge in edges] == [[0, 50, 60, 0, 0]]
    xy = np.cumsum(np.array(edges[0][5]).reshape(-1, 2), axis=0)
    west, _, east, north = tile_bounds(ZOOM, column, row)
    world = xy / 4096 * (east - west) * (1, -1) + (west, north)
    expected = shapely.get_coordinates(roads._lines[0])[0]
    np.testing.assert_allclose(world[0], expected, atol=0.3)


def test_road_tile_rounds_halves_up_as_the_table_of_attributes_does(tmp_path: Path) -> None:
    roads = network([(10, 10), (200, 10)])
    half = dataclasses.replace(roads, width_m=np.array([8.25]), confidence=np.array([0.625]))
    write_network(half, tmp_path / "n.gpkg")
    edge = NetworkTiles(tmp_path / "n.gpkg").tile(ZOOM, *place(100, 10))["edges"][0]
    assert edge[1:3] == [63, 83]


def test_road_tile_cuts_an_edge_that_leaves_and_comes_back(tmp_path: Path) -> None:
    # A tile is about 860 m wide here.
    roads = layer(tmp_path, [(10, 10), (2000, 10), (2000, 60), (10, 60)])
    column, row = place(100, 10)
    edges = roads.tile(ZOOM, column, row)["edges"]
    assert [edge[0] for edge in edges] == [0, 0]
    first, second = (np.cumsum(np.array(edge[5]).reshape(-1, 2), axis=0) for edge in edges)
    assert first[0, 0] < first[-1, 0]
    assert second[0, 0] > second[-1, 0]
    assert (first[0, 1] - second[-1, 1]) / 4096 * 860 == pytest.approx(50, abs=3)
    # 8 pixels beyond the east side of the tile.
    assert (first[-1, 0], second[0, 0]) == (4096 + 128, 4096 + 128)


def test_road_tile_without_edges_is_empty(tmp_path: Path) -> None:
    roads = layer(tmp_path, [(10, 10), (200, 10)])
    column, row = place(100, 10)
    assert roads.tile(ZOOM, column + 3, row)["edges"] == []


def test_open_layer_reads_a_network_once_for_many_requests(tmp_path: Path) -> None:
    write_network(network([(10, 10), (200, 10)]), tmp_path / "n.gpkg")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(open_layer(tmp_path / "n.gpkg")), range(8)))
    assert len(found) == 1


def test_road_tile_is_simplified_by_zoom(tmp_path: Path) -> None:
    wave = [(x, 5 * np.sin(x / 20)) for x in np.linspace(10, 1000, 500)]
    roads = layer(tmp_path, wave)
    counts = []
    for zoom in (8, 18):
        scale = 2 ** (zoom - ZOOM)
        column, row = (int(v * scale + scale / 2) for v in place(100, 0))
        tiles = (
            [
                roads.tile(zoom, c, r)["edges"]
                for c in range(column - 8, column + 9)
                for r in range(row - 8, row + 9)
            ]
            if zoom > ZOOM
            else [roads.tile(zoom, column, row)["edges"]]
        )
        counts.append(sum(len(edge[5]) // 2 for tile in tiles for edge in tile))
    assert counts[0] == 2
    assert counts[1] > 50


def test_road_tile_of_very_many_edges_has_one_for_each_pixel(tmp_path: Path) -> None:
    lines = [[(x, y), (x + 5, y)] for x in range(0, 400, 10) for y in range(0, 400, 10)]
    roads = layer(tmp_path, *lines)
    column, row = (int(v / 2**7) for v in place(10, 10))
    found = roads.tile(8, column, row)["edges"]
    assert len(roads) == 1600
    assert len(found) <= 9  # 400 m at 611 m per pixel


def test_doubtful_edges_begin_with_the_least_sure(tmp_path: Path) -> None:
    roads = network([(0, 0), (9, 0)], [(0, 50), (9, 50)], [(0, 70), (9, 70)], [(0, 90), (9, 90)])
    roads = dataclasses.replace(
        roads,
        confidence=np.array([0.9, 0.6, 0.3, 0.95]),
        bridged=np.array([False, False, False, True]),
    )
    write_network(roads, tmp_path / "n.gpkg")
    found = open_layer(tmp_path / "n.gpkg").doubtful()
    assert [(entry["edge"], entry["reason"]) for entry in found] == [
        (2, "confidence"), (1, "confidence"), (3, "bridge"),
    ]  # fmt: skip


def test_probability_tile_is_transparent_where_there_is_none(tmp_path: Path) -> None:
    values = np.full((1, 2000, 2000), 254, np.uint8)
    values[:, :, 1000:] = 0
    path = write_raster(
        tmp_path / "p.tif", values, crs="EPSG:32633", x0=X - 1000, y0=Y + 1000, nodata=255
    )
    column, row = place(0, 0)
    shown = pixels(probability_tile(path, ZOOM, column, row))
    assert shown.shape == (4, 256, 256)
    assert set(np.unique(shown[3])) >= {0, 245}
    assert probability_tile(path, ZOOM, column + 500, row) == empty_tile()


def test_imagery_tile_of_16_bit_is_stretched(tmp_path: Path) -> None:
    values = np.broadcast_to(np.linspace(1000, 3000, 2000).astype(np.uint16), (3, 2000, 2000))
    path = write_raster(tmp_path / "i.tif", values, crs="EPSG:32633", x0=X - 1000, y0=Y + 1000)
    facts = {"inputs": [{"bands_used": [1, 2, 3]}]}
    column, row = place(0, 0)
    shown = pixels(imagery_tile([path], facts, ZOOM, column, row))
    inside = shown[0][shown[3] > 0]
    assert inside.max() - inside.min() > 60


def test_build_overviews_leaves_the_raster_alone(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "big.tif", np.zeros((1, 2100, 2100), np.uint8))
    before = path.read_bytes()
    build_overviews(path, tmp_path / "shown" / "0.vrt")
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big.tif", "shown"]
    with rasterio.open(tmp_path / "shown" / "0.vrt") as dataset:
        assert dataset.overviews(1) == [2, 4, 8]
