"""Scores of a road mask at every threshold, from counts of pixels by stored probability."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError
from roadgis.train.scoring.scene_prediction import TOP_LEVEL

__all__ = [
    "BUFFER_PX",
    "BreakEven",
    "Curve",
    "LevelCounts",
    "Scores",
    "count_levels",
    "level_of",
    "within_reach",
]

#: Buffer of the relaxed scores, pixels (Mnih 2013, "Machine learning for aerial image labeling").
BUFFER_PX = 3
_LEVELS = TOP_LEVEL + 1

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def level_of(threshold: float) -> int:
    """Return the lowest stored probability, 1..254, that reaches a threshold.

    Raises
    ------
    InputError
        If the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise InputError(f"The threshold is {threshold}, expected a number between 0 and 1.")
    # The tolerance is for products that round to just above a level, as in 0.3 * 254.
    return max(1, math.ceil(threshold * TOP_LEVEL - 1e-9))


@dataclass(frozen=True)
class Scores:
    """Scores of road at one threshold; NaN where one means nothing.

    Such is the precision where no pixel was found.

    Attributes
    ----------
    iou : float
        Pixels both found and true, of those found or true.
    precision, recall : float
        Share of the found pixels that are true, and of the true ones that are found.
    f1 : float
        Harmonic mean of these.
    relaxed_precision : float
        Share of the found pixels within the buffer of a true one.
    relaxed_recall : float
        Share of the true pixels within the buffer of a found one.
    relaxed_f1 : float
        Harmonic mean of these.
    """

    iou: float
    precision: float
    recall: float
    f1: float
    relaxed_precision: float
    relaxed_recall: float
    relaxed_f1: float


@dataclass(frozen=True)
class BreakEven:
    """Where relaxed precision equals relaxed recall.

    Attributes
    ----------
    value : float
        Of both; between two stored levels it is interpolated in a line.
    threshold : float
        Where that is.
    """

    value: float
    threshold: float


@dataclass(frozen=True)
class Curve:
    """Scores for each of the 254 thresholds that tell stored probabilities apart.

    Attributes
    ----------
    threshold : ndarray of float64, shape (254,)
        Halfway between two levels of stored probability, rising; item k - 1 stands for taking
        level k and above for road.
    iou, precision, recall, f1, relaxed_precision, relaxed_recall, relaxed_f1 : ndarray
        As in :class:`Scores`, each of float64 and shape (254,).
    """

    threshold: Floats
    iou: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    relaxed_precision: Floats
    relaxed_recall: Floats
    relaxed_f1: Floats

    def at(self, threshold: float) -> Scores:
        """Return the scores at a threshold."""
        item = level_of(threshold) - 1
        names = [field.name for field in dataclasses.fields(Scores)]
        return Scores(**{name: float(getattr(self, name)[item]) for name in names})

    def break_even(self) -> BreakEven | None:
        """Return the highest break-even of relaxed precision and recall.

        Returns
        -------
        BreakEven or None
            None where the two do not meet at any threshold.
        """
        precision, recall = self.relaxed_precision, self.relaxed_recall
        gap = precision - recall
        met = [
            BreakEven(float(precision[i]), float(self.threshold[i]))
            for i in np.flatnonzero(gap == 0)
        ]
        for i in np.flatnonzero(gap[:-1] * gap[1:] < 0):
            share = float(gap[i] / (gap[i] - gap[i + 1]))
            value, threshold = (
                float(line[i] + share * (line[i + 1] - line[i]))
                for line in (precision, self.threshold)
            )
            met.append(BreakEven(value, threshold))
        return max(met, key=lambda point: point.value, default=None)


@dataclass(frozen=True)
class LevelCounts:
    """Valid pixels by stored probability; counts of several scenes add up.

    Attributes
    ----------
    road, other : ndarray of int64, shape (255,)
        Pixels that are road, and those that are not.
    near : ndarray of int64, shape (255,)
        Pixels, road or not, within the buffer of a road pixel.
    reached : ndarray of int64, shape (255,)
        Road pixels by the highest probability within the buffer of them.
    """

    road: Counts
    other: Counts
    near: Counts
    reached: Counts

    @classmethod
    def none(cls) -> LevelCounts:
        """Return counts of no pixel."""
        return cls(*(np.zeros(_LEVELS, np.int64) for _ in range(4)))

    def __add__(self, more: LevelCounts) -> LevelCounts:
        return LevelCounts(
            self.road + more.road,
            self.other + more.other,
            self.near + more.near,
            self.reached + more.reached,
        )

    @property
    def pixels(self) -> int:
        """All valid pixels."""
        return int(self.road.sum() + self.other.sum())

    def curve(self) -> Curve:
        """Return the scores at every threshold."""
        # Level 0 is left out: a threshold below it would take every pixel for road.
        hits, wrong, near, reached = (
            np.cumsum(counts[::-1])[::-1][1:]
            for counts in (self.road, self.other, self.near, self.reached)
        )
        road = np.full(TOP_LEVEL, self.road.sum())
        found = hits + wrong
        relaxed = _ratio(near, found), _ratio(reached, road)
        p, r = (np.nan_to_num(part) for part in relaxed)
        harmonic = np.where((found > 0) | (road > 0), 0.0, np.nan)
        np.divide(2 * p * r, p + r, out=harmonic, where=p + r > 0)
        return Curve(
            threshold=np.round((np.arange(1, _LEVELS) - 0.5) / TOP_LEVEL, 4),
            iou=_ratio(hits, road + wrong),
            precision=_ratio(hits, found),
            recall=_ratio(hits, road),
            f1=_ratio(2 * hits, road + found),
            relaxed_precision=relaxed[0],
            relaxed_recall=relaxed[1],
            relaxed_f1=harmonic,
        )


def _ratio(part: Counts, whole: Counts) -> Floats:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def count_levels(
    levels: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.bool_],
    valid: npt.NDArray[np.bool_],
    *,
    buffer_px: int = BUFFER_PX,
    core: tuple[slice, slice] = (slice(None), slice(None)),
) -> LevelCounts:
    """Count the valid pixels of an image by stored probability.

    Invalid pixels are neither road nor found, so no pixel is near because of them: a road that
    goes on into a blank area ends at its edge, for both sides of the comparison.

    Parameters
    ----------
    levels : ndarray of uint8, shape (H, W)
        Stored probability, 0..254.
    truth, valid : ndarray of bool, shape (H, W)
        What is road, and what counts.
    buffer_px : int
        A pixel is near another when their centres are at most this far apart.
    core : tuple of slice
        The part to count; the rest is only looked at as its surroundings.
    """
    truth = truth & valid
    levels = np.where(valid, levels, 0).astype(np.uint8)
    near = within_reach(truth.view(np.uint8), buffer_px)[core] > 0
    highest = within_reach(levels, buffer_px)[core]
    levels, truth, valid = levels[core], truth[core], valid[core]
    return LevelCounts(
        *(
            np.bincount(values, minlength=_LEVELS).astype(np.int64)
            for values in (
                levels[truth],
                levels[valid & ~truth],
                levels[valid & near],
                highest[truth],
            )
        )
    )


def within_reach(values: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.uint8]:
    """Return the highest value in the disc around each pixel.

    Parameters
    ----------
    values : ndarray of uint8, shape (H, W)
        Taken for 0 beyond its border.
    radius : int
        Of the disc, to the centres of the pixels on its rim.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The maximum filter; rows of the disc are made of each other, which is a few passes
        instead of one for each of its pixels.
    """
    result = np.zeros_like(values)
    line, done = values.copy(), 0
    for offset in range(radius, -1, -1):
        for reach in range(done + 1, math.isqrt(radius**2 - offset**2) + 1):
            np.maximum(line[:, reach:], values[:, :-reach], out=line[:, reach:])
            np.maximum(line[:, :-reach], values[:, reach:], out=line[:, :-reach])
            done = reach
        lower, upper = slice(offset, None), slice(None, values.shape[0] - offset)
        if offset < values.shape[0]:
            np.maximum(result[lower], line[upper], out=result[lower])
            np.maximum(result[upper], line[lower], out=result[upper])
    return result
