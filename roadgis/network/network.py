"""The road network as a value: nodes, edges, attributes, CRS and provenance."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Geod, Transformer

if TYPE_CHECKING:
    import geopandas

__all__ = ["RoadNetwork"]


@dataclass(frozen=True)
class RoadNetwork:
    """Road centrelines, noded at junctions; E edges, N nodes.

    Attributes
    ----------
    crs : pyproj.CRS
        Of all coordinates.
    edges : ndarray of LineString, shape (E,)
        From the start node to the end node; a ring starts and ends at the same node.
    start, end : ndarray of int64, shape (E,)
        Node index.
    width_m : ndarray of float64, shape (E,)
        Median road width, metres; NaN where unknown.
    confidence, confidence_min : ndarray of float64, shape (E,)
        Mean and lowest probability along the centreline, 0..1; NaN where unknown.
    nodes : ndarray of float64, shape (N, 2)
        Coordinates.
    provenance : dict
        What made it: version, model, settings, inputs. Plain JSON values.
    """

    crs: CRS
    edges: npt.NDArray[np.object_]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    width_m: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    confidence_min: npt.NDArray[np.float64]
    nodes: npt.NDArray[np.float64]
    provenance: dict[str, Any] = field(default_factory=dict)

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
    def degree(self) -> npt.NDArray[np.int64]:
        """Edge ends at each node, (N,) int64; a ring counts twice at its node."""
        ends = np.concatenate([self.start, self.end])
        return np.bincount(ends, minlength=len(self.nodes)).astype(np.int64)

    @property
    def length_m(self) -> npt.NDArray[np.float64]:
        """Geodesic length of each edge on the CRS's ellipsoid, (E,) metres."""
        geod = self.crs.get_geod() or Geod(ellps="WGS84")
        lonlat = self._transformed(self.crs.geodetic_crs or CRS.from_epsg(4326))
        coordinates, index = shapely.get_coordinates(lonlat, return_index=True)
        if len(coordinates) < 2:
            return np.zeros(len(self.edges))
        _, _, step = geod.inv(
            coordinates[:-1, 0], coordinates[:-1, 1], coordinates[1:, 0], coordinates[1:, 1]
        )
        inside = index[:-1] == index[1:]
        total = np.bincount(
            index[:-1][inside], weights=np.asarray(step)[inside], minlength=len(self.edges)
        )
        return total.astype(np.float64, copy=False)

    def _transformed(self, crs: CRS) -> npt.NDArray[np.object_]:
        transformer = Transformer.from_crs(self.crs, crs, always_xy=True)
        return shapely.transform(
            self.edges,
            lambda xy: np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1),
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
        """Return the network with more provenance."""
        return dataclasses.replace(self, provenance={**self.provenance, **values})

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the edges as a table: id, start_node, end_node, length_m, then the attributes."""
        import geopandas

        return geopandas.GeoDataFrame(
            {
                "id": np.arange(len(self.edges), dtype=np.int64),
                "start_node": self.start,
                "end_node": self.end,
                "length_m": np.round(self.length_m, 2),
                "width_m": np.round(self.width_m, 2),
                "confidence": np.round(self.confidence, 4),
                "confidence_min": np.round(self.confidence_min, 4),
            },
            geometry=self.edges,
            crs=self.crs,
        )

    def nodes_to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the nodes as a table: id, degree."""
        import geopandas

        return geopandas.GeoDataFrame(
            {"id": np.arange(len(self.nodes), dtype=np.int64), "degree": self.degree},
            geometry=shapely.points(self.nodes.reshape(-1, 2)),
            crs=self.crs,
        )

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
