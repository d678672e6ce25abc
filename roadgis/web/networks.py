"""Networks as files of a job: reading them back, comparing two, applying corrections."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pandas
import pyogrio
import shapely
from pyproj import CRS

from roadgis.network.network import RoadNetwork
from roadgis.output.provenance import read_provenance
from roadgis.web.store import Edit

__all__ = ["LONLAT", "corrected", "differences", "read_network"]

LONLAT = CRS.from_epsg(4326)
#: Lines nearer to each other than this are the same road, metres.
_SAME_M = 3.0
_STEP_M = 4.0
#: An edge is the one that was corrected when this share of it lies along the corrected line.
_SHARE = 0.7

Lines = npt.NDArray[np.object_]


def read_network(path: Path) -> RoadNetwork:
    """Read a network from the GeoPackage that :func:`roadgis.output.write_network` wrote."""
    edges = pyogrio.read_dataframe(path, layer="edges").sort_values("id", ignore_index=True)
    nodes = pyogrio.read_dataframe(path, layer="nodes").sort_values("id", ignore_index=True)
    numbers = ("width_m", "width_p10_m", "width_p90_m", "confidence", "confidence_min")
    return RoadNetwork(
        crs=CRS.from_user_input(edges.crs),
        edges=np.asarray(edges.geometry, object),
        start=edges["start_node"].to_numpy(np.int64),
        end=edges["end_node"].to_numpy(np.int64),
        nodes=shapely.get_coordinates(np.asarray(nodes.geometry, object)),
        provenance=read_provenance(path),
        bridged=edges["bridged"].to_numpy(bool),
        source=_texts(edges["source"]),
        source_date=_texts(edges["source_date"]),
        **{name: edges[name].to_numpy(np.float64) for name in numbers},
    )


def _texts(column: pandas.Series) -> npt.NDArray[np.object_]:
    out = np.empty(len(column), object)
    out[:] = [None if pandas.isna(value) else str(value) for value in column]
    return out


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
    point, _ = tree.query(shapely.points(xy), predicate="dwithin", distance=_SAME_M)
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


def corrected(
    network: RoadNetwork, number: int, edits: Sequence[Edit], originals: dict[int, RoadNetwork]
) -> geopandas.GeoDataFrame:
    """Return a network's edges with corrections applied, as a table in the network's CRS.

    Parameters
    ----------
    network : RoadNetwork
        What is corrected.
    number : int
        Its number.
    edits : sequence of Edit
        In the order in which they were made.
    originals : dict of int to RoadNetwork
        The networks that the edits were made in, by their numbers.
    """
    table = network.to_geodataframe()
    table = table.drop(columns=["start_node", "end_node", "component", "length_m", "sinuosity"])
    table["edit"], table["edit_user"], table["edit_time"] = None, None, None
    metric = _metric(network)
    places = np.asarray(geopandas.GeoSeries(table.geometry).to_crs(metric), object)
    tree = shapely.STRtree(places)
    drop = np.zeros(len(table), bool)
    new: list[dict[str, Any]] = []
    for edit in edits:
        stamp = {"edit_user": edit.user, "edit_time": _iso(edit.time)}
        if edit.edge is not None:
            original = originals[edit.network]
            if edit.network == number:
                rows = np.array([edit.edge])
            else:
                line = geopandas.GeoSeries([original.edges[edit.edge]], crs=original.crs)
                rows = _along(places, tree, line.to_crs(metric).iloc[0])
            if edit.action == "accept":
                table.loc[rows, "edit"] = "accepted"
                table.loc[rows, ["edit_user", "edit_time"]] = stamp["edit_user"], stamp["edit_time"]
                drop[rows] = False
            else:
                drop[rows] = True
        if edit.action in ("draw", "redraw"):
            line = geopandas.GeoSeries([shapely.linestrings(edit.geometry)], crs=LONLAT)
            width = np.nan
            if edit.edge is not None:
                width = float(originals[edit.network].width_m[edit.edge])
            new.append(
                {
                    "width_m": width,
                    "confidence": 1.0,
                    "bridged": False,
                    "edit": "redrawn" if edit.action == "redraw" else "drawn",
                    **stamp,
                    "geometry": line.to_crs(network.crs).iloc[0],
                }
            )
    table = table[~drop]
    if new:
        added = geopandas.GeoDataFrame(new, crs=network.crs)
        table = geopandas.GeoDataFrame(
            pandas.concat([table.astype({"bridged": bool}), added], ignore_index=True),
            crs=network.crs,
        )
    table["id"] = np.arange(len(table))
    return table


def _metric(network: RoadNetwork) -> Any:
    if network.crs.is_projected:
        return network.crs
    lon, lat = network.nodes.mean(axis=0) if len(network.nodes) else (0.0, 0.0)
    return CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")


def _along(places: Lines, tree: shapely.STRtree, line: Any) -> npt.NDArray[np.int64]:
    """Return which edges lie along a line."""
    room = shapely.buffer(line, _SAME_M + 1)
    rows = tree.query(room, predicate="intersects")
    inside = shapely.length(shapely.intersection(places[rows], room))
    found: npt.NDArray[np.int64] = rows[inside >= _SHARE * shapely.length(places[rows])]
    return found


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(
        timespec="seconds"
    )
