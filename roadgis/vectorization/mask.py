"""Road masks of blocks: threshold, raster edges, small gaps, areas too wide to be roads."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Bytes
from roadgis.imagery.grid import Window
from roadgis.network.paths import components
from roadgis.probability.source import NO_DATA, ProbabilitySource
from roadgis.vectorization.bitplanes import WORD, Plane, closed, dilated, eroded, pack
from roadgis.vectorization.radii import Radii

_CELL = 8


class RoadMask(NamedTuple):
    """Road pixels of a window.

    Attributes
    ----------
    window : Window
        Of all arrays; its width is a multiple of 64.
    probability : ndarray of uint8, shape (H, W)
        As read; 255 beyond the grid.
    road : Plane
        Road, and its continuation beyond the grid's edge and into nodata.
    blank : Plane or None
        Nodata within the grid; None where there is none.
    """

    window: Window
    probability: Bytes
    road: Plane
    blank: Plane | None

    def cropped(self, around: Window) -> RoadMask:
        """Return the part within a window, rounded outward to whole words."""
        rows, cols = around.intersection(self.window).slices_in(self.window)
        left, right = cols.start // WORD, -(-cols.stop // WORD)
        top, window = rows.start, self.window
        return RoadMask(
            Window(
                window.row + top, window.col + left * WORD, rows.stop - top, (right - left) * WORD
            ),
            self.probability[rows, left * WORD : right * WORD],
            self.road[rows, left:right],
            None if self.blank is None else self.blank[rows, left:right],
        )


def read_mask(source: ProbabilitySource, core: Window, level: int, radii: Radii) -> RoadMask | None:
    """Read a block with its halo; None when it holds no road.

    Parameters
    ----------
    source : ProbabilitySource
        The raster.
    core : Window
        The block, within the grid.
    level : int
        Lowest stored probability that is road.
    radii : Radii
        Reach of the operations.
    """
    window = core.buffered(radii.halo)
    window = Window(window.row, window.col, window.height, math.ceil(window.width / WORD) * WORD)
    probability = source.read(window)
    # One pass for level <= probability < NO_DATA: smaller values wrap around.
    image = (probability - np.uint8(level)) < np.uint8(NO_DATA - level)
    if not image.any():
        return None
    inside = window.intersection(source.grid.window).slices_in(window)
    _continue_beyond_edges(image, inside, source, window, level, radii)
    missing = probability[inside] == NO_DATA
    blank = None
    if missing.any():
        blank_image = np.zeros(image.shape, bool)
        blank_image[inside] = missing
        blank = pack(blank_image)
    road = closed(pack(image), radii.closing)
    if blank is not None:
        road &= ~blank
        rim = road & dilated(blank, 1.5)
        if rim.any():
            # A narrow wedge of nodata may end at the raster's edge: nothing is known beyond it.
            unknown = np.ones(image.shape, bool)
            unknown[inside] = missing
            road |= dilated(rim, radii.beyond) & pack(unknown)
    return RoadMask(window, probability, without_wide(road, radii), blank)


def _continue_beyond_edges(
    image: Bools,
    inside: tuple[slice, slice],
    source: ProbabilitySource,
    window: Window,
    level: int,
    radii: Radii,
) -> None:
    """Prolong roads that reach the raster's edge, so that thinning does not shorten them.

    Longer stretches of road pixels on the edge than a road is wide belong to roads along
    the edge, which stay as they are.
    """
    grid = source.grid
    rows, cols = inside
    depth, longest = radii.wide + 2, 2 * radii.wide
    high, wide = rows.stop - rows.start, cols.stop - cols.start

    def edge(row: int, col: int, height: int, width: int) -> Bools:
        # Read wider than the window: how long a stretch is must not depend on the window.
        line = source.read(
            Window(row, col - longest, 1, width + 2 * longest)
            if height == 1
            else Window(row - longest, col, height + 2 * longest, 1)
        ).reshape(-1)
        road = (line - np.uint8(level)) < np.uint8(NO_DATA - level)
        return _short_runs(road, longest)[longest:-longest]

    if rows.start > 0:
        line = edge(0, window.col + cols.start, 1, wide)
        image[max(0, rows.start - depth) : rows.start, cols] |= line
    if rows.stop < window.height:
        line = edge(grid.height - 1, window.col + cols.start, 1, wide)
        image[rows.stop : rows.stop + depth, cols] |= line
    if cols.start > 0:
        line = edge(window.row + rows.start, 0, high, 1)
        image[rows, max(0, cols.start - depth) : cols.start] |= line[:, None]
    if cols.stop < window.width:
        line = edge(window.row + rows.start, grid.width - 1, high, 1)
        image[rows, cols.stop : cols.stop + depth] |= line[:, None]


def _short_runs(line: Bools, longest: int) -> Bools:
    """Return a line without its runs that are longer than `longest`."""
    step = np.diff(np.concatenate([[0], line.astype(np.int8), [0]]))
    start, stop = np.flatnonzero(step == 1), np.flatnonzero(step == -1)
    keep = stop - start <= longest
    change = np.zeros(len(line) + 1, np.int64)
    np.add.at(change, start[keep], 1)
    np.add.at(change, stop[keep], -1)
    return np.cumsum(change[:-1]) > 0


def without_wide(road: Plane, radii: Radii) -> Plane:
    """Remove what a disc of the largest road width fits into, and a margin around it.

    An opening, computed only around places where a coarse look finds that the disc may fit.
    """
    out = road
    reach = 2 * radii.wide + radii.wide_margin + 1
    for rows, cols in _may_be_wide(road, radii.wide):
        top, stop = max(0, rows.start - reach), min(len(road), rows.stop + reach)
        left = max(0, cols.start - reach) // WORD
        right = min(road.shape[1], math.ceil((cols.stop + reach) / WORD))
        part = road[top:stop, left:right]
        cores = eroded(part, radii.wide)
        # What lies beyond the part is not known, so discs that reach there are left out: no
        # disc around the place itself does.
        cores[: radii.wide] = 0
        cores[len(cores) - radii.wide :] = 0
        cores &= _away_from_sides(cores.shape[1], radii.wide)
        if cores.any():
            if out is road:
                out = road.copy()
            out[top:stop, left:right] &= ~dilated(cores, radii.wide + radii.wide_margin)
    return out


def _away_from_sides(words: int, px: int) -> Plane:
    line = np.zeros((1, words * WORD), bool)
    line[:, px : words * WORD - px] = True
    return pack(line)


def _may_be_wide(road: Plane, radius: int) -> list[tuple[slice, slice]]:
    """Return pixel boxes; every disc that fits into the mask holds cells of one of them."""
    height, width = len(road), road.shape[1] * WORD
    side = 2 * int(radius / math.sqrt(2)) + 1
    # Cells of a fixed raster that any square of that side holds, whatever its position.
    count = (side - _CELL + 1) // _CELL
    if count < 1:
        return [(slice(0, height), slice(0, width))]
    cells = height // _CELL
    groups = np.bitwise_and.reduce(
        road[: cells * _CELL].reshape(cells, _CELL, road.shape[1]), axis=1
    )
    full = groups.astype("<u8", copy=False).view(np.uint8) == 0xFF
    for _ in range(count - 1):
        full = full[:-1] & full[1:]
    for _ in range(count - 1):
        full = full[:, :-1] & full[:, 1:]
    more = count - 1
    return [
        (slice(top * _CELL, (bottom + more) * _CELL), slice(left * _CELL, (right + more) * _CELL))
        for top, bottom, left, right in connected_boxes(full)
    ]


def connected_boxes(cells: Bools) -> list[list[int]]:
    """Return first row, row after the last, and the same for columns, of each connected group."""
    rows, cols = np.nonzero(cells)
    if not len(rows):
        return []
    number = np.where(cells, np.cumsum(cells).reshape(cells.shape) - 1, -1)
    links = [
        np.stack([before, after], axis=-1)[(before >= 0) & (after >= 0)]
        for before, after in ((number[:, :-1], number[:, 1:]), (number[:-1], number[1:]))
    ]
    label = components(len(rows), np.concatenate(links))
    rank = np.argsort(label, kind="stable")
    rows, cols = rows[rank], cols[rank]
    first = np.flatnonzero(np.diff(label[rank], prepend=-1))
    sides = [
        *(np.minimum.reduceat(rows, first), np.maximum.reduceat(rows, first) + 1),
        *(np.minimum.reduceat(cols, first), np.maximum.reduceat(cols, first) + 1),
    ]
    boxes: list[list[int]] = np.stack(sides, axis=1).tolist()
    return boxes
