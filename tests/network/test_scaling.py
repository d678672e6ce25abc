"""Cleaning of large networks: distant parts have no effect."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from pyproj import CRS

from benchmarks.county_masks import densest, differences, read_sheets, western, write_mosaic
from benchmarks.network_scaling import ArraySource, streets
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import Centerlines, RoadEnds
from roadgis.network.clean import clean_network, cleaned_lines
from roadgis.network.shape.edge_shapes import edge_shapes
from roadgis.options.cleaning import CleanOptions
from roadgis.vectorization.pixel_graph import PixelGraph
from roadgis.vectorization.runs import in_runs
from roadgis.vectorization.trace import trace
from tests.factories.rasters import write_raster
from tests.factories.roads import road


def _on(grid: Grid, lines: Centerlines, down_px: int) -> Centerlines:
    """Return lines shifted down, on another grid of the same width."""
    return dataclasses.replace(
        lines,
        grid=grid,
        row=lines.row + down_px,
        node_row=lines.node_row + down_px,
        key=lines.key + down_px * grid.width,
        node_key=lines.node_key + down_px * grid.width,
    )


def _both(one: Centerlines, two: Centerlines) -> Centerlines:
    """Return two networks as one."""
    names = [
        field.name
        for field in dataclasses.fields(Centerlines)
        if field.name not in ("grid", "strong_level", "offsets", "start", "end", "road_ends")
    ]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name), getattr(two, name)]) for name in names
    }
    nodes = len(one.node_key)
    return dataclasses.replace(
        one,
        start=np.concatenate([one.start, two.start + nodes]),
        end=np.concatenate([one.end, two.end + nodes]),
        offsets=np.concatenate([one.offsets, two.offsets[1:] + one.offsets[-1]]),
        **joined,
    )


def test_benchmark_streets_equal_traced_ones() -> None:
    lines, source = streets(2000)
    assert 1800 < len(lines) < 2200
    assert len(np.unique(lines.key)) == len(lines)
    assert len(np.unique(lines.node_key)) == len(lines.node_key)
    first, last = lines.offsets[:-1], lines.offsets[1:] - 1
    for vertex, node in ((first, lines.start), (last, lines.end)):
        assert np.array_equal(lines.row[vertex], lines.node_row[node])
        assert np.array_equal(lines.col[vertex], lines.node_col[node])
    inside = np.ones(len(lines.row) - 1, bool)
    inside[last[:-1]] = False
    steps = np.maximum(np.abs(np.diff(lines.row)), np.abs(np.diff(lines.col)))
    assert np.array_equal(np.unique(steps[inside]), [1.0])
    assert source.array.shape == (lines.grid.height, lines.grid.width)


def test_clean_network_is_not_changed_by_a_network_far_away() -> None:
    north, source = streets(300, seed=1)
    south, other = streets(300, seed=2)
    size = north.grid.height
    grid = dataclasses.replace(north.grid, height=3 * size)
    array = np.zeros((3 * size, size), np.uint8)
    array[:size], array[2 * size :] = source.array, other.array
    whole = ArraySource(grid, array)
    alone = clean_network(_on(grid, north, 0), source=whole)
    beside_another = clean_network(
        _both(_on(grid, north, 0), _on(grid, south, 2 * size)), source=whole
    )
    here = shapely.bounds(beside_another.edges)[:, 1] > grid.y0 - 1.5 * size * grid.gsd_m
    assert len(alone) == here.sum() < len(beside_another)
    assert alone.bridged.sum() > 3
    assert np.array_equal(alone.bridged, beside_another.bridged[here])
    for name in ("width_m", "confidence", "confidence_min"):
        assert np.array_equal(getattr(alone, name), getattr(beside_another, name)[here]), name
    for one, two in zip(alone.edges, beside_another.edges[here], strict=True):
        assert one.equals_exact(two, 0.0)


def test_vectorize_of_distant_sheets_equals_one_mosaic(tmp_path: Path) -> None:
    whole = road((300, 300), (0, 150, 300, 150, 7), (150, 0, 160, 300, 7)) // 254
    for row in range(3):
        for col in range(3):
            if (row, col) in ((0, 0), (2, 1)):
                continue
            part = whole[row * 100 : row * 100 + 100, col * 100 : col * 100 + 100]
            write_raster(
                tmp_path / f"{row}{col}.tif",
                part[None],
                x0=500_000.5 + 100 * col,
                y0=5_000_000.25 - 100 * row,
            )
    sheets = read_sheets(tmp_path)
    assert [(s.row, s.col) for s in sheets[:3]] == [(0, 0), (0, 100), (100, -100)]
    assert len(western(sheets, 0.25)) == 2
    assert {s.path.stem for s in densest(sheets, 2)} == {"01", "02", "11", "12"}
    mosaic = tmp_path / "mosaic.vrt"
    assert write_mosaic(sheets, mosaic) == 0.09
    with rasterio.open(mosaic) as dataset:
        read = dataset.read(1)
        assert dataset.bounds.left == 500_000.5
        assert dataset.bounds.top == 5_000_000.25
    assert (read[:100, :100] == 255).all()
    assert (read[200:, 100:200] == 255).all()
    assert np.array_equal(read[100:200], whole[100:200])
    edges, different = differences(mosaic, (10_000, 77))
    assert edges == 4
    assert different == []


def _lattice(side: int, spacing: int) -> tuple[Grid, PixelGraph]:
    """Return the skeleton of streets in rows and columns."""
    skeleton = np.zeros((side, side), bool)
    skeleton[spacing // 2 :: spacing] = skeleton[:, spacing // 2 :: spacing] = True
    ids = np.flatnonzero(skeleton)
    right = np.flatnonzero(skeleton & np.roll(skeleton, -1, axis=1) & (np.arange(side) < side - 1))
    below = np.flatnonzero(skeleton[:-1] & skeleton[1:])
    first, step = np.concatenate([right, below]), np.repeat([1, side], [len(right), len(below)])
    return Grid(CRS.from_epsg(32632), 500_000.0, 5_000_000.0, 1.0, side, side), PixelGraph(
        id=ids,
        width_px=np.full(len(ids), 7.0, np.float32),
        d_row=np.zeros(len(ids), np.float32),
        d_col=np.zeros(len(ids), np.float32),
        probability=np.full(len(ids), 250, np.uint8),
        blank_px=np.full(len(ids), np.inf, np.float32),
        exit=np.zeros(len(ids), bool),
        links=np.stack([first, first + step], axis=1),
        ends=RoadEnds.none(),
    )


@contextmanager
def _at_most(bytes_per_pixel: float, pixels: int) -> Iterator[None]:
    """Fail if more memory is held at any time, including what is held now."""
    tracemalloc.reset_peak()
    yield
    assert tracemalloc.get_traced_memory()[1] < bytes_per_pixel * pixels


def test_memory_of_large_networks_is_that_of_two_versions_of_their_lines() -> None:
    grid, graph = _lattice(6000, 100)
    size, edges = len(graph.id), 2 * 60 * 59 + 4 * 60
    # What is loaded or made at first use is not counted.
    clean_network(trace([in_runs(_lattice(300, 100)[1], 300)], grid, 127, (0, 1)))
    tracemalloc.start()
    try:
        parts = [in_runs(graph, grid.width)]
        with _at_most(70, size):
            lines = trace(parts, grid, 127, (0, 1))
        assert len(lines) == edges
        held = [lines]
        del lines
        with _at_most(85, size):
            lines = cleaned_lines(held.pop(), CleanOptions())
        assert len(lines) == edges
        width = np.full(len(lines), 7.0)
        with _at_most(80, size):
            shapes, _ = edge_shapes(lines, width, 1.5, 1.0, vertices_at_once=1 << 14)
    finally:
        tracemalloc.stop()
    assert shapely.get_num_coordinates(shapes).max() == 2
