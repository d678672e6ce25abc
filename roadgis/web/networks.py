"""Networks as files of a job: reading them back, comparing two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyproj import CRS

from roadgis.network.network import EDGE_ATTRIBUTES, RoadNetwork
from roadgis.output.provenance import read_provenance

LONLAT = CRS.from_epsg(4326)
#: Lines nearer to each other than this are the same road, metres.
SAME_M = 3.0
_STEP_M = 4.0


Lines = npt.NDArray[np.object_]


def read_network(path: Path) -> RoadNetwork:
    """Read a network from the GeoPackage that :func:`roadgis.output.write_network` wrote."""
    edges = pyogrio.read_dataframe(path, layer="edges").sort_values("id", ignore_index=True)
    nodes = pyogrio.read_dataframe(path, layer="nodes").sort_values("id", ignore_index=True)
    attributes: dict[str, Any] = {
        # A file of an earlier version lacks attributes that were added since.
        name: column.from_table(edges[name]) if name in edges else column.filled(len(edges))
        for name, column in EDGE_ATTRIBUTES.items()
    }
    return RoadNetwork(
        crs=CRS.from_user_input(edges.crs),
        edges=np.asarray(edges.geometry, object),
        start=edges["start_node"].to_numpy(np.int64),
        end=edges["end_node"].to_numpy(np.int64),
        nodes=shapely.get_coordinates(np.asarray(nodes.geometry, object)),
        provenance=read_provenance(path),
        **attributes,
    )


def differences(old: Lines, new: Lines) -> tuple[Lines, Lines]:
    """Return the parts of two networks without a counterpart in the other.

    Parameters
    ----------
    old, new : ndarray of LineString
        In metres.

    Returns
    -------
    added, removed : ndarray of LineString
        Parts of `new` that are farther than 3 m from `old`, and the other way round.
    """
    return _apart(new, old), _apart(old, new)


def _apart(lines: Lines, others: Lines) -> Lines:
    """Return the parts of some lines that are far from all others."""
    if not len(lines) or not len(others):
        return lines
    dense = shapely.segmentize(lines, _STEP_M)
    xy, line = shapely.get_coordinates(dense, return_index=True)
    tree = shapely.STRtree(others)
    near = np.zeros(len(xy), bool)
    point, _ = tree.query(shapely.points(xy), predicate="dwithin", distance=SAME_M)
    near[point] = True
    far = ~near
    # Runs of far points of one line.
    change = np.flatnonzero((np.diff(far.astype(np.int8)) != 0) | (np.diff(line) != 0)) + 1
    out = [
        shapely.linestrings(xy[first:last])
        for first, last in zip([0, *change], [*change, len(xy)], strict=True)
        if far[first] and last - first > 2
    ]
    return np.array(out, object)
