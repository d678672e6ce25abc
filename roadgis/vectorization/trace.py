"""From skeletons to lines: pixels and their links, stitched by pixel id, then traced."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Bytes, Floats, Ints, Singles, first_of_each
from roadgis.heap import trim_heap
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import (
    Centerlines,
    RoadEnds,
    concatenated_ranges,
    ranges_in_portions,
)
from roadgis.network.paths import components, order_paths
from roadgis.vectorization.bitplanes import Plane, east, west


class PixelGraph(NamedTuple):
    """Skeleton pixels and which of them are neighbours; K pixels, L links.

    Attributes
    ----------
    id : ndarray of int64, shape (K,)
        row * grid width + col; ascending.
    width_px, d_row, d_col : ndarray of float32, shape (K,)
        Width of the road, and where its middle is from the pixel's centre (NaN: not known).
    probability : ndarray of uint8, shape (K,)
        Stored probability, 0..254.
    blank_px : ndarray of float32, shape (K,)
        Distance to nodata; inf when far.
    exit : ndarray of bool, shape (K,)
        Whether the skeleton continues beyond the raster's edge.
    links : ndarray of int64, shape (L, 2)
        Ids of neighbours, the lower first.
    ends : RoadEnds
        Where roads end, by pixel.
    """

    id: Ints
    width_px: Singles
    d_row: Singles
    d_col: Singles
    probability: Bytes
    blank_px: Singles
    exit: Bools
    links: Ints
    ends: RoadEnds


def skeleton_links(skeleton: Plane) -> list[tuple[int, int, Plane]]:
    """Find the links from each skeleton pixel to later ones.

    Diagonal neighbours that also touch through a pixel next to both are not linked: so no
    corner makes a triangle.

    Returns
    -------
    list of (row step, column step, Plane)
        The plane says which pixels have that link.
    """
    right, left = east(skeleton), west(skeleton)

    def below(plane: Plane) -> Plane:
        out = np.zeros_like(plane)
        out[:-1] = plane[1:]
        return out

    south = below(skeleton)
    return [
        (0, 1, skeleton & right),
        (1, -1, skeleton & below(left) & ~left & ~south),
        (1, 0, skeleton & south),
        (1, 1, skeleton & below(right) & ~right & ~south),
    ]


class Runs(NamedTuple):
    """Skeleton pixels in the order of lines; K pixels, R runs.

    Attributes
    ----------
    pixels : PixelGraph
        Run after run; `links` are those between pixels that do not follow each other in a run, and
        lead to the first or last pixels of runs only.
    offsets : ndarray of int64, shape (R + 1,)
        Run r has the pixels ``offsets[r]:offsets[r + 1]``, each linked to the next one. Pixels with
        more than two links are runs of their own.
    """

    pixels: PixelGraph
    offsets: Ints

    @property
    def first(self) -> Ints:
        """First pixel of each run, (R,)."""
        return self.offsets[:-1]

    @property
    def last(self) -> Ints:
        """Last pixel of each run, (R,)."""
        return self.offsets[1:] - 1


def in_runs(graph: PixelGraph, grid_width: int) -> Runs:
    """Order the pixels of a block along its lines.

    Of a large raster, that takes less memory than to do it with all pixels at once. Pixels at the
    block's border are runs of their own, as other blocks may link to them.
    """
    row, col = np.divmod(graph.id, grid_width)
    within = np.ones(len(row), bool)
    for place in (row, col) if len(row) else ():
        within &= (place > place.min()) & (place < place.max())
    links = np.searchsorted(graph.id, graph.links)
    known = links < len(row)
    known[known] = graph.id[links[known]] == graph.links[known]
    degree = np.bincount(links[known], minlength=len(row))
    chain = within & (degree < 3)
    inner: Bools = np.asarray(known.all(axis=1), bool)
    inner[inner] = chain[links[inner]].all(axis=1)
    members = np.flatnonzero(chain)
    number = (np.cumsum(chain) - 1).astype(np.int32)
    paths = order_paths(len(members), number[links[inner]], graph.id[members])
    order = np.concatenate([members[paths.order], np.flatnonzero(~chain)])
    offsets = np.concatenate([paths.offsets, np.arange(len(members) + 1, len(row) + 1)])
    ring = np.stack([paths.offsets[:-1], paths.offsets[1:] - 1], axis=1)[paths.closed]
    others = np.concatenate([graph.links[~inner], graph.id[order[ring]]])
    pixels = PixelGraph._make([*(array[order] for array in graph[:-2]), others, graph.ends])
    return Runs(pixels, offsets)


def _stitched(parts: list[Runs]) -> Runs:
    """Join the runs of blocks. Empties the list, so that the pixels are not held twice."""
    size = np.concatenate([np.diff(part.offsets) for part in parts])
    ends = tuple(part.pixels.ends for part in parts)
    columns = [list(arrays) for arrays in zip(*(part.pixels[:-1] for part in parts), strict=True)]
    parts.clear()
    joined = []
    while columns:
        joined.append(np.concatenate(columns.pop(0)))
        trim_heap()
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return Runs(PixelGraph._make([*joined, _joined(ends)]), offsets)


def _joined(parts: tuple[RoadEnds, ...]) -> RoadEnds:
    ends = RoadEnds._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    rank = np.argsort(ends.id, kind="stable")
    return RoadEnds._make(array[rank] for array in ends)


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
    runs = _stitched(parts)
    links = _links_of_sites(runs)
    passed = _passed(runs, links)
    lines, vertices = _lines(runs, links, passed, grid, strong_level)
    if np.isfinite(runs.pixels.blank_px).any():
        keep = np.ones(len(passed), bool)
        keep[vertices[_along_rim(lines, runs.pixels.blank_px[vertices], rim)]] = False
        if not keep.all():
            del lines, vertices
            runs, passed = _kept(runs, keep), passed[keep]
            lines, _ = _lines(runs, _links_of_sites(runs), passed, grid, strong_level)
    return lines


def _kept(runs: Runs, keep: Bools) -> Runs:
    """Return runs without some of their pixels; a run that loses a pixel becomes two."""
    pixels = runs.pixels
    new = np.zeros(len(keep) + 1, bool)
    new[runs.offsets] = True
    new[1:] |= ~keep
    begins = new[:-1][keep] if keep.any() else np.zeros(0, bool)
    offsets = np.append(np.flatnonzero(begins), int(keep.sum()))
    fields = (array[keep] for array in pixels[:-2])
    return Runs(PixelGraph._make([*fields, pixels.links, pixels.ends]), offsets)


def _links_of_sites(runs: Runs) -> Ints:
    """Return the links between known pixels as pairs of sites, (L, 2).

    The first pixel of run r is site r, and the last one, if it is another, site R + r.
    """
    count, ids = len(runs.first), runs.pixels.id
    site = np.concatenate([np.arange(count), count + np.flatnonzero(runs.last > runs.first)])
    known = np.concatenate([ids[runs.first], ids[runs.last]])[site]
    rank = np.argsort(known)
    site, known = site[rank], known[rank]
    links = runs.pixels.links
    if not len(site):
        return links[:0]
    at = np.minimum(np.searchsorted(known, links), len(site) - 1)
    return np.asarray(site[at][(known[at] == links).all(axis=1)], np.int64)


def _passed(runs: Runs, links: Ints) -> Bools:
    """Return which pixels have two links or more, (K,)."""
    degree = np.bincount(links.ravel(), minlength=2 * len(runs.first))
    out = np.ones(len(runs.pixels.id), bool)
    first, last = np.split(degree, 2)
    long = runs.last > runs.first
    out[runs.first] = first + long > 1
    out[runs.last[long]] = last[long] > 0
    return out


class _RunPaths(NamedTuple):
    """Runs without junctions, joined end to end; M runs, P paths.

    Attributes
    ----------
    order : ndarray of int64, shape (M,)
        The runs, path after path.
    offsets : ndarray of int64, shape (P + 1,)
        Path p is ``order[offsets[p]:offsets[p + 1]]``.
    closed : ndarray of bool, shape (P,)
        Whether it is a ring.
    flip : ndarray of bool, shape (R,)
        Whether a run is passed from its last pixel to its first.
    lowest : ndarray of int64, shape (P,)
        Lowest pixel id.
    """

    order: Ints
    offsets: Ints
    closed: Bools
    flip: Bools
    lowest: Ints


def _run_paths(runs: Runs, links: Ints, chain: Bools) -> _RunPaths:
    """Join runs by the links between their sites; paths are in the order of their first pixels.

    A path starts at its end with the lower pixel id.
    """
    count, ids = len(chain), runs.pixels.id
    own = links[:, 0] % count == links[:, 1] % count
    closed = np.zeros(count, bool)
    closed[links[own, 0] % count] = True
    links = links[~own]
    run = links % count
    free = np.bincount(links.ravel(), minlength=2 * count) == 0
    first_id, last_id = ids[runs.first], ids[runs.last]
    flip = first_id > last_id
    key = np.where(free[count:] & ~(free[:count] & ~flip), last_id, first_id)
    members = np.flatnonzero(chain)
    number = (np.cumsum(chain) - 1).astype(np.int32)
    order, offsets, rings = order_paths(len(members), number[run], key[members])
    order = members[order]
    begin = order[offsets[:-1]]
    rings |= closed[begin]
    # Each run is entered at the site that is linked to the run before it.
    follows = np.ones(len(order), bool)
    follows[offsets[:-1]] = False
    there = np.flatnonzero(follows)
    here, there = order[there - 1], order[there]
    pair = run.min(axis=1) * count + run.max(axis=1)
    rank = np.argsort(pair, kind="stable")
    wanted = np.minimum(here, there) * count + np.maximum(here, there)
    link = links[rank[np.searchsorted(pair[rank], wanted)]]
    link = np.where((link[:, 0] % count == here)[:, None], link, link[:, ::-1])
    flip[here], flip[there] = link[:, 0] < count, link[:, 1] >= count
    flip[there] = link[:, 1] >= count
    lowest = np.empty(0, np.int64)
    if len(order):
        lowest = np.minimum.reduceat(np.minimum.reduceat(ids, runs.first)[order], offsets[:-1])
    start = np.where(rings, lowest, np.where(flip[begin], last_id[begin], first_id[begin]))
    rank = np.argsort(start)
    size = np.diff(offsets)[rank]
    order = order[concatenated_ranges(offsets[:-1][rank], offsets[1:][rank])]
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return _RunPaths(order, offsets, rings[rank], flip, lowest[rank])


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


def _lines(
    runs: Runs, links: Ints, passed: Bools, grid: Grid, strong_level: int
) -> tuple[Centerlines, npt.NDArray[np.int32]]:
    """Trace; returns the lines and the pixel of each vertex."""
    count, pixels = len(runs.first), runs.pixels
    junction = np.bincount(links.ravel(), minlength=2 * count)[:count] > 2
    inner = junction[links % max(count, 1)]
    nodes = _junctions(runs, links[inner.all(axis=1)], junction, grid)
    paths = _run_paths(runs, links[~inner.any(axis=1)], ~junction)
    begin, stop = paths.order[paths.offsets[:-1]], paths.order[paths.offsets[1:] - 1]
    long = runs.last > runs.first
    first = np.where(paths.flip[begin] & long[begin], count + begin, begin)
    last = np.where(paths.flip[stop] | ~long[stop], stop, count + stop)
    mixed = links[inner.sum(axis=1) == 1]
    at_start, at_stop = _ends(mixed, nodes, pixels.id, count, first, last)
    single = first == last
    alone = single & (at_start < 0)
    pinched = single & (at_start >= 0) & (at_start == at_stop)
    keep = np.flatnonzero(~(alone | pinched))
    at_start, at_stop, closed = at_start[keep], at_stop[keep], paths.closed[keep]
    vertices, offsets = _vertices(runs, paths, keep, nodes.pixel, at_start, at_stop)
    for lower, upper in zip(offsets[:-1][closed], offsets[1:][closed], strict=True):
        _start_at_lowest(vertices[lower:upper], pixels.id)
    # Nodes by the pixels that name them: those at which the lines end.
    node = np.concatenate([vertices[offsets[:-1]], vertices[offsets[1:] - 1]])
    _, where, position = np.unique(pixels.id[node], return_index=True, return_inverse=True)
    at, joint = node[where], np.concatenate([at_start, at_stop])[where]
    some, joint = joint >= 0, joint[joint >= 0]
    node_row, node_col = (x.astype(np.float64) for x in np.divmod(pixels.id[at], grid.width))
    node_width, leaves = pixels.width_px[at], pixels.exit[at]
    shortening = np.where(passed[at], np.float32(0), _reach(pixels, at))
    for values, of_junctions in (
        (node_row, nodes.row),
        (node_col, nodes.col),
        (node_width, nodes.width_px),
        (leaves, nodes.exit),
    ):
        values[some] = of_junctions[joint]
    start, end = np.split(position.reshape(-1).astype(np.int64), 2)
    lines = Centerlines(
        grid=grid,
        strong_level=strong_level,
        start=start,
        end=end,
        key=paths.lowest[keep],
        bridged=np.zeros(len(keep), bool),
        offsets=offsets,
        **_values_at(pixels, vertices, grid.width),
        node_key=pixels.id[at],
        node_row=node_row,
        node_col=node_col,
        node_width_px=node_width,
        node_shortening_px=shortening,
        node_leaves_raster=leaves,
        node_nodata_distance_px=pixels.blank_px[at],
        road_ends=pixels.ends,
    )
    for vertex, of, joins in ((offsets[:-1], start, at_start), (offsets[1:] - 1, end, at_stop)):
        lines.row[vertex], lines.col[vertex] = node_row[of], node_col[of]
        lines.d_row[vertex[joins >= 0]], lines.d_col[vertex[joins >= 0]] = np.nan, np.nan
    return lines, vertices


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
    runs: Runs, paths: _RunPaths, keep: Ints, node_pixel: Ints, at_start: Ints, at_stop: Ints
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
    pixel[:, stop[trail] - 1] = (
        np.where(paths.closed[keep], runs.first[paths.order[low]], node_pixel[at_stop])[trail]
        if len(node_pixel)
        else runs.first[paths.order[low]][trail]
    )
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
    pixels: PixelGraph, vertices: npt.NDArray[np.int32], grid_width: int
) -> dict[str, npt.NDArray[Any]]:
    """Return the values of vertices, (V,) each."""
    row, col = np.empty(len(vertices)), np.empty(len(vertices))
    ends = np.arange(0, len(vertices) + 1)[:: 1 << 18]
    for low in ends.tolist():
        part = slice(low, low + (1 << 18))
        row[part], col[part] = np.divmod(pixels.id[vertices[part]], grid_width)
    names = ("d_row", "d_col", "width_px", "probability")
    return {"row": row, "col": col} | {name: getattr(pixels, name)[vertices] for name in names}


def _along_rim(lines: Centerlines, blank: Singles, rim: tuple[int, int]) -> Bools:
    """Return the vertices that run along nodata, (V,) bool.

    A line towards nodata comes nearer by a pixel per pixel; one along it does not. Below
    half of that (30 degrees) it runs along.
    """
    nearest, step = rim
    near = np.flatnonzero(blank <= nearest)
    edge = np.searchsorted(lines.offsets, near, side="right") - 1
    before = np.maximum(near - step, lines.offsets[edge])
    after = np.minimum(near + step, lines.offsets[edge + 1] - 1)
    run = np.hypot(lines.row[after] - lines.row[before], lines.col[after] - lines.col[before])
    known = np.isfinite(blank[before]) & np.isfinite(blank[after])
    change = np.abs(
        np.where(known, blank[after], 0).astype(np.float64) - np.where(known, blank[before], 0)
    )
    along = np.zeros(len(blank), bool)
    along[near] = known & (change < 0.5 * run)
    return along
