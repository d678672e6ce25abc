"""Two layers of lines on one metric CRS, inside the area."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import geopandas
import numpy as np
import pandas
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Floats, Ints, Lines
from roadgis.errors import EmptyTruthError, InputError
from roadgis.evaluation.area import clipped
from roadgis.imagery.area import load_area
from roadgis.lines import LineLayer, line_layer, metric_crs, read_lines
from roadgis.network.network import RoadNetwork

_LOG = logging.getLogger(__name__)


#: Inputs of an evaluation: a file, a layer, a table or a network.
LinesLike: TypeAlias = Path | str | LineLayer | geopandas.GeoDataFrame | RoadNetwork

#: Layers farther apart than this have a wrong CRS, or are not of the same place.
_FAR_M = 10_000.0
#: Share of the truth outside the proposal's extent that gives a warning.
_OUTSIDE = 0.1
_MARGIN_M = 50.0


@dataclass(frozen=True)
class Side:
    """One of both layers; L lines, M parts of them inside the area.

    Attributes
    ----------
    layer : LineLayer
        As read.
    lines : ndarray of LineString, shape (L,)
        On the metric CRS, in an order that does not depend on the layer's.
    feature : ndarray of int64, shape (L,)
        Row of the layer's table.
    inside : ndarray of LineString, shape (M,)
    source : ndarray of int64, shape (M,)
        Index into `lines`.
    """

    layer: LineLayer
    lines: Lines
    feature: Ints
    inside: Lines
    source: Ints

    def values(self, field: str) -> Floats | None:
        """Return a numeric field of each line, (L,); None without such a field.

        Values that are not numbers are NaN.
        """
        if field not in self.layer.table:
            return None
        column = pandas.to_numeric(self.layer.table[field], errors="coerce")
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan)[self.feature])


@dataclass(frozen=True)
class Measured:
    """Both layers, ready to be measured.

    Attributes
    ----------
    crs : pyproj.CRS
        Metric; of all lines and the area.
    issues : tuple of str
        Warnings about the layers.
    """

    truth: Side
    proposal: Side
    crs: CRS
    area: BaseGeometry | None
    issues: tuple[str, ...]


def as_layer(lines: LinesLike, name: str) -> LineLayer:
    """Return anything that can be evaluated as a layer.

    Parameters
    ----------
    name : str
        Name for messages of a layer without a name of its own.

    Raises
    ------
    InputError
        If it is something else, or cannot be read as lines.
    """
    if isinstance(lines, LineLayer):
        return lines
    if isinstance(lines, RoadNetwork):
        return _with_warnings(line_layer(lines.to_geodataframe(), name=name, crs=lines.crs))
    if isinstance(lines, geopandas.GeoDataFrame):
        return _with_warnings(line_layer(lines, name=name))
    if isinstance(lines, (str, Path)):
        return read_lines(lines)
    raise InputError(
        f"{name} is a {type(lines).__name__}; expected a vector file, a LineLayer, a GeoDataFrame "
        "or a RoadNetwork."
    )


def _with_warnings(layer: LineLayer) -> LineLayer:
    # Reading a file logs its issues itself.
    for issue in layer.issues:
        _LOG.warning("%s: %s", layer.name, issue)
    return layer


def measured(proposal: LineLayer, truth: LineLayer, aoi: Any = None) -> Measured:
    """Put two layers on one metric CRS and cut them to the area.

    Parameters
    ----------
    proposal, truth : LineLayer
        In any CRS.
    aoi : path, geometry, GeoSeries or GeoDataFrame, optional
        Polygons in any CRS; a bare geometry is in the truth's.

    Raises
    ------
    EmptyTruthError
        If the truth has no lines, or none inside.
    InputError
        If the layers lie more than 10 km apart.
    """
    if not len(truth.lines):
        raise EmptyTruthError(
            f"{truth.name}: holds no lines, so there is nothing to compare with. Expected the "
            "centrelines of the true roads; check the file and its layer."
        )
    crs = metric_crs(truth, proposal)
    area = None if aoi is None else load_area(aoi, truth.crs, crs)
    sides = [_side(layer, crs, area) for layer in (truth, proposal)]
    ours, theirs = sides
    issues = [f"{layer.name}: {issue}" for layer in (truth, proposal) for issue in layer.issues]
    _check_distance(ours, theirs)
    if not len(ours.inside):
        raise EmptyTruthError(
            f"{truth.name}: none of its {len(ours.lines):,} lines lies inside the area of "
            "interest, so there is nothing to compare with. Expected an area that holds true "
            "roads; check that the area and the truth are of the same place, and their CRSs."
        )
    coverage = _coverage(ours, theirs, area is not None)
    for issue in coverage:
        _LOG.warning("%s", issue)
    issues.extend(coverage)
    return Measured(ours, theirs, crs, area, tuple(issues))


def _side(layer: LineLayer, crs: CRS, area: BaseGeometry | None) -> Side:
    lines = layer.on(crs)
    order = np.lexsort((shapely.length(lines), *shapely.bounds(lines).T))
    lines = lines[order]
    inside, source = clipped(lines, area)
    return Side(layer, lines, layer.feature[order], inside, source)


def _check_distance(ours: Side, theirs: Side) -> None:
    if not len(theirs.lines):
        return
    apart = shapely.distance(*(shapely.box(*shapely.total_bounds(s.lines)) for s in (ours, theirs)))
    if apart > _FAR_M:
        raise InputError(
            f"{theirs.layer.name} lies {apart / 1000:,.0f} km from {ours.layer.name}; expected "
            "layers of the same place. One of them probably states the wrong CRS "
            f"({theirs.layer.crs.name}; {ours.layer.crs.name}): assign the right one in a GIS."
        )


def _coverage(ours: Side, theirs: Side, has_area: bool) -> list[str]:
    """Return issues with the extents of the layers."""
    name = theirs.layer.name
    if not len(theirs.lines):
        return [f"{name}: holds no lines; all scores are 0"]
    if not len(theirs.inside):
        return [f"{name}: no line lies inside the area of interest; all scores are 0"]
    if has_area:
        return []
    # Roads at the edge of the extent may lie just outside.
    extent = shapely.total_bounds(theirs.lines) + np.array([-1, -1, 1, 1]) * _MARGIN_M
    covered = shapely.clip_by_rect(ours.inside, *extent)
    outside = 1.0 - float(shapely.length(covered).sum() / shapely.length(ours.inside).sum())
    if outside < _OUTSIDE:
        return []
    return [
        f"{outside:.0%} of the truth's length lies outside the extent of {name} and counts as "
        "missed; where the proposal was not meant to reach, give an area of interest"
    ]
