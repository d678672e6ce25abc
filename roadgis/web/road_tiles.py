"""Road networks cut into map tiles and simplified by zoom, so that browsers draw 100,000 edges."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyproj import CRS

from roadgis.network.network import EDGE_ATTRIBUTES

_WEB = CRS.from_epsg(3857)
_HALF_M = 20037508.342789244
#: Units of a tile's side in the answers; a pixel on the screen has 16.
TILE_UNITS = 4096
#: How far a tile's lines reach beyond it, pixels: half of the widest stroke.
_BUFFER_PX = 8
#: Attributes in the table, as the page names them.
_COLUMNS = ("id", "component", "length_m", "sinuosity", *EDGE_ATTRIBUTES)


def tile_bounds(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a tile in Web Mercator metres."""
    side = 2 * _HALF_M / 2**z
    west, north = x * side - _HALF_M, _HALF_M - y * side
    return west, north - side, west + side, north


class NetworkTiles:
    """The edges of a network, ready to be cut into tiles.

    Parameters
    ----------
    path : Path
        The GeoPackage of a network.
    """

    def __init__(self, path: Path) -> None:
        table = pyogrio.read_dataframe(path, layer="edges")
        table = table.sort_values("id", ignore_index=True)
        self._lines = np.asarray(table.geometry.to_crs(_WEB), object)
        lonlat = table.geometry.to_crs(4326)
        self._lonlat = np.asarray(lonlat, object)
        self._table = table[[name for name in _COLUMNS if name in table.columns]]
        self._confidence = self._table["confidence"].to_numpy(np.float64)
        self._width = self._table["width_m"].to_numpy(np.float64)
        self._bridged = self._table["bridged"].to_numpy(bool)
        self._component = self._table["component"].to_numpy(np.int64)
        self._tree = shapely.STRtree(self._lines)
        bounds = shapely.bounds(self._lines).reshape(-1, 4)
        self._boxes = np.asarray(shapely.box(*bounds.T), object)
        self._extent_m = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        self._middle = (bounds[:, :2] + bounds[:, 2:]) / 2
        self.bounds: list[float] | None = None
        if len(table):
            self.bounds = [float(v) for v in lonlat.total_bounds]

    def __len__(self) -> int:
        return len(self._lines)

    def tile(self, z: int, x: int, y: int) -> dict[str, Any]:
        """Return the edges of a tile.

        Returns
        -------
        dict
            ``units`` along the tile's side, and ``edges``: lists of id, confidence (percent or
            None), width (decimetres or None), whether bridged, component, and a flat list of
            coordinates, x and y from the tile's north-west corner, each the difference to the
            one before.
        """
        west, south, east, north = tile_bounds(z, x, y)
        pixel = (east - west) / 256
        reach = _BUFFER_PX * pixel
        box = shapely.box(west - reach, south - reach, east + reach, north + reach)
        rows = self._tree.query(box, predicate="intersects")
        rows = self._distinct(np.sort(rows), pixel)
        lines = shapely.simplify(self._lines[rows], 0.6 * pixel)
        beyond = ~shapely.within(self._boxes[rows], box)
        lines[beyond] = shapely.clip_by_rect(lines[beyond], *box.bounds)
        parts, line = shapely.get_parts(lines, return_index=True)
        xy, part = shapely.get_coordinates(parts, return_index=True)
        scale = TILE_UNITS / (east - west)
        units = np.rint((xy - (west, north)) * (scale, -scale)).astype(np.int64)
        steps = np.diff(units, axis=0, prepend=0)
        first = np.flatnonzero(np.diff(part, prepend=-1))
        steps[first] = units[first]
        flat = steps.ravel().tolist()
        ends = 2 * np.append(first, len(part))[1:]
        about = zip(*self._brief(rows[line[part[first]]]), strict=True)
        edges = [
            [*values, flat[begin:end]]
            for values, begin, end in zip(about, (2 * first).tolist(), ends.tolist(), strict=True)
            if end - begin > 2
        ]
        return {"units": TILE_UNITS, "edges": edges}

    def _distinct(self, rows: npt.NDArray[np.int64], pixel: float) -> npt.NDArray[np.int64]:
        """Return the edges, of very many small ones only one for each square of 2 pixels."""
        square = 2 * pixel
        small = self._extent_m[rows] < square
        if small.sum() < 500:
            return rows
        column, row = (self._middle[rows[small]] // square).astype(np.int64).T
        _, first = np.unique(column << 32 | row & 0xFFFFFFFF, return_index=True)
        return np.sort(np.concatenate([rows[~small], rows[small][first]]))

    def _brief(self, rows: npt.NDArray[np.int64]) -> list[list[Any]]:
        """Return id, confidence, width, bridged and component of edges, a list of each."""
        return [
            rows.tolist(),
            _whole_numbers(100 * self._confidence[rows]),
            _whole_numbers(10 * self._width[rows]),
            self._bridged[rows].astype(int).tolist(),
            self._component[rows].tolist(),
        ]

    def edge(self, number: int) -> dict[str, Any] | None:
        """Return an edge with all attributes as a GeoJSON feature; None when there is none."""
        if not 0 <= number < len(self._lines):
            return None
        values = {name: _plain(value) for name, value in self._table.iloc[number].items()}
        return {
            "type": "Feature",
            "id": number,
            "geometry": {
                "type": "LineString",
                "coordinates": shapely.get_coordinates(self._lonlat[number]).round(7).tolist(),
            },
            "properties": values,
        }

    def doubtful(self) -> list[dict[str, Any]]:
        """Return id, reason and bounds of the edges to look at, the most doubtful first.

        Bridges, which were never seen, and what is unsure; in the order of confidence.
        """
        sure = np.nan_to_num(self._confidence, nan=0.0)
        order = np.argsort(np.where(self._bridged, 0.8 * sure, sure), kind="stable")
        bounds = shapely.bounds(self._lonlat).reshape(-1, 4)
        return [
            {
                "edge": int(row),
                "reason": "bridge" if self._bridged[row] else "confidence",
                "confidence": _plain(self._confidence[row]),
                "bounds": [round(float(v), 7) for v in bounds[row]],
            }
            for row in order
            if self._bridged[row] or sure[row] < 0.8
        ]

    def coordinates(self, number: int) -> list[list[float]] | None:
        """Return an edge's line, longitude and latitude; None when there is none."""
        if not 0 <= number < len(self._lines):
            return None
        found: list[list[float]] = shapely.get_coordinates(self._lonlat[number]).round(7).tolist()
        return found


def _whole_numbers(values: npt.NDArray[np.float64]) -> list[int | None]:
    known = np.isfinite(values)
    # Halves are rounded up, as browsers do it for the table of attributes.
    whole = np.floor(np.where(known, values, 0) + 0.5).astype(np.int64).tolist()
    return [number if is_known else None for number, is_known in zip(whole, known, strict=True)]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


#: A map asks for many tiles at once; only the first request reads the network.
_OPENING = threading.Lock()


@lru_cache(maxsize=6)
def _cached(path: Path, version: tuple[int, int]) -> NetworkTiles:
    return NetworkTiles(path)


def open_layer(path: Path) -> NetworkTiles:
    """Return a network's layer; the last few stay in memory.

    Raises
    ------
    FileNotFoundError
        If there is no such network.
    """
    status = path.stat()
    with _OPENING:
        return _cached(path, (status.st_mtime_ns, status.st_size))
