"""Cleaning of large networks: distant parts have no effect."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely

from benchmarks.county_masks import densest, differences, read_sheets, western, write_mosaic
from benchmarks.network_scaling import ArraySource, streets
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
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
