"""A layer of lines as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from roadgis.arrays import Ints
from roadgis.crs import transformed
from roadgis.errors import DataError


@dataclass(frozen=True)
class LineLayer:
    """Lines and their source features; L lines, F features.

    Made by :func:`roadgis.lines.read_lines` or :func:`roadgis.lines.line_layer`.

    Attributes
    ----------
    name : str
        For messages: the file, and the layer where one was named.
    crs : pyproj.CRS
        Horizontal CRS of `lines`, as stored.
    lines : ndarray of LineString, shape (L,)
        Two-dimensional, with a length and no vertex repeated, each geometry once. In degrees,
        those that cross the antimeridian continue beyond 180.
    feature : ndarray of int64, shape (L,)
        Row of `table` that each line comes from.
    table : geopandas.GeoDataFrame
        The features as read, with all fields; F rows.
    issues : tuple of str
        Warnings about ignored or changed features, with counts.
    """

    name: str
    crs: CRS
    lines: npt.NDArray[np.object_]
    feature: Ints
    table: geopandas.GeoDataFrame
    issues: tuple[str, ...] = ()

    def on(self, crs: CRS) -> npt.NDArray[np.object_]:
        """Return the lines in another CRS.

        Parameters
        ----------
        crs : pyproj.CRS
            A projected one should be local, as :func:`roadgis.lines.metric_crs` gives it: there
            lines across the antimeridian are whole.

        Returns
        -------
        ndarray of LineString, shape (L,)
            With the same vertices.

        Raises
        ------
        DataError
            If `crs` cannot express some of the lines.
        """
        moved = transformed(self.lines, self.crs, crs)
        lost = np.count_nonzero(~np.isfinite(shapely.bounds(moved)).all(axis=1))
        if lost:
            raise DataError(
                f"{self.name}: {lost:,} of {len(moved):,} lines have no place in {crs.name}. Check "
                f"the layer's CRS ({self.crs.name}), and that the lines lie where they should."
            )
        return moved
