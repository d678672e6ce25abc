"""Blank collars: large plain white or black areas that no nodata value marks."""

from __future__ import annotations

import numpy as np

from roadgis.arrays import Bools, Bytes
from roadgis.options.imagery import Blank

#: Only areas that hold a square of twice this radius plus one are blank; white roofs and cars
#: are smaller at a metre.
BLANK_RADIUS_PX = 16
# JPEG compression and resampling soil a collar's rim.
_RIM_PX = 2
#: How far from a pixel the image decides whether it is blank.
BLANK_REACH_PX = 2 * BLANK_RADIUS_PX + _RIM_PX
# Compression also leaves a collar not quite plain.
_SLACK = 6


def blank_pixels(values: Bytes, valid: Bools, blank: Blank) -> Bools:
    """Find plain areas by an opening with a square, however the scene is cut.

    Parameters
    ----------
    values : ndarray of uint8, shape (H, W, C)
        The image.
    valid : ndarray of bool, shape (H, W)
        Pixels known to be invalid may be part of a blank area.
    blank : {"none", "white", "black", "both"}
        Which colours.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True where blank; right for pixels at least `BLANK_REACH_PX` from the array's rim.
    """
    found = np.zeros(valid.shape, np.bool_)
    if blank in ("white", "both"):
        found |= _large(values.min(axis=-1) >= 255 - _SLACK, valid)
    if blank in ("black", "both"):
        found |= _large(values.max(axis=-1) <= _SLACK, valid)
    return found


def _large(plain: Bools, valid: Bools) -> Bools:
    plain = plain & valid
    if not plain.any():
        return plain
    from scipy import ndimage

    size = 2 * BLANK_RADIUS_PX + 1
    inner = ndimage.minimum_filter((plain | ~valid).astype(np.uint8), size, mode="nearest")
    opened = ndimage.maximum_filter(inner, size, mode="nearest")
    # The rim grows from the collar alone, not from what was invalid before.
    core = (opened & plain).astype(np.uint8)
    return np.asarray(ndimage.maximum_filter(core, 2 * _RIM_PX + 1, mode="nearest") > 0)
