"""GeoJSON after RFC 7946; decision 0042 says why GDAL does not write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import IO, Any

import numpy as np
import shapely

from roadgis.arrays import Floats
from roadgis.output.provenance import PROVENANCE_KEY
from roadgis.output.table import FeatureTable

#: Decimals of degrees: 1.1 cm or less.
DECIMALS = 7

_Position = list[float]


def write_geojson(table: FeatureTable, file: IO[str], provenance: str) -> None:
    """Write lines as a FeatureCollection, one feature a line of text.

    The same table gives the same bytes. Lines across the antimeridian are cut there (RFC 7946,
    3.1.9), and the bounding box's west is then larger than its east (5.2).

    Parameters
    ----------
    table : FeatureTable
        LineStrings in WGS 84, longitude first; a column ``id`` becomes the features' id too.
    file : text file
        Open for writing.
    provenance : str
        JSON text, written as a foreign member before the features.
    """
    coordinates, line = shapely.get_coordinates(table.shapes, return_index=True)
    positions = _rounded(coordinates)
    starts = np.searchsorted(line, np.arange(len(table) + 1)).tolist()
    steps = np.abs(np.diff(positions[:, 0])) > 180.0
    crossing = set(line[:-1][steps & (line[:-1] == line[1:])].tolist())

    file.write(f'{{"type":"FeatureCollection","{PROVENANCE_KEY}":{provenance}')
    if len(positions):
        file.write(f',"bbox":{_dumps(_bbox(positions))}')
    file.write(',"features":[')
    separator = "\n"
    for row, properties in enumerate(_properties(table)):
        # Line by line: Python lists of all positions would take ten times the memory.
        whole = positions[starts[row] : starts[row + 1]].tolist()
        feature = {
            "type": "Feature",
            "id": properties["id"],
            "properties": properties,
            "geometry": _geometry(_cut_at_antimeridian(whole) if row in crossing else [whole]),
        }
        file.write(separator + _dumps(feature))
        separator = ",\n"
    file.write("\n]}\n")


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _rounded(coordinates: Floats) -> Floats:
    """Return positions with the decimals that are written, longitudes in -180..180."""
    beyond = np.abs(coordinates[:, 0]) > 180.0
    coordinates[beyond, 0] = (coordinates[beyond, 0] + 180.0) % 360.0 - 180.0
    # Adding zero turns -0.0 into 0.0.
    rounded: Floats = np.round(coordinates, DECIMALS) + 0.0
    return rounded


def _properties(table: FeatureTable) -> Iterator[dict[str, Any]]:
    """Yield each row's attributes as JSON values; NaN is null."""
    values: list[Sequence[Any]] = [
        [value if np.isfinite(value) else None for value in column.tolist()]
        if column.dtype.kind == "f"
        else column.tolist()
        for column in table.columns.values()
    ]
    for row in zip(*values, strict=True):
        yield dict(zip(table.columns, row, strict=True))


def _geometry(parts: list[list[_Position]]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"type": "LineString", "coordinates": parts[0]}
    return {"type": "MultiLineString", "coordinates": parts}


def _cut_at_antimeridian(line: list[_Position]) -> list[list[_Position]]:
    """Cut a line where it steps from one side of 180 degrees to the other.

    A step of more than half the globe is the short way over the antimeridian: no road segment
    is that long.
    """
    parts = [[line[0]]]
    for before, after in pairwise(line):
        if abs(after[0] - before[0]) > 180.0:
            side = 180.0 if before[0] > 0 else -180.0
            to_edge = side - before[0]
            width = to_edge + after[0] + side
            share = to_edge / width if width else 0.0
            latitude = round(before[1] + share * (after[1] - before[1]), DECIMALS)
            if before[0] != side:
                parts[-1].append([side, latitude])
            parts.append([] if after[0] == -side else [[-side, latitude]])
        parts[-1].append(after)
    # A part of one position is a line that only touched the antimeridian with its end.
    whole = [part for part in parts if len(part) > 1]
    return whole or [line]


def _bbox(positions: Floats) -> list[float]:
    """Return west, south, east, north; west is the larger when that box is the narrower one."""
    x, y = positions.T
    west, east = float(x.min()), float(x.max())
    around = np.where(x < 0, x + 360.0, x)
    if west < 0 <= east and around.max() - around.min() < east - west:
        west = float(x[x >= 0].min())
        east = float(x[x < 0].max())
    return [west, float(y.min()), east, float(y.max())]
