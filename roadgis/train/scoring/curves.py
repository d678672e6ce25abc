"""Scores of a road mask at every threshold, from pixel counts by stored probability."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Bytes, Floats
from roadgis.errors import InputError
from roadgis.options.scoring import BUFFER_PX
from roadgis.train.scoring.scene_prediction import TOP_LEVEL

_LEVELS = TOP_LEVEL + 1

Counts = npt.NDArray[np.int64]


def level_of(threshold: float) -> int:
    """Return the lowest stored probability, 1..254, that reaches a threshold."""
    if not 0 < threshold < 1:
        raise InputError(f"The threshold is {threshold}, expected a number between 0 and 1.")
    # Tolerance for products just above a level, as in 0.3 * 254.
    return max(1, math.ceil(threshold * TOP_LEVEL - 1e-9))


def middle_of_best(score: Floats) -> int:
    """Return the index of the highest score; of several, the middle one."""
    best = np.flatnonzero(score == score.max())
    return int(best[len(best) // 2])


@dataclass(frozen=True)
class Scores:
    """Scores of road at one threshold; NaN if undefined, as the precision without predictions.

    Attributes
    ----------
    iou : float
        Intersection over union of predicted and labelled pixels.
    precision, recall : float
        Correct share of the predicted pixels, and predicted share of the labelled ones.
    f1 : float
        Harmonic mean of both.
    relaxed_precision : float
        Share of the predicted pixels within the buffer of a labelled one.
    relaxed_recall : float
        Share of the labelled pixels within the buffer of a predicted one.
    relaxed_f1 : float
        Harmonic mean of both.
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
    """Value at which relaxed precision equals relaxed recall.

    Attributes
    ----------
    value : float
        Precision and recall; linearly interpolated between stored levels.
    """

    value: float
    threshold: float


@dataclass(frozen=True)
class Curve:
    """Scores at each of the 254 thresholds between stored probabilities.

    Attributes
    ----------
    threshold : ndarray of float64, shape (254,)
        Halfway between two stored levels, increasing; item k - 1 counts level k and above as road.
    iou, precision, recall, f1, relaxed_precision, relaxed_recall, relaxed_f1 : ndarray
        See :class:`Scores`; float64, shape (254,).
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
            None if the two do not meet.
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
    """Valid pixels by stored probability; counts of several scenes can be added.

    Attributes
    ----------
    road, other : ndarray of int64, shape (255,)
        Road pixels and other pixels.
    near : ndarray of int64, shape (255,)
        Pixels of either kind within the buffer of a road pixel.
    reached : ndarray of int64, shape (255,)
        Road pixels by the highest probability within their buffer.
    """

    road: Counts
    other: Counts
    near: Counts
    reached: Counts

    @classmethod
    def empty(cls) -> LevelCounts:
        """Return zero counts."""
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
        # Level 0 is left out: a threshold below it would count every pixel as road.
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
    levels: Bytes,
    truth: Bools,
    valid: Bools,
    *,
    buffer_px: int = BUFFER_PX,
    core: tuple[slice, slice] = (slice(None), slice(None)),
) -> LevelCounts:
    """Count the valid pixels of an image by stored probability.

    Invalid pixels count as neither labelled nor predicted: a road that enters a blank area ends at
    its edge on both sides.

    Parameters
    ----------
    levels : ndarray of uint8, shape (H, W)
        Stored probability, 0..254.
    truth, valid : ndarray of bool, shape (H, W)
        Road pixels, and valid pixels.
    buffer_px : int
        Largest distance between the centres of near pixels.
    core : tuple of slice
        Part to count; the rest is context.
    """
    truth = truth & valid
    levels = np.where(valid, levels, 0).astype(np.uint8)
    near = disc_maximum(truth.view(np.uint8), buffer_px)[core] > 0
    highest = disc_maximum(levels, buffer_px)[core]
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


def disc_maximum(values: Bytes, radius: int) -> Bytes:
    """Return the maximum over the disc around each pixel.

    Parameters
    ----------
    values : ndarray of uint8, shape (H, W)
        0 is assumed outside.
    radius : int
        Radius of the disc, to the centres of the rim pixels.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The maximum filter, in a few passes: rows of the disc are derived from each other.
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
