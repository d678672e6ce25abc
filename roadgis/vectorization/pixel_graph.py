"""Pixels of skeletons and which of them are neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Bytes, Ints, Singles
from roadgis.network.centerlines import RoadEnds
from roadgis.vectorization.bitplanes import Plane, east, west


class PixelGraph(NamedTuple):
    """Skeleton pixels and which of them are neighbours; K pixels, L links.

    Attributes
    ----------
    id : ndarray of int64, shape (K,)
        row * grid width + col; ascending in a block, line after line in
        :class:`~roadgis.vectorization.runs.Runs`.
    width_px, d_row, d_col : ndarray of float32, shape (K,)
        Width of the road, and where its middle is from the pixel's centre (NaN: not known).
    probability : ndarray of uint8, shape (K,)
        Stored probability, 0..254.
    blank_px : ndarray of float32, shape (K,)
        Distance to nodata; inf when far.
    exit : ndarray of bool, shape (K,)
        Whether the skeleton continues beyond the raster's edge.
    links : ndarray of int64, shape (L, 2)
        Ids of neighbours, the lower first.
    ends : RoadEnds
        Where roads end, by pixel.
    """

    id: Ints
    width_px: Singles
    d_row: Singles
    d_col: Singles
    probability: Bytes
    blank_px: Singles
    exit: Bools
    links: Ints
    ends: RoadEnds


def skeleton_links(skeleton: Plane) -> list[tuple[int, int, Plane]]:
    """Find the links from each skeleton pixel to later ones.

    Diagonal neighbours that also touch through a pixel next to both are not linked: so no
    corner makes a triangle.

    Returns
    -------
    list of (row step, column step, Plane)
        The plane says which pixels have that link.
    """
    right, left = east(skeleton), west(skeleton)

    def below(plane: Plane) -> Plane:
        out = np.zeros_like(plane)
        out[:-1] = plane[1:]
        return out

    south = below(skeleton)
    return [
        (0, 1, skeleton & right),
        (1, -1, skeleton & below(left) & ~left & ~south),
        (1, 0, skeleton & south),
        (1, 1, skeleton & below(right) & ~right & ~south),
    ]
