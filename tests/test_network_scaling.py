"""What lets cleaning work on large networks: what is far away counts for nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import shapely

import roadgis.network.beside as beside_module
from benchmarks.county_masks import densest, differences, read_sheets, western, write_mosaic
from benchmarks.network_scaling import ArraySource, streets
from roadgis.network.beside import beside
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import clean_network
from roadgis.scene.grid import Grid
from tests.drawings import road
from tests.factories import write_raster


def _on(grid: Grid, lines: Centerlines, down_px: int) -> Centerlines:
    """Return lines moved down, on another grid of the same width."""
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


def test_streets_of_the_benchmark_are_as_traced() -> None:
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


def test_a_network_far_away_changes_nothing() -> None:
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


def _lines(*coordinates: list[tuple[float, float]]) -> npt.NDArray[np.object_]:
    return np.array([shapely.LineString(line) for line in coordinates], object)


def test_lines_beside_each_other_are_told_from_lines_that_meet() -> None:
    shapes = _lines([(0, 0), (100, 0)], [(0, 3), (100, 3)], [(0, 0), (0, 100)], [(50, 4), (250, 4)])
    a, b = np.array([0, 1, 0, 2, 0, 3]), np.array([1, 0, 2, 0, 3, 0])
    distance, aligned = beside(shapes, a, b, np.full(6, 5.0))
    assert aligned.tolist() == [True, True, False, False, False, False]
    assert distance[:2].tolist() == [3.0, 3.0]
    none = np.empty(0, np.int64)
    assert [len(values) for values in beside(shapes, none, none, np.empty(0))] == [0, 0]


@pytest.mark.parametrize("pairs", [1, 3, 50])
def test_pairs_looked_at_in_parts_come_to_the_same(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    bent = np.array([[0, 0], [40, 0], [80, 9]]) + rng.uniform(0, 10, (12, 1, 2))
    shapes = np.asarray(shapely.linestrings(bent), object)
    a, b = np.divmod(np.arange(144), 12)
    limit = rng.uniform(1, 9, 144)
    expected = beside(shapes, a, b, limit)
    assert 0 < expected[1].sum() < 144
    monkeypatch.setattr(beside_module, "_PAIRS", pairs)
    for one, two in zip(beside(shapes, a, b, limit), expected, strict=True):
        assert np.array_equal(one, two)


def test_sheets_with_blanks_between_them_are_one_mosaic(tmp_path: Path) -> None:
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
