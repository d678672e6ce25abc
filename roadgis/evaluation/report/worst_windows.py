"""Find the squares with the most missed and false road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.arrays import Floats

#: Pieces of line are counted by their middles; none is longer than this share of a square.
_PIECE = 1 / 8


@dataclass(frozen=True)
class Place:
    """A square of the map.

    Attributes
    ----------
    bounds : tuple of float
        West, south, east, north, metres of the metric CRS.
    missed_m, false_m : float
        Length of missed and of false road in it, metres.
    """

    bounds: tuple[float, float, float, float]
    missed_m: float
    false_m: float

    @property
    def wrong_m(self) -> float:
        """Length of missed and false road together, metres."""
        return self.missed_m + self.false_m


def worst_places(
    misses: npt.NDArray[np.object_],
    false_roads: npt.NDArray[np.object_],
    *,
    side_m: float,
    count: int,
) -> list[Place]:
    """Find the squares with the most missed and false road.

    Four grids of squares, half a side apart, are counted, so that no place is cut in half by
    the only grid; squares that overlap a worse one are left out.

    Parameters
    ----------
    misses, false_roads : ndarray of LineString, shapes (M,) and (F,)
        In a metric CRS.
    side_m : float
        Side of the squares, metres.
    count : int
        How many at most.

    Returns
    -------
    list of Place
        The worst first; of equals the western, then the southern one first. None without error.
    """
    points, lengths = zip(
        *(_middles(lines, side_m) for lines in (misses, false_roads)), strict=True
    )
    where = np.concatenate(points)
    missed = np.concatenate([lengths[0], np.zeros(len(lengths[1]))])
    false = np.concatenate([np.zeros(len(lengths[0])), lengths[1]])
    found = [
        _cells(where, missed, false, side_m, np.array([x, y]) * side_m)
        for x in (0.0, 0.5)
        for y in (0.0, 0.5)
    ]
    cells = np.concatenate(found)
    # Lengths to the millimetre: sums in another order must not change which square is first.
    cells[:, 2:] = np.round(cells[:, 2:], 3)
    wrong = np.round(cells[:, 2] + cells[:, 3], 3)
    kept: list[Place] = []
    for at in np.lexsort((cells[:, 1], cells[:, 0], -wrong)):
        west, south, missed_m, false_m = cells[at].tolist()
        if len(kept) == count or wrong[at] <= 0:
            break
        if all(
            max(abs(west - place.bounds[0]), abs(south - place.bounds[1])) >= side_m - 1e-6
            for place in kept
        ):
            bounds = (west, south, west + side_m, south + side_m)
            kept.append(Place(bounds, missed_m, false_m))
    return kept


def _middles(lines: npt.NDArray[np.object_], side_m: float) -> tuple[Floats, Floats]:
    """Return the middles of short straight pieces of the lines, (P, 2), and their lengths (P,)."""
    short = shapely.segmentize(lines, side_m * _PIECE)
    points, line = shapely.get_coordinates(short, return_index=True)
    same = line[1:] == line[:-1]
    start, end = points[:-1][same], points[1:][same]
    return (start + end) / 2, np.hypot(*(end - start).T)


def _cells(where: Floats, missed: Floats, false: Floats, side_m: float, shift: Floats) -> Floats:
    """Return west, south, missed and false length of each cell of one grid that holds any."""
    index = np.floor((where - shift) / side_m).astype(np.int64)
    cells, inverse = np.unique(index, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    sums = [
        np.bincount(inverse, weights=length, minlength=len(cells)) for length in (missed, false)
    ]
    return np.column_stack([cells * side_m + shift, *sums])
