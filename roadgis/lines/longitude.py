"""Lines across the antimeridian: continuous longitudes, lines taken from CRS to CRS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from roadgis.scene.georef import in_degrees, transformer

__all__ = ["continuous", "transformed"]

Lines = npt.NDArray[np.object_]


def continuous(lines: Lines) -> tuple[Lines, int]:
    """Let longitudes go on beyond 180 degrees where a line crosses the antimeridian.

    From one vertex to the next a line takes the shorter way around the Earth: 179, -179
    becomes 179, 181.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In degrees, longitude first.

    Returns
    -------
    ndarray of LineString, shape (L,)
        The lines; those that do not cross as they are.
    int
        How many have been changed.
    """
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    turns = np.zeros(len(coordinates))
    same = line[1:] == line[:-1]
    turns[1:] = np.where(same, np.round(np.diff(coordinates[:, 0]) / 360.0), 0.0)
    if not turns.any():
        return lines, 0
    # Up to a line's first vertex the turns of the lines before it have been added up, too.
    total = np.cumsum(turns)
    first = np.concatenate([[True], ~same])
    total -= total[first][np.cumsum(first) - 1]
    crossing = np.unique(line[total != 0])
    coordinates[:, 0] -= 360.0 * total
    changed = np.isin(line, crossing)
    out = lines.copy()
    out[crossing] = shapely.linestrings(
        coordinates[changed], indices=np.searchsorted(crossing, line[changed])
    )
    return out, len(crossing)


def transformed(lines: Lines, source: CRS, target: CRS) -> Lines:
    """Return lines in another CRS; in degrees they are continuous across the antimeridian.

    Parameters
    ----------
    lines : ndarray of LineString, shape (L,)
        In `source`.
    source, target : pyproj.CRS
        Coordinates are in x, y order in both.

    Returns
    -------
    ndarray of LineString, shape (L,)
        With as many vertices; not finite where `target` cannot express a place.
    """
    if source == target or not len(lines):
        return lines
    to_target = transformer(source, target)
    moved: Lines = shapely.transform(
        lines, lambda xy: np.stack(to_target.transform(xy[:, 0], xy[:, 1]), axis=-1)
    )
    finite = np.isfinite(shapely.bounds(moved)).all(axis=1)
    if in_degrees(target) and finite.all():
        moved, _ = continuous(moved)
    return moved
