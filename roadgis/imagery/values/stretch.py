"""Scale 16-bit and float imagery to 8 bits, by percentiles taken once per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Singles


@dataclass(frozen=True)
class Stretch:
    """A linear map of each channel to 0..255.

    Attributes
    ----------
    low, high : tuple of float, shape (C,)
        The values that become 0 and 255; what lies beyond is clipped.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, values: Singles) -> Singles:
        """Return the scaled values, (C, H, W) float32, not yet rounded or clipped."""
        low = np.array(self.low, np.float64)[:, None, None]
        step = 255.0 / (np.array(self.high, np.float64)[:, None, None] - low)
        return np.asarray((values - low) * step, np.float32)


def percentile_scaling(
    samples: Sequence[Singles], percentiles: tuple[float, float], channels: int
) -> Stretch:
    """Return the scaling that makes two percentiles of the samples 0 and 255.

    Parameters
    ----------
    samples : sequence of ndarray of float32, each shape (C, n)
        Valid pixels.
    percentiles : tuple of float
        Lower and upper percentile.
    channels : int
        C; for a scene without a valid pixel.
    """
    if not sum(s.shape[1] for s in samples):
        return Stretch((0.0,) * channels, (1.0,) * channels)
    low, high = np.percentile(np.concatenate(samples, axis=1), percentiles, axis=1)
    # A plain image has no contrast to stretch: it becomes black.
    high = np.where(high > low, high, low + 1.0)
    return Stretch(tuple(map(float, low)), tuple(map(float, high)))
