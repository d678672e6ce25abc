"""Which values rasters hold: exact, from all of their pixels, strip by strip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Floats, Ints
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.pixel_reading import read_pixels
from roadgis.imagery.raster import Raster
from roadgis.progress import Progress, no_progress

#: Pixels of a strip, and the rows that its height is a multiple of, so that no tile is read twice.
_STRIP_PX, _TILE_ROWS = 1 << 22, 512
#: Largest number of values that are counted; of more, only the least and the largest are kept.
_MOST_VALUES = 256
#: Channels that differ by more than this are a colour; lossy compression tints grey by less.
_TINT = 48
#: Hues are counted in parts of the circle; one colour covers at most three of them.
_HUES = 36

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class ValueStatistics:
    """Values of all valid pixels of some rasters.

    Attributes
    ----------
    valid, missing : int
        Pixels with data and without.
    low, high : float
        Least and largest value; 0 where there are no valid pixels.
    many : bool
        Whether there are more values than are counted.
    values : ndarray of float64, shape (V,)
        All values, ascending; none when there are many.
    counts : ndarray of int64, shape (V,)
        Pixels that have them.
    coloured_share : float
        Share of the valid pixels whose channels differ; 0 for a single band.
    hue_share : float
        Share of these that have about the commonest hue.
    from_white : ValueStatistics or None
        Of pictures, values counted from white: 0 is white.
    """

    valid: int = 0
    missing: int = 0
    low: float = 0.0
    high: float = 0.0
    many: bool = False
    values: Floats = field(default_factory=lambda: np.empty(0))
    counts: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    coloured_share: float = 0.0
    hue_share: float = 1.0
    from_white: ValueStatistics | None = None


def value_statistics(
    handles: Handles,
    rasters: Sequence[tuple[Raster, Callable[[Pixels], Pixels]]],
    nodata: float | None,
    progress: Progress = no_progress,
) -> ValueStatistics:
    """Read all pixels once and note their values.

    Parameters
    ----------
    handles : Handles
        Where open datasets come from.
    rasters : sequence of (Raster, callable)
        Rasters, and functions that turn the channels of pixels into one value: (C, n) to (n,).
    nodata : float or None
        The user's own nodata value.
    progress : Progress
        Progress callback.

    Raises
    ------
    ReadError
        If a file fails.
    """
    tally, white = _Tally(), _Tally()
    picture = any(raster.channels > 1 for raster, _ in rasters)
    total = sum(raster.width * raster.height for raster, _ in rasters)
    seen = 0
    for raster, value_of in rasters:
        for box in _strips(raster):
            pixels, valid = read_pixels(handles, raster, box, nodata)
            pixels = pixels[:, valid]
            tally.add(value_of(pixels))
            tally.missing += int(valid.size - np.count_nonzero(valid))
            if picture:
                tally.add_colours(pixels)
                white.add(counted_from_white(pixels))
            seen += valid.size
            progress(seen / total, "Looking at the values")
    found = tally.result()
    if not picture:
        return found
    white.missing = tally.missing
    return dataclasses.replace(found, from_white=white.result())


def counted_from_white(pixels: Pixels) -> Pixels:
    """Return how far the darkest channel of each pixel is from white: (C, ...) to (...)."""
    return np.asarray(np.iinfo(pixels.dtype).max - pixels.min(axis=0))


def _strips(raster: Raster) -> Iterator[tuple[int, int, int, int]]:
    rows = max(1, _STRIP_PX // raster.width)
    if rows > _TILE_ROWS:
        rows -= rows % _TILE_ROWS
    for row in range(0, raster.height, rows):
        yield row, 0, min(rows, raster.height - row), raster.width


class _Tally:
    def __init__(self) -> None:
        self.valid = self.missing = self.coloured = 0
        self.low, self.high = np.inf, -np.inf
        self.counts: dict[float, int] | None = {}
        self.hues = np.zeros(_HUES, np.int64)

    def add(self, values: Pixels) -> None:
        """Add the values of valid pixels, (n,)."""
        if not len(values):
            return
        self.valid += len(values)
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        if self.counts is None:
            return
        rest = values
        for known in list(self.counts)[:4]:
            # Most rasters hold few values; comparing is faster than sorting.
            same = rest == known
            self.counts[known] += int(np.count_nonzero(same))
            rest = rest[~same]
        if rest.dtype == np.uint8:
            count = np.bincount(rest, minlength=256)
            found, count = np.flatnonzero(count), count[count > 0]
        else:
            found, count = np.unique(rest, return_counts=True)
        for value, number in zip(found.tolist()[: _MOST_VALUES + 1], count.tolist(), strict=False):
            self.counts[float(value)] = self.counts.get(float(value), 0) + number
        if len(self.counts) > _MOST_VALUES:
            self.counts = None

    def add_colours(self, pixels: Pixels) -> None:
        """Add the colours of valid pixels, (C, n); sheets with one band have none."""
        if len(pixels) == 1:
            return
        from skimage.color import rgb2hsv

        tint = _TINT / 255 * np.iinfo(pixels.dtype).max
        coloured = pixels[:, pixels.max(axis=0).astype(np.int64) - pixels.min(axis=0) > tint]
        self.coloured += coloured.shape[1]
        hue = rgb2hsv(coloured.T / np.iinfo(pixels.dtype).max)[:, 0]
        self.hues += np.bincount((hue * _HUES).astype(np.int64) % _HUES, minlength=_HUES)

    def _hue_share(self) -> float:
        if not self.coloured:
            return 1.0
        near = self.hues + np.roll(self.hues, 1) + np.roll(self.hues, -1)
        return float(near.max() / self.coloured)

    def result(self) -> ValueStatistics:
        if not self.valid:
            return ValueStatistics(missing=self.missing)
        known = sorted((self.counts or {}).items())
        return ValueStatistics(
            valid=self.valid,
            missing=self.missing,
            low=self.low,
            high=self.high,
            many=self.counts is None,
            values=np.array([value for value, _ in known], np.float64),
            counts=np.array([count for _, count in known], np.int64),
            coloured_share=self.coloured / self.valid,
            hue_share=self._hue_share(),
        )
