"""Blocks and tiles partition their extent, and tiles lie on the stride of the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadgis.imagery.grid import Window
from roadgis.probability.tiling import blocks, tiles


def test_blocks_come_row_by_row_and_end_at_the_rasters_edge() -> None:
    assert blocks(5, 7, 4) == [
        Window(0, 0, 4, 4),
        Window(0, 4, 4, 3),
        Window(4, 0, 1, 4),
        Window(4, 4, 1, 3),
    ]


def test_blocks_of_a_raster_without_pixels_are_empty() -> None:
    assert blocks(0, 7, 4) == []


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 120))
def test_blocks_cover_every_pixel_once(height: int, width: int, block: int) -> None:
    seen = np.zeros((height, width), int)
    for core in blocks(height, width, block):
        seen[core.row : core.row + core.height, core.col : core.col + core.width] += 1
    assert (seen == 1).all()


@given(
    row=st.integers(-100, 100),
    col=st.integers(-100, 100),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    stride=st.sampled_from([1, 2, 8, 32]),
    tile=st.integers(1, 6),
    margin=st.integers(0, 70),
)
def test_tiles_partition_the_core_on_the_stride_with_their_margin_cropped(
    row: int, col: int, height: int, width: int, stride: int, tile: int, margin: int
) -> None:
    core = Window(row, col, height, width)
    tile_px = tile * stride + 2 * -(-margin // stride) * stride
    seen = np.zeros((height, width), int)
    for window, (rows, cols) in tiles(core, tile_px, margin, stride):
        assert (window.height, window.width) == (tile_px, tile_px)
        assert window.row % stride == 0 == window.col % stride
        for part in (rows, cols):
            assert margin <= part.start < part.stop <= tile_px - margin
        top, left = window.row + rows.start - row, window.col + cols.start - col
        assert top >= 0 <= left
        kept = seen[top : top + rows.stop - rows.start, left : left + cols.stop - cols.start]
        assert kept.shape == (rows.stop - rows.start, cols.stop - cols.start)
        kept += 1
    assert (seen == 1).all()


@given(
    row=st.integers(-100, 100),
    col=st.integers(-100, 100),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    around=st.tuples(*[st.integers(-60, 60)] * 2, *[st.integers(0, 90)] * 2),
    stride=st.sampled_from([1, 2, 8, 32]),
    tile=st.integers(1, 6),
    margin=st.integers(0, 70),
)
def test_tiles_partition_a_window_and_include_their_surroundings(
    row: int,
    col: int,
    height: int,
    width: int,
    around: tuple[int, int, int, int],
    stride: int,
    tile: int,
    margin: int,
) -> None:
    core = Window(row, col, height, width)
    within = Window(row + around[0], col + around[1], height + around[2], width + around[3])
    tile_px = tile * stride + 2 * -(-margin // stride) * stride
    seen = np.zeros((height, width), int)
    for window, (rows, cols) in tiles(core, tile_px, margin, stride, within=within):
        top, left = window.row + rows.start, window.col + cols.start
        seen[
            top - row : top - row + rows.stop - rows.start,
            left - col : left - col + cols.stop - cols.start,
        ] += 1
        for start, size, kept, first, length in (
            (window.row, window.height, rows, within.row, within.height),
            (window.col, window.width, cols, within.col, within.width),
        ):
            assert start % stride == 0 == size % stride
            assert 0 <= kept.start < kept.stop <= size <= tile_px
            # The kept part is surrounded by the margin, unless the window ends before.
            assert start <= max(start + kept.start - margin, first)
            assert start + size >= min(start + kept.stop + margin, first + length)
            assert first - stride < start
            assert start + size < first + length + stride
    wanted = np.zeros_like(seen)
    below, right = (max(0, around[0]), max(0, around[1]))
    wanted[
        below : max(0, within.row + within.height - row),
        right : max(0, within.col + within.width - col),
    ] = 1
    np.testing.assert_array_equal(seen, wanted)


def test_tiles_of_a_raster_in_one_tile_have_no_margin() -> None:
    raster = Window(0, 0, 1500, 1500)
    assert list(tiles(raster, 2816, 256, 16, within=raster)) == [
        (Window(0, 0, 1504, 1504), (slice(0, 1500), slice(0, 1500)))
    ]


def test_tiles_of_a_core_beyond_the_window_are_empty() -> None:
    assert not list(tiles(Window(64, 0, 64, 64), 128, 32, 32, within=Window(0, 0, 64, 64)))


def test_tiles_of_a_core_on_the_stride_are_as_few_as_possible() -> None:
    assert len(list(tiles(Window(64, 128, 256, 256), 256, 64, 32))) == 4


@pytest.mark.parametrize(("tile", "margin", "stride"), [(64, 32, 32), (100, 0, 32), (64, 0, 0)])
def test_tiles_smaller_than_their_margins_or_off_the_stride_are_rejected(
    tile: int, margin: int, stride: int
) -> None:
    with pytest.raises(ValueError, match="expected"):
        list(tiles(Window(0, 0, 10, 10), tile, margin, stride))


def test_blocks_without_extent_are_rejected() -> None:
    with pytest.raises(ValueError, match="block_px is 0"):
        blocks(10, 10, 0)
