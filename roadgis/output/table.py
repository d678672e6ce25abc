"""Features to write, as arrays: GeoJSON is written without pandas, which is slow to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from pyproj import CRS

from roadgis.arrays import Objects
from roadgis.network.network import geodataframe

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class FeatureTable:
    """F features of a layer.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (F,)
        Attributes by name.
    shapes : ndarray of Geometry, shape (F,)
        Geometries.
    crs : pyproj.CRS
        CRS of the geometries.
    """

    columns: dict[str, npt.NDArray[Any]]
    shapes: Objects
    crs: CRS

    def __len__(self) -> int:
        return len(self.shapes)

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the features as a table."""
        return geodataframe(self.columns, self.shapes, self.crs)
