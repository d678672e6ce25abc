"""Linear resampling of one block: box reduction and affine warps of values with their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject

from roadgis.affine import composed
from roadgis.imagery.gdal_warnings import quiet

Floats = npt.NDArray[np.float32]

#: Source pixels that :func:`warp` needs around the pixels that a block maps to.
PAD_PX = 4
# Up to this shrinking a cubic keeps more detail than a box, and aliases nothing visible.
_CUBIC_RATIO = 1.2
# Pixel coordinates are handed to GDAL as coordinates of any one CRS: no projection takes place.
_PLANE = CRS.from_epsg(3857)


def box_sum(values: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Sum `factor` x `factor` boxes of (..., H * factor, W * factor).

    The order of additions is fixed, so that a pixel's sum does not depend on the array around it.
    """
    if factor == 1:
        return values
    rows = sum(values[..., i::factor, :] for i in range(1, factor)) + values[..., ::factor, :]
    summed = sum(rows[..., i::factor] for i in range(1, factor)) + rows[..., ::factor]
    return np.asarray(summed)


def warp(planes: Floats, mapping: Affine, height: int, width: int) -> Floats:
    """Resample planes: an area average when shrinking, cubic when growing.

    Parameters
    ----------
    planes : ndarray of float32, shape (P, H, W)
        Values times their weight, and the weight.
    mapping : Affine
        From the block's (col, row) to the planes'; both count from pixel corners.
    height, width : int
        The block's size.

    Returns
    -------
    ndarray of float32, shape (P, height, width)
    """
    ratio = abs(mapping.determinant) ** 0.5
    shrink = ratio > _CUBIC_RATIO
    out = np.zeros((len(planes), height, width), np.float32)
    # North-up, and not of size 1, which GDAL takes for an image without a position.
    flip = Affine.scale(2.0, -2.0)
    # XSCALE, YSCALE: GDAL would estimate them from the block's shape and blur a rotated one.
    options = {} if shrink else {"XSCALE": 1, "YSCALE": 1}
    with quiet():
        reproject(
            planes,
            out,
            src_transform=flip,
            src_crs=_PLANE,
            dst_transform=composed(flip, mapping),
            dst_crs=_PLANE,
            resampling=Resampling.average if shrink else Resampling.cubic,
            tolerance=0,
            num_threads=1,
            **options,
        )
    return out
