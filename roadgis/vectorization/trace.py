"""From skeletons to lines: pixels and their links, stitched by pixel id, then traced."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Bytes, Ints, Singles
from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import Centerlines, RoadEnds, concatenated_ranges
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


def stitched(parts: list[PixelGraph]) -> PixelGraph:
    """Join the graphs of blocks into one, in the order of ids, whatever the order of blocks.

    Empties the list, so that the pixels are not held twice.
    """
    *fields, ends = zip(*parts, strict=True)
    parts.clear()  # what was joined is not needed a second time
    joined = PixelGraph._make([*(np.concatenate(arrays) for arrays in fields), _joined(ends)])
    del fields, ends
    rank = np.argsort(joined.id, kind="stable")
    link_rank = np.lexsort([joined.links[:, 1], joined.links[:, 0]])
    return _pixels_of(joined, rank)._replace(links=joined.links[link_rank])


def _joined(parts: tuple[RoadEnds, ...]) -> RoadEnds:
    ends = RoadEnds._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    rank = np.argsort(ends.id, kind="stable")
    return RoadEnds._make(array[rank] for array in ends)


def _pixels_of(graph: PixelGraph, index: Ints) -> PixelGraph:
    """Return some pixels of a graph without its links."""
    fields = (array[index] for array in graph[:-2])
    return PixelGraph._make([*fields, graph.links[:0], graph.ends])


def trace(graph: PixelGraph, grid: Grid, strong_level: int, rim: tuple[int, int]) -> Centerlines:
    """Trace a skeleton into lines between junctions and ends.

    Pixels with three links or more are junctions; those that touch are one node, at their
    middle. Rings without a junction, rings with one node and several lines between the
    same two nodes all stay.

    Parameters
    ----------
    graph : PixelGraph
        Graph of the whole raster.
    grid : Grid
        Grid of the pixels.
    strong_level : int
        Kept in the result.
    rim : tuple of int
        Lines along nodata nearer than the first are dropped; their direction is taken
        over the second to both sides. Pixels.
    """
    # Numbers of pixels take half the room of their ids.
    links = np.searchsorted(graph.id, graph.links).astype(np.int32)
    graph = graph._replace(links=graph.links[:0])
    reach = (graph.width_px / 2).astype(np.float32)
    reach[np.searchsorted(graph.id, graph.ends.id)] = graph.ends.reach_px
    reach[_degree(graph, links) >= 2] = 0
    lines, pixels = _lines(graph, links, grid, strong_level, reach)
    if np.isfinite(graph.blank_px).any():
        keep = np.ones(len(graph.id), bool)
        keep[pixels[_along_rim(lines, graph.blank_px[pixels], rim)]] = False
        if not keep.all():
            del lines, pixels
            new = (np.cumsum(keep) - 1).astype(np.int32)
            links = new[links[keep[links].all(axis=1)]]
            graph = _pixels_of(graph, np.flatnonzero(keep))
            lines, _ = _lines(graph, links, grid, strong_level, reach[keep])
    return lines


def _degree(graph: PixelGraph, links: npt.NDArray[np.int32]) -> Ints:
    return np.bincount(links.reshape(-1), minlength=len(graph.id)).astype(np.int64)


def _along_rim(lines: Centerlines, blank: Singles, rim: tuple[int, int]) -> Bools:
    """Return the vertices that run along nodata, (V,) bool.

    A line towards nodata comes nearer by a pixel per pixel; one along it does not. Below
    half of that (30 degrees) it runs along.
    """
    nearest, step = rim
    near = np.flatnonzero(blank <= nearest)
    edge = lines.edge_of_vertex[near]
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


def _lines(
    graph: PixelGraph, links: npt.NDArray[np.int32], grid: Grid, strong_level: int, reach: Singles
) -> tuple[Centerlines, Ints]:
    """Trace; returns the lines and the pixel of each vertex."""
    count = len(graph.id)
    junction = _degree(graph, links) >= 3
    of_junction = np.flatnonzero(junction)
    inner = junction[links]
    node = _node_of_pixel(junction, links[inner.all(axis=1)])
    chain = np.flatnonzero(~junction)
    paths = order_paths(
        len(chain),
        (np.cumsum(~junction) - 1).astype(np.int32)[links[~inner.any(axis=1)]],
        graph.id[chain],
    )
    order = chain[paths.order]
    first, last = order[paths.offsets[:-1]], order[paths.offsets[1:] - 1]
    at_start, at_stop = _ends(links[inner.sum(axis=1) == 1], junction, node, first, last)
    # A ring closes on its first pixel.
    at_stop = np.where(paths.closed, first, at_stop)
    single = first == last
    alone = single & (at_start < 0)
    pinched = single & (at_start >= 0) & (at_start == at_stop)
    keep = ~(alone | pinched)
    size = np.diff(paths.offsets)
    pixels, counts = _with_ends(
        order, paths.offsets[:-1][keep], size[keep], at_start[keep], at_stop[keep]
    )
    start = np.where(at_start < 0, first, at_start)[keep]
    end = np.where(at_stop < 0, last, at_stop)[keep]
    lowest_id = graph.id[order]
    key = np.minimum.reduceat(lowest_id, paths.offsets[:-1])[keep] if len(order) else lowest_id

    used, positions = np.unique(np.concatenate([start, end]), return_inverse=True)
    members = np.bincount(node, minlength=count).clip(1)
    row, col = np.divmod(graph.id, grid.width)
    node_row = np.bincount(node, weights=row, minlength=count) / members
    node_col = np.bincount(node, weights=col, minlength=count) / members
    width = graph.width_px.copy()
    np.maximum.at(width, node[of_junction], graph.width_px[of_junction])
    exit_ = graph.exit.copy()
    np.logical_or.at(exit_, node[of_junction], graph.exit[of_junction])
    lines = Centerlines(
        grid=grid,
        strong_level=strong_level,
        start=positions[: len(start)],
        end=positions[len(start) :],
        key=key,
        bridged=np.zeros(len(key), bool),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        row=node_row[pixels],
        col=node_col[pixels],
        d_row=np.where(junction[pixels], np.float32(np.nan), graph.d_row[pixels]),
        d_col=np.where(junction[pixels], np.float32(np.nan), graph.d_col[pixels]),
        width_px=graph.width_px[pixels],
        probability=graph.probability[pixels],
        node_key=graph.id[used],
        node_row=node_row[used],
        node_col=node_col[used],
        node_width_px=width[used],
        node_shortening_px=reach[used],
        node_leaves_raster=exit_[used],
        node_nodata_distance_px=graph.blank_px[used],
        road_ends=graph.ends,
    )
    return lines, pixels


def _node_of_pixel(junction: Bools, inner_links: npt.NDArray[np.int32]) -> Ints:
    """Return the node of each pixel, named by a pixel: a junction's by its lowest one."""
    node = np.arange(len(junction))
    of_junction = np.flatnonzero(junction)
    numbers = (np.cumsum(junction) - 1)[inner_links].astype(np.int32)
    label = components(len(of_junction), numbers)
    if len(of_junction):
        _, lowest = np.unique(label, return_index=True)
        node[of_junction] = of_junction[lowest[label]]
    return node


def _ends(
    links: npt.NDArray[np.int32], junction: Bools, node: Ints, first: Ints, last: Ints
) -> tuple[Ints, Ints]:
    """Return the junctions at which chains start and stop, -1 where there is none.

    `links` are those between a chain's pixel and a junction's.
    """
    swap = junction[links[:, 0]]
    pixel = np.where(swap, links[:, 1], links[:, 0])
    at = node[np.where(swap, links[:, 0], links[:, 1])]
    rank = np.lexsort([at, pixel])
    pixel, at = pixel[rank], at[rank]
    lower, upper = np.full(len(node), -1), np.full(len(node), -1)
    lower[pixel[::-1]] = at[::-1]
    again = np.flatnonzero(pixel[1:] == pixel[:-1]) + 1
    upper[pixel[again]] = at[again]
    return lower[first], np.where(first == last, upper[last], lower[last])


def _with_ends(
    order: Ints, begin: Ints, size: Ints, at_start: Ints, at_stop: Ints
) -> tuple[Ints, Ints]:
    """Return the pixels of chains with those of their nodes added, and how many each has."""
    lead, trail = at_start >= 0, at_stop >= 0
    counts = size + lead + trail
    stop = np.cumsum(counts)
    out = np.empty(int(counts.sum()), np.int64)
    chain_begin = stop - counts + lead
    out[concatenated_ranges(chain_begin, chain_begin + size)] = order[
        concatenated_ranges(begin, begin + size)
    ]
    out[(stop - counts)[lead]] = at_start[lead]
    out[stop[trail] - 1] = at_stop[trail]
    return out, counts
