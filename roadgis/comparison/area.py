"""Area in which two networks are compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Ints


class MetricLines(NamedTuple):
    """Lines in the metric CRS, with their source features.

    Attributes
    ----------
    lines : ndarray of LineString, shape (L,)
        With a length.
    feature : ndarray of int64, shape (L,)
        Row of the layer's table.
    """

    lines: npt.NDArray[np.object_]
    feature: Ints

    @property
    def total_m(self) -> float:
        """Planar length of all lines."""
        return float(shapely.length(self.lines).sum())


def in_fixed_order(placed: MetricLines) -> MetricLines:
    """Sort lines by their geometry, so that results do not depend on the order of a file."""
    keys = shapely.to_wkb(shapely.normalize(placed.lines)).tolist()
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    return MetricLines(placed.lines[order], placed.feature[order])


def common_extent(first: MetricLines, second: MetricLines, margin_m: float) -> BaseGeometry | None:
    """Return what the bounding boxes, grown by a margin, have in common; None for nothing.

    A network without lines has no extent and sets no limit.
    """
    boxes = [
        shapely.box(*np.asarray(shapely.total_bounds(placed.lines)) + np.array([-1, -1, 1, 1]) * by)
        for placed, by in ((first, margin_m), (second, margin_m))
        if len(placed.lines)
    ]
    if not boxes:
        return None
    common = shapely.intersection_all(boxes)
    return common if common.area > 0 else None


def clipped(placed: MetricLines, area: BaseGeometry) -> MetricLines:
    """Return the parts of lines that lie in an area; those that lie whole in it as they are."""
    shapely.prepare(area)
    whole = shapely.covers(area, placed.lines)
    cut = np.flatnonzero(~whole & shapely.intersects(area, placed.lines))
    parts, owner = shapely.get_parts(
        shapely.intersection(placed.lines[cut], area), return_index=True
    )
    # Along its border an area and a line have points in common too.
    good = (shapely.get_type_id(parts) == 1) & (shapely.length(parts) > 1e-6)
    return MetricLines(
        np.concatenate([placed.lines[whole], parts[good]]),
        np.concatenate([placed.feature[whole], placed.feature[cut[owner[good]]]]),
    )
