"""Centrelines as arrays: the result of tracing, and what every step of cleaning takes and returns.

Shapes: E edges, V vertices, N nodes, T road ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Bytes, Floats, Ints, Lines, Singles
from roadgis.imagery.grid import Grid

if TYPE_CHECKING:
    import geopandas


class RoadEnds(NamedTuple):
    """Ends of the roads of a mask, measured on the mask.

    Attributes
    ----------
    id : ndarray of int64, shape (T,)
        Last pixel of the skeleton (row * width + col); ascending.
    reach_px : ndarray of float32, shape (T,)
        Length of road beyond that pixel; negative where the skeleton is too long.
    row, col : ndarray of float64, shape (T,)
        Offset from the pixel's centre to the end of the road's centreline.
    d_row, d_col : ndarray of float64, shape (T,)
        Unit vector along the road, pointing out of its end.
    bend : ndarray of float64, shape (T,)
        Curvature at the end, 1/pixels, positive towards (-d_col, d_row).
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
        """Return an empty table."""
        no = np.empty(0)
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), no, no, no, no, no)


#: Vertices of a portion: what is computed for each of them takes some 100 bytes.
_PORTION = 1 << 18

_EDGE, _VERTEX, _NODE = ({"per": name} for name in ("edge", "vertex", "node"))


@dataclass(frozen=True)
class Centerlines:
    """Lines between nodes on a pixel grid.

    To add a value per edge, vertex or node, add a field with the matching metadata here, and its
    rule in :mod:`roadgis.network.edit`; every editing step then carries it along.

    Attributes
    ----------
    grid : Grid
        Grid of the rows and columns; integers are pixel centres.
    strong_level : int
        Threshold as a stored probability (of 254).
    start, end : ndarray of int64, shape (E,)
        Nodes. A ring without a junction has a node of its own, at which it starts and ends.
    key : ndarray of int64, shape (E,)
        Unique; orders the edges: the lowest pixel id (row * width + col) of the edge's pixels
        outside junctions; negative where bridging added or split the edge.
    bridged : ndarray of bool, shape (E,)
        Whether the edge was inferred across a gap (:mod:`roadgis.network.bridging.bridge`).
    offsets : ndarray of int64, shape (E + 1,)
        Edge e has the vertices ``offsets[e]:offsets[e + 1]``, from node to node.
    row, col : ndarray of float64, shape (V,)
        Pixel centres; at the ends the nodes.
    d_row, d_col : ndarray of float32, shape (V,)
        Offset from there to the middle of the road; NaN where unknown.
    width_px : ndarray of float32, shape (V,)
        Width of the road.
    probability : ndarray of uint8, shape (V,)
        Stored probability, 0..254.
    node_key : ndarray of int64, shape (N,)
        Lowest pixel id of the node's pixels.
    node_row, node_col : ndarray of float64, shape (N,)
        Position.
    node_width_px : ndarray of float32, shape (N,)
        Width of the road at the node.
    node_shortening_px : ndarray of float32, shape (N,)
        Length that thinning removed from a line ending here.
    node_leaves_raster : ndarray of bool, shape (N,)
        Whether the road continues beyond the raster's edge or into nodata.
    node_nodata_distance_px : ndarray of float32, shape (N,)
        Distance to the nearest nodata pixel; inf where it is far.
    road_ends : RoadEnds
        Road ends of the mask, found by the pixel of a line's last node; may hold lines that
        have been dropped since.
    """

    grid: Grid
    strong_level: int
    start: Ints = field(metadata=_EDGE)
    end: Ints = field(metadata=_EDGE)
    key: Ints = field(metadata=_EDGE)
    bridged: Bools = field(metadata=_EDGE)
    offsets: Ints
    row: Floats = field(metadata=_VERTEX)
    col: Floats = field(metadata=_VERTEX)
    d_row: Singles = field(metadata=_VERTEX)
    d_col: Singles = field(metadata=_VERTEX)
    width_px: Singles = field(metadata=_VERTEX)
    probability: Bytes = field(metadata=_VERTEX)
    node_key: Ints = field(metadata=_NODE)
    node_row: Floats = field(metadata=_NODE)
    node_col: Floats = field(metadata=_NODE)
    node_width_px: Singles = field(metadata=_NODE)
    node_shortening_px: Singles = field(metadata=_NODE)
    node_leaves_raster: Bools = field(metadata=_NODE)
    node_nodata_distance_px: Singles = field(metadata=_NODE)
    road_ends: RoadEnds = field(default_factory=RoadEnds.none)

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def edge_of_vertex(self) -> Ints:
        """Edge of each vertex, (V,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def edge_ends(self) -> tuple[Ints, Bools, Ints]:
        """Edge of each edge end, whether it is its end, not its start, and its node, (2 E,)."""
        at_end = np.repeat([False, True], len(self))
        return np.tile(np.arange(len(self)), 2), at_end, np.concatenate([self.start, self.end])

    @cached_property
    def degree(self) -> Ints:
        """Edge ends at each node, (N,); a loop counts twice."""
        _, _, node = self.edge_ends
        return np.bincount(node, minlength=len(self.node_key)).astype(np.int64)

    @cached_property
    def cumulative_length(self) -> Floats:
        """Distance of each vertex along all edges, one after the other, (V,) pixels."""
        return lengths_along(self.row, self.col)

    @cached_property
    def distance_along(self) -> tuple[Floats, Floats]:
        """Distance of each vertex along its edge from the start, and from the end, (V,) pixels."""
        total, edge = self.cumulative_length, self.edge_of_vertex
        return total - total[self.offsets[edge]], total[self.offsets[edge + 1] - 1] - total

    def first_vertex_beyond(self, along: Floats, distance: Floats, at_end: bool) -> Ints:
        """Return the first vertex of each edge at least a distance from one of its ends, (E,).

        Parameters
        ----------
        along : ndarray, shape (V,)
            Distance of each vertex from that end; see `distance_along`.
        distance : ndarray, shape (E,)
            Pixels, at most the edge's length.
        at_end : bool
            Measure from the edge's end, not from its start.
        """
        low, high = self.offsets[:-1], self.offsets[1:]
        while (searched := low < high).any():
            middle = np.where(searched, (low + high) // 2, low - 1)
            after = (along[middle] < distance) != at_end
            low, high = (
                np.where(searched & after, middle + 1, low),
                np.where(searched & ~after, middle, high),
            )
        return low - 1 if at_end else low

    @cached_property
    def length_px(self) -> Floats:
        """Length of each edge along its vertices, (E,) pixels."""

        def length(part: Centerlines) -> Floats:
            total = part.cumulative_length
            return np.asarray(total[part.offsets[1:] - 1] - total[part.offsets[:-1]], np.float64)

        return self.by_edge(length)

    @cached_property
    def mean_width_px(self) -> Floats:
        """Mean width of each edge, (E,) pixels."""

        def mean(part: Centerlines) -> Floats:
            total = np.bincount(part.edge_of_vertex, weights=part.width_px, minlength=len(part))
            return np.asarray(total / np.diff(part.offsets), np.float64)

        return self.by_edge(mean)

    def portions(self) -> Iterator[tuple[slice, Centerlines]]:
        """Give all edges in portions of few vertices, with their place among the edges.

        What is computed for each vertex takes more memory than the lines themselves, so it is
        computed for one portion after the other. Nodes keep their degree.
        """
        first = 0
        while first < len(self):
            low = self.offsets[first]
            stop = int(np.searchsorted(self.offsets, low + _PORTION, side="right")) - 1
            stop = max(stop, first + 1)
            edges, vertices = slice(first, stop), slice(low, self.offsets[stop])
            part = dataclasses.replace(
                self,
                offsets=self.offsets[first : stop + 1] - low,
                **{name: getattr(self, name)[edges] for name in EDGE_FIELDS},
                **{name: getattr(self, name)[vertices] for name in VERTEX_FIELDS},
            )
            yield edges, part.with_degree(self.degree)
            first = stop

    def with_degree(self, degree: Ints) -> Centerlines:
        """Return these edges, part of larger lines in which nodes have this degree, (N,)."""
        part = dataclasses.replace(self)
        part.__dict__["degree"] = degree
        return part

    def by_edge(self, measure: Callable[[Centerlines], Floats]) -> Floats:
        """Return what `measure` returns for the edges of each portion, (E,)."""
        return np.concatenate([np.empty(0), *(measure(part) for _, part in self.portions())])

    def select(self, keep: Bools) -> Centerlines:
        """Return some of the edges, with all nodes."""
        return self if keep.all() else self.take(np.flatnonzero(keep))

    def take(self, edges: Ints, flip: Bools | None = None) -> Centerlines:
        """Return some of the edges by number, in that order, with all nodes.

        Edges for which `flip`, same shape, is True are reversed.
        """
        out = self.with_edges(edges, self.offsets[edges], self.offsets[edges + 1], flip)
        if flip is None:
            return out
        start, end = np.where(flip, out.end, out.start), np.where(flip, out.start, out.end)
        return dataclasses.replace(out, start=start, end=end)

    def with_edges(
        self,
        edges: Ints,
        begin: Ints,
        stop: Ints,
        flip: Bools | None = None,
        first: Ints | None = None,
    ) -> Centerlines:
        """Return edges with the values of some of these edges and of ranges of their vertices.

        Parameters
        ----------
        edges : ndarray of int64, shape (F,)
            Edge from which each new edge takes its values.
        begin, stop : ndarray of int64, shape (R,)
            The new vertices take their values from the vertices ``begin..stop - 1``, range after
            range.
        flip : ndarray of bool, shape (R,), optional
            Ranges whose vertices are taken in reverse.
        first : ndarray of int64, shape (F,), optional
            First range of each new edge, ascending from 0; by default each range is an edge.
        """
        ends = np.concatenate([[0], np.cumsum(stop - begin)]).astype(np.int64)
        vertices: dict[str, Any] = {
            name: np.empty(ends[-1], getattr(self, name).dtype) for name in VERTEX_FIELDS
        }
        for place, index in ranges_in_portions(begin, stop, flip):
            for name, values in vertices.items():
                values[place] = getattr(self, name)[index]
        return dataclasses.replace(
            self,
            offsets=ends if first is None else np.append(ends[first], ends[-1]),
            **{name: getattr(self, name)[edges] for name in EDGE_FIELDS},
            **vertices,
        )

    def vertices_of(self, edges: Ints) -> Ints:
        """Return the vertices of some edges, edge after edge."""
        return concatenated_ranges(self.offsets[edges], self.offsets[edges + 1])

    def reversed_where(self, flip: Bools) -> Centerlines:
        """Return the lines with some of them reversed."""
        return self.take(np.arange(len(self)), flip) if flip.any() else self

    def pixel_lines(self) -> Lines:
        """Return the edges as LineStrings in (column, row), (E,)."""
        xy = np.stack([self.col, self.row], axis=1)
        return np.asarray(shapely.linestrings(xy, indices=self.edge_of_vertex), object)

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the edges as a table in the grid's CRS, to look at an intermediate step in QGIS.

        Examples
        --------
        >>> lines.to_geodataframe().to_file("step.gpkg")  # doctest: +SKIP
        """
        import geopandas

        size = np.diff(self.offsets)
        total = np.bincount(self.edge_of_vertex, weights=self.probability, minlength=len(self))
        xy = self.grid.xy(self.row, self.col)
        return geopandas.GeoDataFrame(
            {
                **{name: getattr(self, name) for name in EDGE_FIELDS},
                "start_degree": self.degree[self.start],
                "end_degree": self.degree[self.end],
                "length_m": self.length_px * self.grid.gsd_m,
                "width_m": self.mean_width_px * self.grid.gsd_m,
                "probability": total / size / 254,
            },
            geometry=shapely.linestrings(xy, indices=self.edge_of_vertex),
            crs=self.grid.crs,
        )


def _fields_per(what: str) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(Centerlines) if f.metadata.get("per") == what)


#: Names of the arrays with one value for each edge, vertex and node.
EDGE_FIELDS, VERTEX_FIELDS, NODE_FIELDS = map(_fields_per, ("edge", "vertex", "node"))


def lengths_along(row: Floats, col: Floats) -> Floats:
    """Return the distance along a polyline to each of its V points, (V,) pixels.

    Steps are rounded to multiples of 2**-20 pixels. Their sums are exact, so the distance between
    two points of an edge does not depend on the edge's place among the others.
    """
    step = np.rint(np.hypot(np.diff(row), np.diff(col)) * 2.0**20) / 2.0**20
    return np.concatenate([[0.0], np.cumsum(step)])


def ranges_in_portions(
    begin: Ints, stop: Ints, flip: Bools | None = None
) -> Iterator[tuple[slice, Ints]]:
    """Give concatenated ranges in portions, and where these belong in the whole.

    Parameters
    ----------
    begin, stop, flip
        See :meth:`Centerlines.with_edges`.
    """
    ends = np.concatenate([[0], np.cumsum(stop - begin)])
    low = 0
    while low < len(begin):
        high = int(np.searchsorted(ends, ends[low] + _PORTION, side="right")) - 1
        high = max(high, low + 1)
        index = concatenated_ranges(begin[low:high], stop[low:high])
        if flip is not None:
            size = np.diff(ends[low : high + 1])
            back = np.repeat(begin[low:high] + stop[low:high] - 1, size) - index
            index = np.where(np.repeat(flip[low:high], size), back, index)
        yield slice(ends[low], ends[high]), index
        low = high


def concatenated_ranges(start: Ints, stop: Ints) -> Ints:
    """Return ``start[0], ..., stop[0] - 1, start[1], ...`` as one array."""
    size = stop - start
    before = np.cumsum(size) - size
    return np.asarray(np.arange(int(size.sum())) + np.repeat(start - before, size), np.int64)
