"""Which input sheet shows a line, and when that sheet was taken."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import shapely
from pyproj import CRS

from roadgis.arrays import Ints, Lines, Objects
from roadgis.crs import transformer
from roadgis.imagery.georeferencing import footprint
from roadgis.imagery.raster import Raster
from roadgis.imagery.scene import Scene


class SheetIndex:
    """The outlines of a scene's sheets in the grid's CRS; see :meth:`of`.

    Parameters
    ----------
    rasters : sequence of Raster
        The first lies on top.
    crs : pyproj.CRS
        CRS of the lines.
    """

    def __init__(self, rasters: Sequence[Raster], crs: CRS) -> None:
        self._rasters = tuple(rasters)
        self._names = short_names([raster.name for raster in self._rasters])
        self._outlines = _outlines(self._rasters, crs)

    @classmethod
    def from_scene(cls, scene: Scene) -> SheetIndex:
        """Return the sheets of a scene, for lines in the CRS of its grid."""
        return cls(scene.sheets, scene.grid.crs)

    def of(self, lines: Lines) -> tuple[Objects, Objects]:
        """Find the sheet that shows most of each line.

        Where sheets overlap, the one on top counts, as in the mosaic, even if it is blank there. Of
        sheets that show equal parts, the uppermost counts.

        Parameters
        ----------
        lines : ndarray of LineString, shape (L,)
            Lines in the CRS of the grid.

        Returns
        -------
        names : ndarray of str or None, shape (L,)
            The sheet's file name, with its folders where two sheets have the same name; None
            outside all sheets.
        dates : ndarray of str or None, shape (L,)
            Acquisition date, ISO 8601; None where it is not known.
        """
        sheet = self._main_sheet(np.asarray(lines, object))
        # The last entry is that of lines outside all sheets, whose number is -1.
        names = np.array([*self._names, None], object)
        dates = np.array([*(raster.date for raster in self._rasters), None], object)
        return names[sheet], dates[sheet]

    def _main_sheet(self, lines: Lines) -> Ints:
        """Return the number of the sheet that shows most of each line, -1 for none, (L,)."""
        line, sheet = shapely.STRtree(self._outlines).query(lines, predicate="intersects")
        rank = np.lexsort([sheet, line])
        line, sheet = line[rank], sheet[rank]
        best, most = np.full(len(lines), -1), np.zeros(len(lines))
        rest = lines.copy()
        turn = np.arange(len(line)) - np.searchsorted(line, line)
        order = np.argsort(turn, kind="stable")
        # Each line's uppermost sheet, then what the next one shows of the rest, and so on.
        for members in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
            at, number = line[members], sheet[members]
            outline = self._outlines[number]
            # Rounded, so that rounding errors do not decide.
            length = np.round(shapely.length(shapely.intersection(rest[at], outline)), 6)
            rest[at] = shapely.difference(rest[at], outline)
            better = length > most[at]
            best[at[better]], most[at[better]] = number[better], length[better]
        return best


def short_names(names: Sequence[str]) -> list[str]:
    """Return names without folders, unless some are then the same."""
    short = [re.split(r"[/\\\\]", name.split("?")[0].rstrip("/"))[-1] for name in names]
    return short if len(set(short)) == len(set(names)) else list(names)


def _outlines(rasters: Sequence[Raster], crs: CRS) -> Lines:
    shapes = [
        shapely.Polygon(np.stack(transformer(r.crs, crs).transform(*footprint(r).T), axis=-1))
        for r in rasters
    ]
    return np.asarray(shapely.make_valid(np.array(shapes, object)), object)
