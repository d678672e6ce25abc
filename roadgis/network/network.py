"""The road network as a value: nodes, edges, attributes, CRS and provenance."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Geod, Transformer

from roadgis.arrays import Bools, Floats, Ints, Lines, Objects
from roadgis.network.paths import components
from roadgis.why_empty import WhyEmpty

if TYPE_CHECKING:
    import geopandas


class AttributeColumn(NamedTuple):
    """Column of an attribute of edges in tables.

    Attributes
    ----------
    unknown : float, bool or None
        Value where the attribute is unknown: a number (NaN), a truth value or None for text.
    digits : int
        Decimals of numbers in tables.
    shapefile : str
        Name in Shapefiles, which allow 10 letters; empty for the attribute's own, cut.
    """

    unknown: float | bool | None
    digits: int = 0
    shapefile: str = ""

    def filled(self, count: int) -> npt.NDArray[Any]:
        """Return the values of edges for which the attribute is unknown, (count,)."""
        return np.full(count, self.unknown, object if self.unknown is None else type(self.unknown))

    def to_table(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values as a column of a table."""
        if self.unknown is None:
            return _text(values)
        return np.round(values, self.digits) if isinstance(self.unknown, float) else values

    def from_table(self, column: Any) -> npt.NDArray[Any]:
        """Return the values of a table's column, a pandas.Series."""
        if self.unknown is not None:
            return np.asarray(column.to_numpy(type(self.unknown)))
        out = np.empty(len(column), object)
        out[:] = [
            str(v) if known else None for v, known in zip(column, column.notna(), strict=True)
        ]
        return out


#: Attributes of edges, other than nodes and shape, in the order of the columns of tables.
EDGE_ATTRIBUTES: Mapping[str, AttributeColumn] = MappingProxyType(
    {
        "width_m": AttributeColumn(np.nan, 2),
        "width_p10_m": AttributeColumn(np.nan, 2, "width_p10"),
        "width_p90_m": AttributeColumn(np.nan, 2, "width_p90"),
        "confidence": AttributeColumn(np.nan, 4),
        "confidence_min": AttributeColumn(np.nan, 4, "conf_min"),
        "bridged": AttributeColumn(False),
        "source": AttributeColumn(None),
        "source_date": AttributeColumn(None, shapefile="src_date"),
    }
)

#: Steps per unit of a projected and of a geographic CRS to which `RoadNetwork.stable_id` rounds.
_ID_STEPS = {True: 10.0, False: 1e6}
#: Keeps coordinates of pixel centres away from where rounding changes.
_ID_SHIFT = 0.3183


def _not_given() -> Any:
    return None


def _text(values: Objects) -> Objects:
    """Return text with invalid Unicode, as in file names, replaced: no format can store it."""
    valid = np.empty(len(values), object)
    valid[:] = [None if v is None else str(v).encode("utf-8", "replace").decode() for v in values]
    return valid


def geodataframe(
    columns: Mapping[str, npt.NDArray[Any]], shapes: Objects, crs: CRS
) -> geopandas.GeoDataFrame:
    """Return columns and shapes as a table; missing text stays None in every version of pandas."""
    import geopandas
    import pandas

    series = {name: pandas.Series(values, dtype=values.dtype) for name, values in columns.items()}
    return geopandas.GeoDataFrame(series, geometry=shapes, crs=crs)


@dataclass(frozen=True)
class RoadNetwork:
    """Road centrelines, noded at junctions; E edges, N nodes.

    Attributes
    ----------
    crs : pyproj.CRS
        CRS of all coordinates.
    edges : ndarray of LineString, shape (E,)
        From the start node to the end node; a ring starts and ends at the same node.
    start, end : ndarray of int64, shape (E,)
        Node index.
    width_m, width_p10_m, width_p90_m : ndarray of float64, shape (E,)
        Median, 10th and 90th percentile of the road's width along the edge, metres; NaN
        where unknown.
    confidence, confidence_min : ndarray of float64, shape (E,)
        Mean and lowest probability along the centreline, 0..1; NaN where unknown.
    nodes : ndarray of float64, shape (N, 2)
        Coordinates.
    provenance : dict
        Version, model, settings and inputs it was made with, as JSON values.
    bridged : ndarray of bool, shape (E,)
        Whether the edge was inferred across a gap; all False when not given.
    source : ndarray of object, shape (E,)
        Name (str) of the sheet that shows the edge, None where unknown.
    source_date : ndarray of object, shape (E,)
        Acquisition date of that sheet, ISO 8601 (str), None where unknown.
    why_empty : WhyEmpty or None
        Why there are no edges; None if there are, or if the reason is unknown.
    """

    crs: CRS
    edges: Lines
    start: Ints
    end: Ints
    width_m: Floats
    confidence: Floats
    confidence_min: Floats
    nodes: Floats
    provenance: dict[str, Any] = field(default_factory=dict)
    width_p10_m: Floats = field(default_factory=_not_given)
    width_p90_m: Floats = field(default_factory=_not_given)
    bridged: Bools = field(default_factory=_not_given)
    source: Objects = field(default_factory=_not_given)
    source_date: Objects = field(default_factory=_not_given)
    why_empty: WhyEmpty | None = None

    def __post_init__(self) -> None:
        for name, column in EDGE_ATTRIBUTES.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, column.filled(len(self.edges)))

    @classmethod
    def empty(cls, crs: CRS) -> RoadNetwork:
        """Return a network without edges."""
        return cls(
            crs=crs,
            edges=np.empty(0, object),
            start=np.empty(0, np.int64),
            end=np.empty(0, np.int64),
            width_m=np.empty(0),
            confidence=np.empty(0),
            confidence_min=np.empty(0),
            nodes=np.empty((0, 2)),
        )

    def __len__(self) -> int:
        return len(self.edges)

    @property
    def degree(self) -> Ints:
        """Edge ends at each node, (N,) int64; a ring counts twice at its node."""
        ends = np.concatenate([self.start, self.end])
        return np.bincount(ends, minlength=len(self.nodes)).astype(np.int64)

    @cached_property
    def stable_id(self) -> Objects:
        """Identifier of each edge from its line alone, (E,) str of 16 hexadecimal digits.

        A hash of the coordinates in decimetres (1e-6 degrees), in the direction that sorts first:
        an edge with the same line has the same identifier in all networks in this CRS. Rounding is
        coarse, because a change nearby may move a junction by less than a millimetre.
        """
        steps = shapely.get_coordinates(self.edges) * _ID_STEPS[self.crs.is_projected]
        rounded = np.floor(steps + _ID_SHIFT).astype(np.int64)
        cuts = np.cumsum(shapely.get_num_coordinates(self.edges))[:-1]
        ids = np.empty(len(self.edges), object)
        for number, line in enumerate(np.split(rounded, cuts) if len(ids) else []):
            first = min(line.tobytes(), line[::-1].tobytes())
            ids[number] = hashlib.blake2b(first, digest_size=8).hexdigest()
        return ids

    @cached_property
    def component(self) -> Ints:
        """Connected component of each edge, (E,) int64; numbered in the order of the nodes."""
        if not len(self.edges):
            return np.empty(0, np.int64)
        label = components(len(self.nodes), np.stack([self.start, self.end], axis=1))
        used = np.unique(np.concatenate([self.start, self.end]))
        _, first, index = np.unique(label[used], return_index=True, return_inverse=True)
        place = np.empty(len(first), np.int64)
        place[np.argsort(first)] = np.arange(len(first))
        number = np.empty(len(self.nodes), np.int64)
        number[used] = place[index]
        return np.asarray(number[self.start], np.int64)

    @cached_property
    def length_m(self) -> Floats:
        """Geodesic length of each edge on the CRS's ellipsoid, (E,) metres."""
        return self._geodesic[0]

    @cached_property
    def sinuosity(self) -> Floats:
        """Length of each edge over the distance between its ends, (E,); NaN for rings."""
        length, chord = self._geodesic
        open_ = (self.start != self.end) & (chord > 0)
        # Both are rounded in their last digits; the ratio is never below 1.
        ratio = np.maximum(length / np.where(open_, chord, 1.0), 1.0)
        return np.where(open_, ratio, np.nan)

    @cached_property
    def _geodesic(self) -> tuple[Floats, Floats]:
        """Length of each edge, and the distance between its ends, metres."""
        geod = self.crs.get_geod() or Geod(ellps="WGS84")
        count = len(self.edges)
        lonlat = self._transformed(self.crs.geodetic_crs or CRS.from_epsg(4326))
        coordinates, index = shapely.get_coordinates(lonlat, return_index=True)
        if len(coordinates) < 2:
            return np.zeros(count), np.zeros(count)
        _, _, step = geod.inv(*coordinates[:-1].T, *coordinates[1:].T)
        inside = index[:-1] == index[1:]
        total = np.bincount(index[:-1][inside], np.asarray(step)[inside], minlength=count)
        first = np.searchsorted(index, np.arange(count))
        last = np.searchsorted(index, np.arange(count), side="right") - 1
        _, _, chord = geod.inv(*coordinates[first].T, *coordinates[last].T)
        return total.astype(np.float64, copy=False), np.asarray(chord, np.float64)

    def _transformed(self, crs: CRS) -> Lines:
        transformer = Transformer.from_crs(self.crs, crs, always_xy=True)
        return shapely.transform(
            self.edges, lambda xy: np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1)
        )

    def to_crs(self, crs: CRS) -> RoadNetwork:
        """Return the network with its coordinates in another CRS."""
        if crs == self.crs:
            return self
        transformer = Transformer.from_crs(self.crs, crs, always_xy=True)
        nodes = np.stack(transformer.transform(self.nodes[:, 0], self.nodes[:, 1]), axis=-1)
        return dataclasses.replace(
            self, crs=crs, edges=self._transformed(crs), nodes=nodes.reshape(-1, 2)
        )

    def with_provenance(self, **values: Any) -> RoadNetwork:
        """Return the network with values added to its provenance."""
        return dataclasses.replace(self, provenance={**self.provenance, **values})

    def select(self, keep: Bools) -> RoadNetwork:
        """Return the edges for which `keep`, (E,) bool, is True, with the nodes that they use.

        Edges keep their shapes, and are not joined at nodes whose degree has become 2. Nodes and
        edges are renumbered in the same order.
        """
        start, end = self.start[keep], self.end[keep]
        used, index = np.unique(np.concatenate([start, end]), return_inverse=True)
        return dataclasses.replace(
            self,
            start=index[: len(start)].astype(np.int64),
            end=index[len(start) :].astype(np.int64),
            nodes=self.nodes[used],
            **{name: getattr(self, name)[keep] for name in ("edges", *EDGE_ATTRIBUTES)},
        )

    def without_bridges(self) -> RoadNetwork:
        """Return the network without the edges that were inferred across gaps.

        Nodes at which a bridge met a line stay, even if only two edges are left there.
        """
        return self.select(~self.bridged)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the attributes of the edges by name, as all output formats have them."""
        return {
            "id": np.arange(len(self.edges), dtype=np.int64),
            "stable_id": _text(self.stable_id),
            "start_node": self.start,
            "end_node": self.end,
            "component": self.component,
            "length_m": np.round(self.length_m, 2),
            "sinuosity": np.round(self.sinuosity, 4),
            **{
                name: column.to_table(getattr(self, name))
                for name, column in EDGE_ATTRIBUTES.items()
            },
        }

    def node_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the attributes of the nodes by name: id, degree."""
        return {"id": np.arange(len(self.nodes), dtype=np.int64), "degree": self.degree}

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the edges as a table, with the attributes of all output formats."""
        return geodataframe(self.columns(), self.edges, self.crs)

    def nodes_to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the nodes as a table: id, degree."""
        shapes = np.asarray(shapely.points(self.nodes.reshape(-1, 2)), object)
        return geodataframe(self.node_columns(), shapes, self.crs)

    def to_networkx(self) -> Any:
        """Return a ``networkx.MultiGraph``: nodes with x, y; edges keyed by id with attributes.

        Raises
        ------
        MissingExtraError
            If networkx is not installed.
        """
        from roadgis.errors import MissingExtraError

        try:
            import networkx
        except ImportError as error:
            raise MissingExtraError(
                "to_networkx needs networkx, which is not installed. "
                "Install it with: pip install networkx"
            ) from error
        graph = networkx.MultiGraph(crs=self.crs.to_wkt(), **self.provenance)
        for node, (x, y) in enumerate(self.nodes.tolist()):
            graph.add_node(node, x=x, y=y)
        table = self.to_geodataframe()
        for row in table.to_dict("records"):
            graph.add_edge(row.pop("start_node"), row.pop("end_node"), key=row["id"], **row)
        return graph

    def to_routing_tables(self) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
        """Return nodes and edges as OSMnx and pandana expect them.

        Returns
        -------
        nodes : geopandas.GeoDataFrame
            Indexed by ``osmid`` (node id), with the columns x, y and street_count.
        edges : geopandas.GeoDataFrame
            Indexed by (u, v, key), one row for each direction (the direction of traffic is
            unknown), rings once; with the columns osmid (edge id), length (metres), reversed,
            and the attributes. Each geometry runs from u to v.

        Notes
        -----
        ``osmnx.graph_from_gdfs(nodes, edges)`` makes an OSMnx graph (``convert`` in some
        versions). For pandana, ``edges.reset_index()`` has ``u`` and ``v``::

            flat = edges.reset_index()
            pandana.Network(nodes.x, nodes.y, flat.u, flat.v, flat[["length"]], twoway=False)
        """
        import pandas

        nodes = self.nodes_to_geodataframe().rename(
            columns={"id": "osmid", "degree": "street_count"}
        )
        nodes.insert(1, "x", self.nodes[:, 0])
        nodes.insert(2, "y", self.nodes[:, 1])
        there = self.to_geodataframe().rename(
            columns={"id": "osmid", "start_node": "u", "end_node": "v", "length_m": "length"}
        )
        there["reversed"] = False
        back = there[there["u"] != there["v"]].rename(columns={"u": "v", "v": "u"})
        back = back.set_geometry(shapely.reverse(np.asarray(back.geometry, object)), crs=self.crs)
        back["reversed"] = True
        edges = pandas.concat([there, back[there.columns]], ignore_index=True)
        edges = edges.sort_values(["u", "v", "osmid"], ignore_index=True)
        edges["key"] = edges.groupby(["u", "v"]).cumcount()
        return nodes.set_index("osmid"), edges.set_index(["u", "v", "key"])
