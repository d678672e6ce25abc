"""Direction of roads as a helper output in training (after Batra et al., CVPR 2019).

A second output that must tell which way a road runs makes the network follow roads under trees and
past gaps. Here a direction is that of a line, without a sense: 0 to below 180 degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roadgis.errors import InputError
from roadgis.train.framework import import_keras
from roadgis.train.labelled import IGNORE

__all__ = ["direction_loss", "road_angle", "road_direction"]

keras = import_keras()
ops = keras.ops

#: Of the derivative: flattens the steps of a drawn line.
_STEP_SIGMA_PX = 1.5
#: Of the neighbourhood that is averaged over: both sides of a road up to some 15 px wide.
_REACH_SIGMA_PX = 5.0


def _blur(values: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0))


def road_angle(labels: npt.NDArray[np.uint8], *, road_class: int = 1) -> npt.NDArray[np.float32]:
    """Return the direction of the road at each road pixel, from the mask's structure tensor.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        Class indices; 255 where unknown. Unknown pixels neither make nor hide an edge.
    road_class : int
        The class that counts as road.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Degrees from the direction of rising columns, turning towards falling rows (against the
        clock on a screen), 0 to below 180; NaN where there is no road.
    """
    road = labels == road_class
    known = (labels != IGNORE).astype(np.float32)
    # What lies outside is unknown, too. Dividing by the share known carries the mask on, but not
    # along the road: derivatives there count only where there are no others.
    share = _blur(known, _STEP_SIGMA_PX)
    weight = share**16
    smooth = _blur(road.astype(np.float32), _STEP_SIGMA_PX) / np.maximum(share, 1e-3)
    down, right = np.gradient(smooth)
    # The tensor's double angle: (gx² - gy², 2 gx gy), averaged.
    real = _blur((right * right - down * down) * weight, _REACH_SIGMA_PX)
    imaginary = _blur(2 * right * down * weight, _REACH_SIGMA_PX)
    # Of the normal with rows counted downwards; the line is a quarter turn on, and upwards.
    normal = np.degrees(np.arctan2(imaginary, real)) / 2
    angle = np.mod(90 - normal, 180).astype(np.float32)
    angle[angle >= 180] = 0
    angle[~road] = np.nan
    return angle


def road_direction(
    labels: npt.NDArray[np.uint8], bins: int, *, road_class: int = 1
) -> npt.NDArray[np.uint8]:
    """Return the direction of roads as classes to be learned.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        Class indices; 255 where unknown.
    bins : int
        Classes of direction, 2 to 254; the first is centred on 0 degrees.
    road_class : int
        The class that counts as road.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        0 to ``bins - 1`` on roads, 255 elsewhere. Class k is centred on ``k * 180 / bins``
        degrees; see :func:`road_angle` for the sense.

    Raises
    ------
    InputError
        If `bins` is out of range.
    """
    if not 2 <= bins <= 254:
        raise InputError(f"Found {bins} bins of direction, expected 2 to 254.")
    angle = road_angle(labels, road_class=road_class)
    road = ~np.isnan(angle)
    direction = np.full(labels.shape, IGNORE, np.uint8)
    direction[road] = np.rint(angle[road] * (bins / 180)).astype(np.int64) % bins
    return direction


@keras.saving.register_keras_serializable(package="roadgis")  # type: ignore[untyped-decorator]
def direction_loss(y_true_direction: Any, y_pred: Any) -> Any:
    """Cross-entropy of the direction over the road pixels of a batch.

    Only roads count: whether there is one is for the main output to learn.

    Parameters
    ----------
    y_true_direction : tensor (N, H, W) or (N, H, W, 1)
        Classes of :func:`road_direction`; 255 is left out.
    y_pred : tensor (N, h, w, bins)
        Probability of each direction. For outputs at several scales h and w may be H and W
        divided by the same whole number; the target is then read at the middle of each block.

    Returns
    -------
    tensor ()
        Mean over road pixels, in float32; 0 where there is none.

    Raises
    ------
    InputError
        If the sizes do not go together.
    """
    target = ops.cast(y_true_direction, "int32")
    if len(target.shape) == 4:
        target = target[..., 0]
    bins = int(y_pred.shape[-1])
    (height, width), (rows, columns) = target.shape[1:3], y_pred.shape[1:3]
    factor = height // rows
    if (rows * factor, columns * factor) != (height, width):
        raise InputError(
            f"Found directions of {height} x {width} px for predictions of {rows} x {columns}; "
            "expected the same size or a whole multiple."
        )
    target = target[:, factor // 2 :: factor, factor // 2 :: factor]
    counts = ops.cast(target < bins, "float32")
    chosen = ops.one_hot(ops.minimum(target, bins - 1), bins, dtype="float32")
    log = ops.log(ops.clip(ops.cast(y_pred, "float32"), 1e-6, 1.0))
    return -ops.sum(ops.sum(chosen * log, axis=-1) * counts) / ops.maximum(ops.sum(counts), 1.0)
