"""Corrections applied to a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from roadgis.arrays import Lines
from roadgis.lines.noding import noded
from roadgis.network.from_lines.clean_lines import DrawnNetwork
from roadgis.network.network import EDGE_ATTRIBUTES, RoadNetwork
from roadgis.web.networks import LONLAT, SAME_M
from roadgis.web.store import Edit, iso

#: An edge is the one that was corrected when this share of it lies along the corrected line.
_SHARE = 0.7
#: Ends of drawn roads nearer to another road than this are moved onto it, metres.
_ATTACH_M = 8.0
#: Drawn roads run along another one, and are not drawn again, where they are this near, metres.
_ALONG_M = 3.0
#: Fields of a corrected network: what was done, by whom and when.
_MARKS = ("edit", "edit_user", "edit_time")


def corrected(
    network: RoadNetwork, number: int, edits: Sequence[Edit], originals: dict[int, RoadNetwork]
) -> DrawnNetwork:
    """Return a network with corrections applied.

    Its fields `edit`, `edit_user` and `edit_time` say what was accepted or drawn. Edges that were
    not corrected keep their shapes and attributes; where a drawn road meets them they are split.

    Parameters
    ----------
    network : RoadNetwork
        Network to correct.
    number : int
        Its number.
    edits : sequence of Edit
        In the order in which they were made.
    originals : dict of int to RoadNetwork
        The networks that the edits were made in, by their numbers.
    """
    metric = _metric(network)
    places = np.asarray(geopandas.GeoSeries(network.edges, crs=network.crs).to_crs(metric), object)
    tree = shapely.STRtree(places)
    keep = np.ones(len(network), bool)
    marks = np.full((len(_MARKS), len(network)), None, object)
    drawn: list[_Drawn] = []
    for edit in edits:
        width = np.nan
        if edit.edge is not None:
            original = originals[edit.network]
            width = float(original.width_m[edit.edge])
            rows = np.array([edit.edge])
            if edit.network != number:
                line = geopandas.GeoSeries([original.edges[edit.edge]], crs=original.crs)
                rows = _along(places, tree, line.to_crs(metric).iloc[0])
            keep[rows] = edit.action == "accept"
            if edit.action == "accept":
                marks[:, rows] = np.array([["accepted"], [edit.user], [iso(edit.time)]], object)
        if edit.action in ("draw", "redraw"):
            line = geopandas.GeoSeries([shapely.linestrings(edit.geometry)], crs=LONLAT)
            kind = "redrawn" if edit.action == "redraw" else "drawn"
            mark = (kind, edit.user, iso(edit.time))
            drawn.append(_Drawn(line.to_crs(metric).iloc[0], width, mark))
    kept = _marked(network, marks).select(keep)
    return _with_drawn(kept, places[keep], drawn, metric) if drawn else kept


class _Drawn(NamedTuple):
    """A road that was drawn: its line in metres, its width, and what, who and when."""

    line: Any
    width_m: float
    mark: tuple[str, str, str]


def _marked(network: RoadNetwork, marks: Lines) -> DrawnNetwork:
    values = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    return DrawnNetwork(**values | {"fields": dict(zip(_MARKS, marks, strict=True))})


def _with_drawn(
    network: DrawnNetwork, places: Lines, drawn: Sequence[_Drawn], metric: CRS
) -> DrawnNetwork:
    """Return a network with drawn roads noded into it; `places` are its edges in metres."""
    new = _attached(np.array([road.line for road in drawn], object), places)
    pieces, parent = noded(np.concatenate([places, new]), 0.0, node_crossings=True)
    order = np.argsort(parent, kind="stable")
    pieces, parent = pieces[order], parent[order]
    ends = shapely.get_coordinates(
        [shapely.get_point(pieces, 0), shapely.get_point(pieces, -1)]
    ).reshape(-1, 2)
    nodes, node = np.unique(ends, axis=0, return_inverse=True)
    start, end = node.reshape(2, -1)
    points = geopandas.GeoSeries(shapely.points(nodes), crs=metric).to_crs(network.crs)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(network, name), values])[parent]
        for name, values in _attributes(drawn).items()
    }
    fields = {
        name: np.concatenate([values, np.array([road.mark[at] for road in drawn], object)])[parent]
        for at, (name, values) in enumerate(network.fields.items())
    }
    return dataclasses.replace(
        network,
        edges=np.asarray(geopandas.GeoSeries(pieces, crs=metric).to_crs(network.crs), object),
        start=start.astype(np.int64),
        end=end.astype(np.int64),
        nodes=shapely.get_coordinates(np.asarray(points, object)),
        fields=fields,
        **columns,
    )


def _attributes(drawn: Sequence[_Drawn]) -> dict[str, Any]:
    """Return the attributes of edges that were drawn."""
    return {
        **{name: column.filled(len(drawn)) for name, column in EDGE_ATTRIBUTES.items()},
        "width_m": np.array([road.width_m for road in drawn]),
        "confidence": np.ones(len(drawn)),
        "confidence_min": np.ones(len(drawn)),
    }


def _attached(lines: Lines, others: Lines) -> Lines:
    """Cut off the ends of lines that run along another line, and move ends near one onto it."""
    out: Lines = lines.copy()
    for number, line in enumerate(lines):
        rest = np.concatenate([others, out[:number]])
        if not len(rest):
            continue
        tree = shapely.STRtree(rest)
        xy = _trimmed(shapely.get_coordinates(shapely.segmentize(line, 2 * _ALONG_M)), tree)
        for at in (0, -1):
            end = shapely.points(xy[at])
            near = tree.query_nearest(end, max_distance=_ATTACH_M)
            if len(near):
                xy[at] = _place_on(rest[near[0]], end)
        out[number] = shapely.simplify(shapely.linestrings(xy), 0.05)
    return out


def _trimmed(xy: npt.NDArray[np.float64], tree: shapely.STRtree) -> npt.NDArray[np.float64]:
    """Return vertices without those at both ends that lie along other lines, all but the last."""
    along = np.zeros(len(xy), bool)
    along[tree.query(shapely.points(xy), predicate="dwithin", distance=_ALONG_M)[0]] = True
    apart = np.flatnonzero(~along)
    if not len(apart):
        return xy
    return xy[max(apart[0] - 1, 0) : apart[-1] + 2]


def _place_on(line: Any, point: Any) -> npt.NDArray[np.float64]:
    """Return the nearest place on a line; an end of it where one is about as near."""
    along = shapely.line_locate_point(line, point)
    if min(along, line.length - along) <= _ATTACH_M / 2:
        along = 0.0 if along <= line.length / 2 else line.length
    found: npt.NDArray[np.float64] = shapely.get_coordinates(
        shapely.line_interpolate_point(line, along)
    )[0]
    return found


def _metric(network: RoadNetwork) -> Any:
    if network.crs.is_projected:
        return network.crs
    lon, lat = network.nodes.mean(axis=0) if len(network.nodes) else (0.0, 0.0)
    return CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")


def _along(places: Lines, tree: shapely.STRtree, line: Any) -> npt.NDArray[np.int64]:
    """Return which edges lie along a line."""
    room = shapely.buffer(line, SAME_M + 1)
    rows = tree.query(room, predicate="intersects")
    inside = shapely.length(shapely.intersection(places[rows], room))
    found: npt.NDArray[np.int64] = rows[inside >= _SHARE * shapely.length(places[rows])]
    return found
