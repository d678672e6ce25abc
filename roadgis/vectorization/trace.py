"""From skeletons to lines: the runs of all blocks, joined by pixel id and traced."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Floats, Ints, Singles, first_of_each
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import Centerlines, concatenated_ranges, ranges_in_portions
from roadgis.network.paths import components
from roadgis.vectorization.pixel_graph import PixelGraph
from roadgis.vectorization.runs import (
    RunPaths,
    Runs,
    kept,
    links_of_sites,
    passed_pixels,
    run_paths,
    stitched,
)


def trace(parts: list[Runs], grid: Grid, strong_level: int, rim: tuple[int, int]) -> Centerlines:
    """Trace a skeleton into lines between junctions and ends.

    Pixels with three links or more are junctions; those that touch are one node, at their
    middle. Rings without a junction, rings with one node and several lines between the
    same two nodes all stay.

    Parameters
    ----------
    parts : list of Runs
        Of all blocks, in any order. Emptied.
    grid : Grid
        Grid of the pixels.
    strong_level : int
        Kept in the result.
    rim : tuple of int
        Lines along nodata nearer than the first are dropped; their direction is taken
        over the second to both sides. Pixels.
    """
    runs = stitched(parts)
    passed = passed_pixels(runs, links_of_sites(runs))
    found = _traced(runs, grid)
    if np.isfinite(runs.pixels.blank_px).any():
        keep = np.ones(len(passed), bool)
        keep[found.pixel[_along_rim(found, runs.pixels, grid, rim)]] = False
        if not keep.all():
            del found
            runs, passed = kept(runs, keep), passed[keep]
            found = _traced(runs, grid)
    pixels = runs.pixels
    start, end, nodes = _nodes(found, pixels, passed, grid)
    road_ends = pixels.ends
    names = ("id", "d_row", "d_col", "width_px", "probability")
    columns = {name: getattr(pixels, name) for name in names}
    del pixels, runs
    lines = Centerlines(
        grid=grid,
        strong_level=strong_level,
        start=start,
        end=end,
        key=found.lowest,
        bridged=np.zeros(len(start), bool),
        offsets=found.offsets,
        **_values_at(columns, found.pixel, grid.width),
        **nodes,
        road_ends=road_ends,
    )
    for vertex, of, joins in (
        (lines.offsets[:-1], start, found.at_start),
        (lines.offsets[1:] - 1, end, found.at_stop),
    ):
        lines.row[vertex], lines.col[vertex] = lines.node_row[of], lines.node_col[of]
        lines.d_row[vertex[joins >= 0]], lines.d_col[vertex[joins >= 0]] = np.nan, np.nan
    return lines


def _nodes(
    found: _Traced, pixels: PixelGraph, passed: Bools, grid: Grid
) -> tuple[Ints, Ints, dict[str, Any]]:
    """Return the nodes at which lines start and end, (E,) each, and the values of the nodes."""
    # Nodes are named by pixels at which the lines end.
    node = np.concatenate([found.pixel[found.offsets[:-1]], found.pixel[found.offsets[1:] - 1]])
    _, where, position = np.unique(pixels.id[node], return_index=True, return_inverse=True)
    at, number = node[where], np.concatenate([found.at_start, found.at_stop])[where]
    junction = np.flatnonzero(number >= 0)
    row, col = (x.astype(np.float64) for x in np.divmod(pixels.id[at], grid.width))
    width, leaves = pixels.width_px[at], pixels.exit[at]
    middle = found.junctions
    own: list[tuple[Any, Any]] = [
        (row, middle.row),
        (col, middle.col),
        (width, middle.width_px),
        (leaves, middle.exit),
    ]
    for values, of_junctions in own:
        values[junction] = of_junctions[number[junction]]
    start, end = np.split(position.reshape(-1).astype(np.int64), 2)
    return (
        start,
        end,
        {
            "node_key": pixels.id[at],
            "node_row": row,
            "node_col": col,
            "node_width_px": width,
            "node_shortening_px": np.where(passed[at], np.float32(0), _reach(pixels, at)),
            "node_leaves_raster": leaves,
            "node_nodata_distance_px": pixels.blank_px[at],
        },
    )


class _Junctions(NamedTuple):
    """Pixels with three links or more; J nodes of pixels that touch.

    Attributes
    ----------
    number : ndarray of int64, shape (R,)
        Node of each run, -1 for runs that are not a junction.
    pixel : ndarray of int64, shape (J,)
        Pixel of the node with the lowest id.
    row, col : ndarray of float64, shape (J,)
        Middle of its pixels.
    width_px : ndarray of float32, shape (J,)
        Largest width.
    exit : ndarray of bool, shape (J,)
        Whether any of them leaves the raster.
    """

    number: Ints
    pixel: Ints
    row: Floats
    col: Floats
    width_px: Singles
    exit: Bools


def _junctions(runs: Runs, links: Ints, junction: Bools, grid: Grid) -> _Junctions:
    """Join the junctions that touch; `links` are those between sites of junctions."""
    pixels = runs.pixels
    members = np.flatnonzero(junction)
    number = np.full(len(junction), -1)
    number[members] = np.arange(len(members))
    label = components(len(members), number[links].astype(np.int32))
    at = runs.first[members]
    rank = np.lexsort([pixels.id[at], label])
    members, label, at = members[rank], label[rank], at[rank]
    begin = np.flatnonzero(first_of_each(label))
    number[members] = label
    row, col = np.divmod(pixels.id[at], grid.width)
    size = np.diff(np.append(begin, len(at)))
    if not len(at):
        none = np.empty(0)
        return _Junctions(number, begin, none, none, pixels.width_px[:0], junction[:0])
    return _Junctions(
        number,
        at[begin],
        np.add.reduceat(row, begin) / size,
        np.add.reduceat(col, begin) / size,
        np.maximum.reduceat(pixels.width_px[at], begin),
        np.logical_or.reduceat(pixels.exit[at], begin),
    )


class _Traced(NamedTuple):
    """Lines between junctions and ends as pixels; E lines, V vertices.

    Attributes
    ----------
    pixel : ndarray of int32, shape (V,)
        Pixel of each vertex.
    offsets : ndarray of int64, shape (E + 1,)
        Line e has the vertices ``offsets[e]:offsets[e + 1]``.
    lowest : ndarray of int64, shape (E,)
        Lowest pixel id outside junctions.
    at_start, at_stop : ndarray of int64, shape (E,)
        Junction at which it starts and stops, -1 where there is none.
    junctions : _Junctions
        The junctions.
    """

    pixel: npt.NDArray[np.int32]
    offsets: Ints
    lowest: Ints
    at_start: Ints
    at_stop: Ints
    junctions: _Junctions


def _traced(runs: Runs, grid: Grid) -> _Traced:
    """Join runs into lines between junctions and ends."""
    count, links = len(runs.first), links_of_sites(runs)
    junction = np.bincount(links.ravel(), minlength=2 * count)[:count] > 2
    inner = junction[links % max(count, 1)]
    junctions = _junctions(runs, links[inner.all(axis=1)], junction, grid)
    paths = run_paths(runs, links[~inner.any(axis=1)], ~junction)
    begin, stop = paths.order[paths.offsets[:-1]], paths.order[paths.offsets[1:] - 1]
    long = runs.last > runs.first
    first = np.where(paths.flip[begin] & long[begin], count + begin, begin)
    last = np.where(paths.flip[stop] | ~long[stop], stop, count + stop)
    mixed = links[inner.sum(axis=1) == 1]
    at_start, at_stop = _ends(mixed, junctions, runs.pixels.id, count, first, last)
    single = first == last
    alone = single & (at_start < 0)
    pinched = single & (at_start >= 0) & (at_start == at_stop)
    keep = np.flatnonzero(~(alone | pinched))
    at_start, at_stop, closed = at_start[keep], at_stop[keep], paths.closed[keep]
    pixel, offsets = _vertices(runs, paths, keep, junctions.pixel, at_start, at_stop)
    for low, high in zip(offsets[:-1][closed], offsets[1:][closed], strict=True):
        _start_at_lowest(pixel[low:high], runs.pixels.id)
    return _Traced(pixel, offsets, paths.lowest[keep], at_start, at_stop, junctions)


def _reach(pixels: PixelGraph, at: Ints) -> Singles:
    """Return how far the road reaches beyond some pixels at which lines end."""
    reach: Singles = (pixels.width_px[at] / 2).astype(np.float32)
    known = pixels.ends.id
    if len(known):
        number = np.minimum(np.searchsorted(known, pixels.id[at]), len(known) - 1)
        measured = known[number] == pixels.id[at]
        reach[measured] = pixels.ends.reach_px[number[measured]]
    return reach


def _ends(
    links: Ints, nodes: _Junctions, ids: Ints, count: int, first: Ints, last: Ints
) -> tuple[Ints, Ints]:
    """Return the junctions at which paths start and stop, -1 where there is none.

    `links` are those between a path's site and a junction's; `first` and `last` are the sites at
    which paths end, the same one for a path of one pixel.
    """
    number = nodes.number[links % max(count, 1)]
    swap = number[:, 0] >= 0
    site = np.where(swap, links[:, 1], links[:, 0])
    at = np.where(swap, number[:, 0], number[:, 1])
    rank = np.lexsort([ids[nodes.pixel[at]], site])
    site, at = site[rank], at[rank]
    lower, upper = np.full(2 * count, -1), np.full(2 * count, -1)
    lower[site[::-1]] = at[::-1]
    again = np.flatnonzero(site[1:] == site[:-1]) + 1
    upper[site[again]] = at[again]
    return lower[first], np.where(first == last, upper[last], lower[last])


def _vertices(
    runs: Runs, paths: RunPaths, keep: Ints, node_pixel: Ints, at_start: Ints, at_stop: Ints
) -> tuple[npt.NDArray[np.int32], Ints]:
    """Return the pixels of some paths with those of their nodes added, and the paths' offsets."""
    lead, trail = at_start >= 0, (at_stop >= 0) | paths.closed[keep]
    low, high = paths.offsets[:-1][keep], paths.offsets[1:][keep]
    stop = np.cumsum(high - low + lead + trail)
    start = np.concatenate([[0], stop])[:-1]
    run = paths.order[concatenated_ranges(low, high)]
    pixel = np.empty((2, int(stop[-1]) if len(stop) else 0), np.int64)
    flip = np.zeros(pixel.shape[1], bool)
    at = concatenated_ranges(start + lead, stop - trail)
    pixel[:, at], flip[at] = (runs.first[run], runs.last[run]), paths.flip[run]
    pixel[:, start[lead]] = node_pixel[at_start[lead]]
    # A ring closes on its first pixel, which is not known yet.
    closing = runs.first[paths.order[low]]
    closing[at_stop >= 0] = node_pixel[at_stop[at_stop >= 0]]
    pixel[:, stop[trail] - 1] = closing[trail]
    out = np.empty(int((pixel[1] + 1 - pixel[0]).sum()), np.int32)
    for place, index in ranges_in_portions(pixel[0], pixel[1] + 1, flip):
        out[place] = index
    ends = np.concatenate([[0], np.cumsum(pixel[1] + 1 - pixel[0])])
    return out, np.asarray(ends[np.append(start, pixel.shape[1])], np.int64)


def _start_at_lowest(ring: npt.NDArray[np.int32], ids: Ints) -> None:
    """Let a ring start and end at its lowest pixel, towards the lower neighbour, in place."""
    open_ = ring[:-1]
    around = np.roll(open_, -int(ids[open_].argmin()))
    if ids[around[-1]] < ids[around[1]]:
        around[1:] = around[:0:-1]
    ring[:-1], ring[-1] = around, around[0]


def _values_at(
    columns: dict[str, Any], pixel: npt.NDArray[np.int32], grid_width: int
) -> dict[str, npt.NDArray[Any]]:
    """Return the values of vertices, (V,) each, from those of pixels, which are taken out."""
    row, col = np.empty(len(pixel)), np.empty(len(pixel))
    ids = columns.pop("id")
    for low in range(0, len(pixel), 1 << 18):
        part = slice(low, low + (1 << 18))
        row[part], col[part] = np.divmod(ids[pixel[part]], grid_width)
    del ids
    names = ("d_row", "d_col", "width_px", "probability")
    return {"row": row, "col": col} | {name: columns.pop(name)[pixel] for name in names}


def _along_rim(found: _Traced, pixels: PixelGraph, grid: Grid, rim: tuple[int, int]) -> Ints:
    """Return the vertices that run along nodata.

    A line towards nodata comes nearer by a pixel per pixel; one along it does not. Below
    half of that (30 degrees) it runs along.
    """
    nearest, step = rim
    blank = pixels.blank_px[found.pixel]
    near = np.flatnonzero(blank <= nearest)
    edge = np.searchsorted(found.offsets, near, side="right") - 1
    first, last = found.offsets[edge], found.offsets[edge + 1] - 1
    before, after = np.maximum(near - step, first), np.minimum(near + step, last)

    def place(vertex: Ints) -> Floats:
        rows_cols = np.stack(np.divmod(pixels.id[found.pixel[vertex]], grid.width)).astype(float)
        for end, joins in ((first, found.at_start[edge]), (last, found.at_stop[edge])):
            at = np.flatnonzero((vertex == end) & (joins >= 0))
            rows_cols[:, at] = found.junctions.row[joins[at]], found.junctions.col[joins[at]]
        return rows_cols

    run = np.hypot(*(place(after) - place(before)))
    known = np.isfinite(blank[before]) & np.isfinite(blank[after])
    change = np.abs(
        np.where(known, blank[after], 0).astype(np.float64) - np.where(known, blank[before], 0)
    )
    return np.asarray(near[known & (change < 0.5 * run)], np.int64)
