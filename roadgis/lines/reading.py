"""Read line layers from vector files and tables."""

from __future__ import annotations

import logging
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.crs import continuous, in_degrees
from roadgis.errors import DataError
from roadgis.lines.layer import LineLayer
from roadgis.lines.parts import flat_parts, is_placed
from roadgis.vector_files.reading import LayerFile

_LOG = logging.getLogger(__name__)

_KINDS = ((0, "point", "points"), (3, "polygon", "polygons"))
_LINES = (1, 2)
# A vertex at (0, 0) or with exchanged coordinates makes a line of thousands of kilometres.
_LONGEST_STEP_M, _LONGEST_STEP_DEGREES = 1e6, 15.0
_LONG_STEP = "a vertex more than 1,000 km from the one before"
_IMPOSSIBLE = "impossible coordinates (NaN, infinite or above 1e12)"


def read_lines(
    path: Path | str,
    *,
    layer: str | None = None,
    assume_crs: str | None = None,
    layer_option: str = "--layer",
) -> LineLayer:
    """Read a layer of lines in any format of OGR.

    Multipart geometries and collections are taken apart; heights and measures are dropped, as
    are lines without a length, with impossible coordinates (NaN, infinite, above 1e12) or
    with a vertex more than 1,000 km from the one before; of lines that occur several times, in
    either direction, one is kept. What was left out is logged, and listed in the layer's `issues`.

    Parameters
    ----------
    path : Path or str
        GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet and so on; also a URL.
    layer : str, optional
        Which layer; needed where the file has several with geometries.
    assume_crs : str, optional
        CRS of a layer that has none; one that the file states goes before it.
    layer_option : str
        Name of the option for `layer`, for messages.

    Returns
    -------
    LineLayer
        In the layer's CRS. It may have no line where the layer has no feature.

    Raises
    ------
    DataError
        If the file cannot be read, the layer is not there or not clear, it has no CRS, or it
        holds geometries but no lines.
    InputError
        If `assume_crs` is not known.
    """
    source = LayerFile(
        path, layer, assume_crs, layer_option=layer_option, crs_option="--assume-crs"
    )
    out = line_layer(source.read(), name=source.name, crs=source.crs)
    for issue in out.issues:
        _LOG.warning("%s: %s", out.name, issue)
    return out


def line_layer(
    table: geopandas.GeoDataFrame, *, name: str = "The lines", crs: CRS | None = None
) -> LineLayer:
    """Return the lines of a table as a layer; see :func:`read_lines`.

    Parameters
    ----------
    table : geopandas.GeoDataFrame
        Features with geometries.
    name : str
        For messages.
    crs : pyproj.CRS, optional
        Horizontal CRS; the table's own when not given.

    Raises
    ------
    DataError
        If there is no CRS, or there are geometries but no lines.
    """
    if crs is None and table.crs is None:
        raise DataError(f"{name}: found no coordinate reference system. Set one with set_crs.")
    crs = CRS.from_user_input(table.crs if crs is None else crs)
    shapes = np.asarray(table.geometry.array, object)
    issues: list[str] = []
    none = int((shapely.is_missing(shapes) | shapely.is_empty(shapes)).sum())
    _add_issue(
        issues, none, "feature without a usable geometry", "features without a usable geometry"
    )
    parts, owners = flat_parts(shapes)
    kinds = shapely.get_type_id(parts)
    is_line = np.isin(kinds, _LINES)
    others = [(int((kinds == kind).sum()), one, many) for kind, one, many in _KINDS]
    if len(parts) and not is_line.any():
        raise _no_lines(name, others)
    for count, one, many in others:
        _add_issue(issues, count, one, many)
    lines, feature = _clean(parts[is_line], owners[is_line].astype(np.int64), crs, issues)
    lines, feature = _once(lines, feature, issues)
    if in_degrees(crs):
        lines, crossing = continuous(lines)
        if crossing:
            plural = "lines cross" if crossing > 1 else "line crosses"
            issues.append(f"{crossing:,} {plural} the antimeridian")
    return LineLayer(name, crs, lines, feature, table, tuple(issues))


def _no_lines(name: str, others: list[tuple[int, str, str]]) -> DataError:
    found = " and ".join(
        f"{count:,} {one if count == 1 else many}" for count, one, many in others if count
    )
    return DataError(
        f"{name}: found {found} and no lines; expected the centrelines of roads. Choose a layer of "
        "lines. Of road surfaces, draw the centrelines, or burn a mask and vectorize it "
        "('roadgis labels', 'roadgis vectorize')."
    )


def _add_issue(issues: list[str], count: int, one: str, many: str, what: str = "left out") -> None:
    if count:
        was = "was" if count == 1 else "were"
        issues.append(f"{count:,} {one if count == 1 else many} {was} {what}")


def _clean(lines: Lines, feature: Ints, crs: CRS, issues: list[str]) -> tuple[Lines, Ints]:
    """Drop lines with impossible coordinates, repeated vertices, lines without length."""
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    broken = ~is_placed(lines)
    _add_issue(
        issues,
        int(broken.sum()),
        f"line with {_IMPOSSIBLE}",
        f"lines with {_IMPOSSIBLE}",
    )
    astray = ~broken & _has_long_step(coordinates, line, len(lines), crs)
    _add_issue(issues, int(astray.sum()), f"line with {_LONG_STEP}", f"lines with {_LONG_STEP}")
    broken |= astray
    new = np.ones(len(line), bool)
    new[1:] = (line[1:] != line[:-1]) | (coordinates[1:] != coordinates[:-1]).any(axis=1)
    flat = ~broken & (np.bincount(line[new], minlength=len(lines)) < 2)
    _add_issue(issues, int(flat.sum()), "line without a length", "lines without a length")
    good = ~(broken | flat)
    use = new & good[line]
    number = np.cumsum(good) - 1
    rebuilt = shapely.linestrings(coordinates[use], indices=number[line[use]])
    return np.asarray(rebuilt, object), feature[good]


def _has_long_step(coordinates: Floats, line: npt.NDArray[np.intp], count: int, crs: CRS) -> Bools:
    """Return which lines have a step longer than any road's, (count,)."""
    with np.errstate(invalid="ignore", over="ignore"):
        step = np.abs(np.diff(coordinates, axis=0))
    if in_degrees(crs):
        # Across the antimeridian the shorter way around counts.
        step[:, 0] = np.minimum(step[:, 0], np.abs(360.0 - step[:, 0]))
        most = _LONGEST_STEP_DEGREES
        # Metres that are stated to be degrees are an error of the whole layer, found later.
        step[(np.abs(coordinates[1:]) > (540.0, 90.0001)).any(axis=1)] = 0.0
    else:
        most = _LONGEST_STEP_M / crs.axis_info[0].unit_conversion_factor
    long = (step > most).any(axis=1) & (line[1:] == line[:-1])
    out = np.zeros(count, np.bool_)
    out[line[1:][long]] = True
    return out


def _once(lines: Lines, feature: Ints, issues: list[str]) -> tuple[Lines, Ints]:
    """Keep the first of lines that are the same, in either direction."""
    keys = shapely.to_wkb(shapely.normalize(lines))
    # Later ones are overwritten by earlier ones.
    at = dict(zip(keys[::-1].tolist(), range(len(keys) - 1, -1, -1), strict=True))
    keep = np.sort(np.fromiter(at.values(), np.int64, len(at)))
    repeated = len(lines) - len(keep)
    _add_issue(issues, repeated, "repetition of a line", "repetitions of lines")
    return lines[keep], feature[keep]
