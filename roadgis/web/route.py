"""A missing road between two clicks: the path of highest probability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from roadgis.affine import mapped
from roadgis.errors import InputError
from roadgis.imagery.grid import Window
from roadgis.network.bridging.path import step_costs
from roadgis.probability.raster import open_probability
from roadgis.probability.source import NO_DATA

#: Most cells that the path is looked for in; larger windows are read at a coarser step.
_CELLS = 400_000
#: Standard deviation of the smoothing along the path, and largest deviation when it is
#: simplified, in cells.
_SMOOTH, _SIMPLE = 2.0, 0.6
_LONLAT = CRS.from_epsg(4326)
_MOVES = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 2**0.5), (1, -1, 2**0.5))


def route(
    probability: Path, start: tuple[float, float], end: tuple[float, float]
) -> list[list[float]]:
    """Find the path of highest probability between two places.

    Parameters
    ----------
    probability : Path
        A probability raster, or the work directory of a run.
    start, end : tuple of float
        Longitude and latitude.

    Returns
    -------
    list of [lon, lat]
        From `start` to `end`.

    Raises
    ------
    InputError
        If a place lies outside of the imagery.
    """
    with open_probability(probability) as source:
        grid = source.grid
        there = Transformer.from_crs(_LONLAT, grid.crs, always_xy=True)
        x, y = there.transform([start[0], end[0]], [start[1], end[1]])
        into = ~grid.transform
        ends = [mapped(into, *place) for place in zip(x, y, strict=True)]
        for col, row in ends:
            if not (0 <= row < grid.height and 0 <= col < grid.width):
                raise InputError("A road begins and ends on the imagery. Click inside of it.")
        rows = sorted(int(row) for _, row in ends)
        cols = sorted(int(col) for col, _ in ends)
        margin = 40 + max(rows[1] - rows[0], cols[1] - cols[0]) // 3
        top, left = max(rows[0] - margin, 0), max(cols[0] - margin, 0)
        height = min(rows[1] + margin + 1, grid.height) - top
        width = min(cols[1] + margin + 1, grid.width) - left
        if height * width > 64_000_000:
            raise InputError("The two clicks are too far apart. Draw the road in parts.")
        stored = source.read(Window(top, left, height, width))
    step = int(np.ceil((height * width / _CELLS) ** 0.5))
    cells = _coarser(stored, step)
    first, last = (
        (min(int(row - top) // step, cells.shape[0] - 1),
         min(int(col - left) // step, cells.shape[1] - 1))
        for col, row in ends
    )  # fmt: skip
    path = _cheapest(cells, first, last)
    line = _smooth(path) * step + step / 2
    line[0], line[-1] = (
        (ends[0][1] - top, ends[0][0] - left),
        (ends[1][1] - top, ends[1][0] - left),
    )
    shape = shapely.simplify(shapely.linestrings(line), _SIMPLE * step)
    row, col = shapely.get_coordinates(shape).T
    x, y = mapped(grid.transform, col + left, row + top)
    lon, lat = there.transform(x, y, direction="INVERSE")
    return [[round(float(a), 7), round(float(b), 7)] for a, b in zip(lon, lat, strict=True)]


def _coarser(stored: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Return the highest probability of each cell of `step` by `step` pixels."""
    if step == 1:
        return stored
    height, width = (-(-side // step) * step for side in stored.shape)
    known = np.where(stored == NO_DATA, 0, stored)
    padded = np.pad(known, ((0, height - stored.shape[0]), (0, width - stored.shape[1])))
    out: npt.NDArray[np.uint8] = padded.reshape(height // step, step, width // step, step).max(
        axis=(1, 3)
    )
    return out


def _cheapest(
    cells: npt.NDArray[np.uint8], first: tuple[int, int], last: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return rows and columns of the cheapest path, (V, 2)."""
    if first == last:
        return np.array([first, last], np.float64)
    cost = step_costs()[cells].astype(np.float64)
    number = np.arange(cells.size).reshape(cells.shape)
    a: list[Any] = []
    b: list[Any] = []
    weight: list[Any] = []
    for d_row, d_col, length in _MOVES:
        rows, cols = cells.shape
        here = (slice(0, rows - d_row), slice(max(-d_col, 0), cols - max(d_col, 0)))
        there = (slice(d_row, None), slice(max(d_col, 0), cols + min(d_col, 0)))
        a.append(number[here].ravel())
        b.append(number[there].ravel())
        weight.append((length * (cost[here] + cost[there]) / 2).ravel())
    edges = coo_array(
        (np.concatenate(weight), (np.concatenate(a), np.concatenate(b))),
        shape=(cells.size, cells.size),
    ).tocsr()
    begin, goal = int(number[first]), int(number[last])
    _, came = dijkstra(edges, directed=False, indices=[begin], return_predecessors=True)
    path = [goal]
    while path[-1] != begin:
        path.append(int(came[0, path[-1]]))
    return np.stack(np.divmod(np.array(path[::-1]), cells.shape[1]), axis=1).astype(np.float64)


def _smooth(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out: npt.NDArray[np.float64] = gaussian_filter1d(path, _SMOOTH, axis=0, mode="nearest")
    return out
