"""Tables for the review: one per class, with scores and the attributes of both networks."""

from __future__ import annotations

import json
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS

from roadgis.arrays import Floats, Ints
from roadgis.comparison.offset_grid import OffsetField
from roadgis.comparison.segments import Segments
from roadgis.options.comparison import CompareOptions
from roadgis.vector_files.reading import GEOMETRY_FIELD

#: Prefixes of the attributes of both networks.
BASE, ROAD = "base_", "road_"
#: A piece of this length scores half as much as a very long one.
_HALF_SURE_M = 25.0


def attributes(table: pd.DataFrame, rows: Ints, prefix: str) -> pd.DataFrame:
    """Return a network's attributes for pieces.

    Parameters
    ----------
    rows : ndarray of int64, shape (K,)
        The feature of each piece; -1 for none.
    prefix : str
        Put before each name.

    Returns
    -------
    DataFrame
        K rows; with an ``id``, which is the feature's number from 0 where the network has none.
        Values that no table of a GeoPackage can hold (lists) are JSON text.
    """
    geometry = table.geometry.name if isinstance(table, geopandas.GeoDataFrame) else None
    plain = pd.DataFrame(table.drop(columns=[geometry] if geometry is not None else []))
    plain = plain.reset_index(drop=True)
    if "id" not in {str(name).lower() for name in plain.columns}:
        plain.insert(0, "id", np.arange(len(plain), dtype=np.int64))
    taken: dict[str, str] = {}
    for column in plain.columns:
        name = "geometry" if column == GEOMETRY_FIELD else column
        wanted, number = f"{prefix}{name}", 1
        # SQLite treats names that differ only in case as equal.
        while wanted.lower() in taken:
            number += 1
            wanted = f"{prefix}{name}_{number}"
        taken[wanted.lower()] = wanted
    plain.columns = pd.Index(list(taken.values()))
    for name in plain.columns:
        if plain[name].dtype == object:
            plain[name] = plain[name].map(_plain)
    # Reindexing turns whole numbers into floats, even where none is missing.
    out = plain.take(rows) if (rows >= 0).all() else plain.reindex(np.where(rows < 0, -1, rows))
    return out.reset_index(drop=True)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, dict, tuple, set, np.ndarray)):
        return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value, default=str)
    return value


def scores(name: str, pieces: Segments, confidence: Floats, options: CompareOptions) -> Floats:
    """Return the confidence in the class of each of K pieces, (K,), 0..1.

    Parameters
    ----------
    confidence : ndarray of float64, shape (K,)
        Confidence of the extraction; NaN where unknown, which counts as 1.

    Notes
    -----
    Long pieces score higher than short ones. A road that the other network lacks is doubtful where
    the other has a parallel one close by, as it may be the other carriageway or a pavement. Roads
    of the extraction alone are weighted by their confidence.
    """
    sure = np.where(np.isnan(confidence), 1.0, np.clip(confidence, 0.0, 1.0))
    length = pieces.length_m / (pieces.length_m + _HALF_SURE_M)
    if name == "matched":
        score = 1.0 - np.nan_to_num(pieces.mean_m) / options.max_distance_m
    elif name == "moved":
        score = length * sure * np.minimum(1.0, pieces.largest_m / (2 * options.moved_m))
    else:
        clear = np.clip(pieces.beside_m / (2 * options.max_distance_m), 0.1, 1.0)
        score = length * clear * (sure if name == "extra" else 1.0)
    return np.asarray(np.round(np.clip(score, 0.0, 1.0), 3), np.float64)


def review_table(
    name: str,
    pieces: Segments,
    lines: npt.NDArray[np.object_],
    own: pd.DataFrame,
    other: pd.DataFrame | None,
    score: Floats,
    crs: CRS,
) -> geopandas.GeoDataFrame:
    """Return the table of one class with K pieces, highest score first.

    Parameters
    ----------
    lines : ndarray of LineString, shape (K,)
        Geometry of the pieces, in `crs`.
    own, other : DataFrame
        Attributes of their features and of the matched ones; K rows.
    """
    unmatched = name in {"missing", "extra"}
    largest = pieces.beside_m if unmatched else pieces.largest_m
    columns: dict[str, Any] = {
        "class": np.full(len(score), name, object),
        "score": score,
        "length_m": np.round(pieces.length_m, 2),
        "distance_m": np.round(np.where(np.isfinite(largest), largest, np.nan), 2),
    }
    if not unmatched:
        columns["mean_distance_m"] = np.round(pieces.mean_m, 2)
        columns["direction_deg"] = azimuth_deg(pieces.shift)
    columns["reviewed"] = np.zeros(len(score), bool)
    columns["note"] = np.full(len(score), "", object)
    parts = [pd.DataFrame(columns), *([] if other is None else [other]), own]
    table = geopandas.GeoDataFrame(pd.concat(parts, axis=1), geometry=lines, crs=crs)
    order = np.lexsort([np.arange(len(score)), -columns["length_m"], -score])
    return table.iloc[order].reset_index(drop=True)


def azimuth_deg(shift: Floats) -> Floats:
    """Return the compass direction of displacements (K, 2), 0 to 360; NaN for 0 m."""
    some = np.hypot(shift[:, 0], shift[:, 1]) > 0.005
    angle = np.round(np.degrees(np.arctan2(shift[:, 0], shift[:, 1])) % 360.0, 1) % 360.0
    return np.asarray(np.where(some, angle, np.nan), np.float64)


def offset_table(field: OffsetField, crs: CRS) -> geopandas.GeoDataFrame:
    """Return the offset in each cell of its grid that it was estimated in, as points."""
    shift = field.at(field.places)
    return geopandas.GeoDataFrame(
        {
            "id": np.arange(1, len(shift) + 1),
            "dx_m": np.round(shift[:, 0], 2),
            "dy_m": np.round(shift[:, 1], 2),
            "distance_m": np.round(np.hypot(shift[:, 0], shift[:, 1]), 2),
            "direction_deg": azimuth_deg(shift),
            "stations": field.count,
            "residual_m": np.round(field.residual, 2),
        },
        geometry=shapely.points(field.places),
        crs=crs,
    )
