"""Measures of a merged network by unit, and the units that differ from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.batch.lengths import pieces, share_of_length
from roadgis.errors import DataError, InputError, ReadError

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class Measure:
    """A measure of each unit.

    Attributes
    ----------
    column : str
        Column in the table of units.
    title, unit : str
        Name and unit of measurement in the report.
    digits : int
        Number of decimals in the report.
    floor : float
        Differences below this are ignored.
    """

    column: str
    title: str
    unit: str
    digits: int
    floor: float


#: In the order of the maps in the report.
MEASURES = (
    Measure("km_per_km2", "Road density", "km/km²", 1, 1.0),
    Measure("mean_confidence", "Mean confidence", "", 2, 0.05),
    Measure("bridged_share", "Bridged share of length", "", 3, 0.02),
    Measure("blank_share", "Share without data", "", 2, 0.2),
    Measure("seam_dead_ends", "Dead ends at seams", "", 0, 3.0),
    Measure("missing_km", "Missing against the base", "km", 1, 0.5),
    Measure("extra_km", "Extra against the base", "km", 1, 0.5),
)
#: Dead ends within this distance of the border between two units are at a seam, pixels.
_SEAM_PX = 3.0
#: Standard deviation of a normal distribution over its median absolute deviation.
_MAD = 1.4826


def read_merged(path: Path) -> tuple[geopandas.GeoDataFrame, npt.NDArray[np.object_]]:
    """Read the edges of a merged network, and its dead ends as points.

    Raises
    ------
    ReadError
        If the file cannot be read.
    """
    import geopandas

    layer = {"layer": "edges"} if path.suffix.lower() == ".gpkg" else {}
    try:
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            edges = geopandas.read_parquet(path)
        else:
            edges = geopandas.read_file(path, **layer)
    except (OSError, ValueError, RuntimeError) as error:
        raise ReadError(
            f"{path}: the merged network cannot be read ({error}). Make it with 'roadgis batch "
            "merge', and name it with --network."
        ) from error
    ends = np.concatenate([edges["start_node"], edges["end_node"]])
    points = np.concatenate(
        [shapely.get_point(edges.geometry, 0), shapely.get_point(edges.geometry, -1)]
    )
    node, first, count = np.unique(ends, return_index=True, return_counts=True)
    del node
    return edges, np.asarray(points[first[count == 1]], object)


def measured(
    units: geopandas.GeoDataFrame,
    edges: geopandas.GeoDataFrame,
    dead_ends: npt.NDArray[np.object_],
    gsd_m: float,
) -> geopandas.GeoDataFrame:
    """Add measures of the network to the table of units.

    Parameters
    ----------
    units : geopandas.GeoDataFrame
        See :func:`roadgis.batch.report.table.unit_table`.
    edges : geopandas.GeoDataFrame
        Edges in any CRS, with ``length_m``, ``confidence`` and ``bridged``.
    dead_ends : ndarray of Point
        Dead ends in the CRS of the edges.
    gsd_m : float
        Pixel size, metres.

    Returns
    -------
    geopandas.GeoDataFrame
        The table with the new columns network_km, km_per_km2, mean_confidence, bridged_share,
        blank_share and seam_dead_ends.
    """
    import geopandas

    table = units.copy()
    lines = edges.to_crs(units.crs)
    count = len(table)
    unit, edge, length = pieces(np.asarray(table.geometry), np.asarray(lines.geometry))
    # Lengths on the ellipsoid, divided as the pieces in the plane are.
    own = shapely.length(np.asarray(lines.geometry))
    metres = length * (np.asarray(edges["length_m"]) / np.maximum(own, 1e-9))[edge]
    total = np.bincount(unit, metres, count)
    confidence = np.asarray(edges["confidence"], float)[edge]
    bridged = np.asarray(edges["bridged"], bool)[edge]
    known = np.isfinite(confidence)
    weight = np.bincount(unit[known], metres[known], count)
    table["network_km"] = np.round(total / 1000, 4)
    valid_share = np.asarray(table["valid_share"], float)
    seen_m2 = np.asarray(table["pixels"], float) * gsd_m**2 * np.nan_to_num(valid_share)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["km_per_km2"] = np.where(seen_m2 > 0, total / 1000 / (seen_m2 / 1e6), np.nan)
        table["mean_confidence"] = np.where(
            weight > 0,
            np.bincount(unit[known], metres[known] * confidence[known], count) / weight,
            np.nan,
        )
    table["bridged_share"] = share_of_length(unit, metres, bridged, count)
    table["blank_share"] = 1.0 - valid_share
    points = np.asarray(geopandas.GeoSeries(dead_ends, crs=edges.crs).to_crs(units.crs), object)
    table["seam_dead_ends"] = _at_seams(np.asarray(table.geometry), points, _SEAM_PX * gsd_m)
    return table


def _at_seams(
    shapes: npt.NDArray[np.object_], points: npt.NDArray[np.object_], reach: float
) -> npt.NDArray[np.int64]:
    """Count the points of each shape near its border with another shape, (U,)."""
    if not len(points):
        return np.zeros(len(shapes), np.int64)
    point, shape = shapely.STRtree(shapes).query(points, predicate="dwithin", distance=reach)
    shared = np.bincount(point, minlength=len(points)) > 1
    return np.bincount(shape[shared[point]], minlength=len(shapes)).astype(np.int64)


def oddest(table: geopandas.GeoDataFrame, count: int = 20) -> geopandas.GeoDataFrame:
    """Return the units that differ most from the units around them.

    For each measure, the difference between a unit and the median of its neighbours (up to two
    units away) is divided by the scaled median of these differences in the county. The oddness of
    a unit is the largest quotient; units up to 1 are like the others.

    Returns
    -------
    geopandas.GeoDataFrame
        Rows of the table, by falling oddness, with the columns ``oddness`` and ``why``.
    """
    done = table[table["status"].isin(["done", "skipped"])].reset_index(drop=True)
    score = np.zeros(len(done))
    why = np.full(len(done), "", object)
    near = _neighbours(done)
    for measure in MEASURES:
        if measure.column not in done:
            continue
        values = np.asarray(done[measure.column], float)
        usual = np.array([_median(values[others]) for others in near])
        away = np.abs(values - usual)
        scale = max(_MAD * _median(away), measure.floor)
        odd = np.where(np.isfinite(away), away / scale, 0.0)
        odd[away < measure.floor] = 0.0
        for at in np.flatnonzero(odd > score):
            score[at] = odd[at]
            why[at] = (
                f"{measure.title.lower()} {values[at]:.{measure.digits}f}, around it "
                f"{usual[at]:.{measure.digits}f} {measure.unit}"
            ).strip()
    done["oddness"], done["why"] = np.round(score, 1), why
    chosen = done[score > 1].sort_values(["oddness", "unit"], ascending=[False, True])
    return chosen.head(count)


def _neighbours(table: geopandas.GeoDataFrame) -> list[npt.NDArray[np.int64]]:
    if not len(table):
        return []
    shapes = np.asarray(table.geometry)
    low = shapely.bounds(shapes)
    side = float((low[:, 2:] - low[:, :2]).max())
    unit, other = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=1.5 * side)
    keep = unit != other
    unit, other = unit[keep], other[keep]
    rank = np.argsort(unit, kind="stable")
    cuts = np.searchsorted(unit[rank], np.arange(1, len(shapes)))
    return list(np.split(other[rank], cuts))


def _median(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def zone_totals(
    zones: Path, edges: geopandas.GeoDataFrame, field: str | None = None
) -> list[tuple[str, float, float]]:
    """Return name, kilometres and bridged kilometres of each zone, sorted by name.

    Parameters
    ----------
    zones : Path
        Polygons in any CRS, such as municipalities.
    edges : geopandas.GeoDataFrame
        The network, with ``length_m`` and ``bridged``.
    field : str, optional
        Field with the names of zones; by default the first text field.

    Raises
    ------
    DataError, InputError
        If the layer or the field cannot be used.
    """
    import geopandas

    try:
        table = geopandas.read_file(zones)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{zones}: the zones cannot be read ({error}). Check the file.") from error
    if table.crs is None:
        raise DataError(f"{zones}: the zones have no CRS. Assign one, for example in QGIS.")
    table = table.to_crs(edges.crs)
    texts = [
        name
        for name in table.columns
        if name != table.geometry.name and table[name].map(lambda v: isinstance(v, str)).any()
    ]
    name = field or (texts[0] if texts else None)
    if name is None or name not in table:
        raise InputError(
            f"{zones}: found no field {field!r} with the zones' names; there are "
            f"{', '.join(table.columns.drop(table.geometry.name))}. Name one with --zone-field."
        )
    lines = np.asarray(edges.geometry)
    zone, edge, length = pieces(np.asarray(table.geometry.make_valid()), lines)
    metres = (
        length * (np.asarray(edges["length_m"]) / np.maximum(shapely.length(lines), 1e-9))[edge]
    )
    bridged = metres * np.asarray(edges["bridged"], bool)[edge]
    totals: dict[str, list[float]] = {str(value): [0.0, 0.0] for value in table[name]}
    names = [str(value) for value in table[name]]
    for at, all_m, bridged_m in zip(zone.tolist(), metres.tolist(), bridged.tolist(), strict=True):
        totals[names[at]][0] += all_m / 1000
        totals[names[at]][1] += bridged_m / 1000
    return [(key, *values) for key, values in sorted(totals.items())]  # type: ignore[misc]


def base_lengths(
    table: geopandas.GeoDataFrame, network: Path, base: Path, progress: Any
) -> tuple[geopandas.GeoDataFrame, dict[str, Any]]:
    """Add missing_km and extra_km against a base network; also return a summary."""
    from roadgis.comparison import compare

    comparison = compare(network, base, progress=progress)
    out = table.copy()
    for name in ("missing", "extra"):
        lines = np.asarray(getattr(comparison, name).to_crs(table.crs).geometry)
        unit, _, length = pieces(np.asarray(table.geometry), lines)
        out[f"{name}_km"] = np.round(np.bincount(unit, length, len(table)) / 1000, 3)
    return out, comparison.to_dict()
