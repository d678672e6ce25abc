"""Centrelines as arrays: what tracing gives and cleaning works on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Bytes, Floats, Ints, Singles
from roadgis.imagery.grid import Grid
from roadgis.network.paths import order_paths

__all__ = ["Centerlines", "RoadEnds", "concatenated_ranges", "lengths_along", "merge_interstitial"]


class RoadEnds(NamedTuple):
    """Where the roads of a mask end, measured on the mask; T ends.

    Attributes
    ----------
    id : ndarray of int64, shape (T,)
        The last pixel of the skeleton (row * width + col); ascending.
    reach_px : ndarray of float32, shape (T,)
        By how much the road goes on beyond it; negative where the skeleton goes too far.
    row, col : ndarray of float64, shape (T,)
        From the pixel's centre to the end of the road's middle line.
    d_row, d_col : ndarray of float64, shape (T,)
        Unit vector in which the road ends, away from it.
    bend : ndarray of float64, shape (T,)
        Curvature there, 1/pixels, positive towards (-d_col, d_row).
    """

    id: Ints
    reach_px: Singles
    row: Floats
    col: Floats
    d_row: Floats
    d_col: Floats
    bend: Floats

    @classmethod
    def none(cls) -> RoadEnds:
        """Return none at all."""
        no = np.empty(0)
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), no, no, no, no, no)


@dataclass(frozen=True)
class Centerlines:
    """Lines between nodes on a pixel grid; E edges, V vertices, N nodes.

    Attributes
    ----------
    grid : Grid
        What rows and columns count on; integers are pixel centres.
    strong_level : int
        Stored probability (of 254) from which a pixel is road without doubt.
    start, end : ndarray of int64, shape (E,)
        Nodes. Rings without a junction have a node of their own, at which they start and end.
    key : ndarray of int64, shape (E,)
        Unique, and orders the edges: the lowest pixel id (row * width + col) of the edge's
        pixels that belong to no junction; negative where bridging made or split the edge.
    bridged : ndarray of bool, shape (E,)
        Whether the edge was inferred across a gap (:mod:`roadgis.network.bridging.bridge`).
    offsets : ndarray of int64, shape (E + 1,)
        Edge e has the vertices ``offsets[e]:offsets[e + 1]``, from node to node.
    row, col : ndarray of float64, shape (V,)
        Pixel centres, at the ends the nodes.
    d_row, d_col : ndarray of float32, shape (V,)
        From there to the middle of the road; NaN where that is not known.
    width_px : ndarray of float32, shape (V,)
        Width of the road.
    probability : ndarray of uint8, shape (V,)
        Stored probability, 0..254.
    node_key : ndarray of int64, shape (N,)
        Lowest pixel id of the node's pixels.
    node_row, node_col : ndarray of float64, shape (N,)
        Position.
    node_width_px : ndarray of float32, shape (N,)
        Width of the road there.
    node_reach_px : ndarray of float32, shape (N,)
        By how much thinning has shortened a line that ends here.
    node_exit : ndarray of bool, shape (N,)
        Whether the road goes on beyond the raster's edge, or into no data.
    node_blank_px : ndarray of float32, shape (N,)
        Distance to the nearest pixel without data; inf where it is far.
    road_ends : RoadEnds
        Where roads end, by the pixel of their last node; also of lines that are gone since.
    """

    grid: Grid
    strong_level: int
    start: Ints
    end: Ints
    key: Ints
    bridged: Bools
    offsets: Ints
    row: Floats
    col: Floats
    d_row: Singles
    d_col: Singles
    width_px: Singles
    probability: Bytes
    node_key: Ints
    node_row: Floats
    node_col: Floats
    node_width_px: Singles
    node_reach_px: Singles
    node_exit: Bools
    node_blank_px: Singles
    road_ends: RoadEnds = field(default_factory=RoadEnds.none)

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def edge_of_vertex(self) -> Ints:
        """Edge of each vertex, (V,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def degree(self) -> Ints:
        """Edge ends at each node, (N,); a loop counts twice."""
        ends = np.concatenate([self.start, self.end])
        return np.bincount(ends, minlength=len(self.node_key)).astype(np.int64)

    @cached_property
    def arcs(self) -> tuple[Floats, Floats]:
        """How far along its edge each vertex is from the start, and from the end, (V,) pixels."""
        total = lengths_along(self.row, self.col)
        edge = self.edge_of_vertex
        return total - total[self.offsets[edge]], total[self.offsets[edge + 1] - 1] - total

    def first_beyond(self, arc: Floats, distance: Floats, at_end: bool) -> Ints:
        """Return the first vertex of each edge at least a distance from one of its ends, (E,).

        Parameters
        ----------
        arc : ndarray, shape (V,)
            Distance of each vertex from that end, as `arcs` gives it.
        distance : ndarray, shape (E,)
            Pixels, at most the edge's length.
        at_end : bool
            Which end.
        """
        before = (arc < distance[self.edge_of_vertex]).astype(np.int64)
        count = np.add.reduceat(before, self.offsets[:-1])
        return self.offsets[1:] - 1 - count if at_end else self.offsets[:-1] + count

    @cached_property
    def length_px(self) -> Floats:
        """Length of each edge along its vertices, (E,) pixels."""
        if not len(self):
            return np.empty(0)
        total = lengths_along(self.row, self.col)
        length: Floats = total[self.offsets[1:] - 1] - total[self.offsets[:-1]]
        return length

    def select(self, keep: Bools) -> Centerlines:
        """Return some of the edges, with all nodes."""
        return self if keep.all() else self.take(np.flatnonzero(keep))

    def take(self, edges: Ints) -> Centerlines:
        """Return some of the edges by number, in that order, with all nodes."""
        size = np.diff(self.offsets)[edges]
        return self._with_vertices(
            self.vertices_of(edges),
            size,
            self.start[edges],
            self.end[edges],
            self.key[edges],
            self.bridged[edges],
        )

    def vertices_of(self, edges: Ints) -> Ints:
        """Return the vertices of some edges, edge after edge."""
        return concatenated_ranges(self.offsets[edges], self.offsets[edges + 1])

    def _with_vertices(
        self, vertices: Ints, size: Ints, start: Ints, end: Ints, key: Ints, bridged: Bools
    ) -> Centerlines:
        return dataclasses.replace(
            self,
            start=start,
            end=end,
            key=key,
            bridged=bridged,
            offsets=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
            **{
                name: getattr(self, name)[vertices]
                for name in ("row", "col", "d_row", "d_col", "width_px", "probability")
            },
        )

    def reversed_where(self, flip: Bools) -> Centerlines:
        """Return the lines with some of them running the other way."""
        if not flip.any():
            return self
        edge = self.edge_of_vertex
        vertices = np.arange(len(self.row))
        back = self.offsets[edge] + self.offsets[edge + 1] - 1 - vertices
        return self._with_vertices(
            np.where(flip[edge], back, vertices),
            np.diff(self.offsets),
            np.where(flip, self.end, self.start),
            np.where(flip, self.start, self.end),
            self.key,
            self.bridged,
        )


def lengths_along(row: Floats, col: Floats) -> Floats:
    """Return how far it is to each of V points along all of them, (V,) pixels.

    Steps count in parts of 2**-20 pixels: sums of those are exact, so that differences within
    an edge are the same wherever it stands among the others.
    """
    step = np.rint(np.hypot(np.diff(row), np.diff(col)) * 2.0**20) / 2.0**20
    return np.concatenate([[0.0], np.cumsum(step)])


def concatenated_ranges(start: Ints, stop: Ints) -> Ints:
    """Return ``start[0], ..., stop[0] - 1, start[1], ...`` as one array."""
    size = stop - start
    before = np.cumsum(size) - size
    return np.asarray(np.arange(int(size.sum())) + np.repeat(start - before, size), np.int64)


def merge_interstitial(lines: Centerlines) -> Centerlines:
    """Join edges that meet at a node where nothing else does.

    A node that only one ring touches stays, and one between what was seen and what was
    inferred.
    """
    interstitial = lines.degree == 2
    ends = np.concatenate([lines.start[lines.bridged], lines.end[lines.bridged]])
    inferred = np.bincount(ends, minlength=len(interstitial))
    interstitial &= inferred != 1
    loop = lines.start == lines.end
    interstitial[lines.start[loop]] = False
    if not interstitial.any():
        return lines
    count = len(lines)
    node = np.concatenate([lines.start, lines.end])
    edge = np.concatenate([np.arange(count), np.arange(count)])
    inner = interstitial[node]
    rank = np.argsort(node[inner], kind="stable")
    links = edge[inner][rank].reshape(-1, 2)
    link_node = node[inner][rank][::2]
    paths = order_paths(count, links, lines.key)
    flip = _against_path(lines, paths.order, paths.offsets, links, link_node)
    lines = lines.reversed_where(flip)
    # The shared vertex of a piece and the next occurs once.
    first = np.zeros(count, bool)
    first[paths.offsets[:-1]] = True
    begin = lines.offsets[paths.order] + ~first
    vertices = concatenated_ranges(begin, lines.offsets[paths.order + 1])
    piece_size = lines.offsets[paths.order + 1] - begin
    return lines._with_vertices(
        vertices,
        np.add.reduceat(piece_size, paths.offsets[:-1]),
        lines.start[paths.order[paths.offsets[:-1]]],
        lines.end[paths.order[paths.offsets[1:] - 1]],
        np.minimum.reduceat(lines.key[paths.order], paths.offsets[:-1]),
        lines.bridged[paths.order[paths.offsets[:-1]]],
    )


def _against_path(
    lines: Centerlines, order: Ints, offsets: Ints, links: Ints, link_node: Ints
) -> Bools:
    """Return which edges run against their path, (E,) bool."""
    count = len(order)
    same = np.ones(count - 1, bool)
    same[offsets[1:-1] - 1] = False
    here, there = order[:-1][same], order[1:][same]
    # Two edges that form a ring meet at two nodes; either will do, if it is the same for both.
    pair = np.sort(links, axis=1) @ np.array([count, 1])
    rank = np.lexsort([link_node, pair])
    wanted = np.minimum(here, there) * count + np.maximum(here, there)
    shared = link_node[rank[np.searchsorted(pair[rank], wanted)]]
    flip = np.zeros(count, bool)
    flip[there] = lines.start[there] != shared
    flip[here] = lines.end[here] != shared
    return flip
