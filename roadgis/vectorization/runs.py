"""Runs: skeleton pixels in the order of lines, block by block, and how runs join to paths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Ints
from roadgis.heap import trim_heap
from roadgis.network.centerlines import RoadEnds, concatenated_ranges
from roadgis.network.paths import order_paths
from roadgis.vectorization.pixel_graph import PixelGraph


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


def stitched(parts: list[Runs]) -> Runs:
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


def kept(runs: Runs, keep: Bools) -> Runs:
    """Return runs without some of their pixels; a run that loses a pixel becomes two."""
    pixels = runs.pixels
    new = np.zeros(len(keep) + 1, bool)
    new[runs.offsets] = True
    new[1:] |= ~keep
    begins = new[:-1][keep] if keep.any() else np.zeros(0, bool)
    offsets = np.append(np.flatnonzero(begins), int(keep.sum()))
    fields = (array[keep] for array in pixels[:-2])
    return Runs(PixelGraph._make([*fields, pixels.links, pixels.ends]), offsets)


def links_of_sites(runs: Runs) -> Ints:
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


def passed_pixels(runs: Runs, links: Ints) -> Bools:
    """Return which pixels have two links or more, (K,)."""
    degree = np.bincount(links.ravel(), minlength=2 * len(runs.first))
    out = np.ones(len(runs.pixels.id), bool)
    first, last = np.split(degree, 2)
    long = runs.last > runs.first
    out[runs.first] = first + long > 1
    out[runs.last[long]] = last[long] > 0
    return out


class RunPaths(NamedTuple):
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


def run_paths(runs: Runs, links: Ints, chain: Bools) -> RunPaths:
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
    flip[here] = link[:, 0] < count
    flip[there] = link[:, 1] >= count
    lowest = np.empty(0, np.int64)
    if len(order):
        lowest = np.minimum.reduceat(np.minimum.reduceat(ids, runs.first)[order], offsets[:-1])
    start = np.where(rings, lowest, np.where(flip[begin], last_id[begin], first_id[begin]))
    rank = np.argsort(start)
    size = np.diff(offsets)[rank]
    order = order[concatenated_ranges(offsets[:-1][rank], offsets[1:][rank])]
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return RunPaths(order, offsets, rings[rank], flip, lowest[rank])
