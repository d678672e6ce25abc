"""What speaks for a gap being a road: its shape, and the probability along it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.network.gaps import Gaps
from roadgis.network.least_cost import GapPaths
from roadgis.scene.grid import NO_DATA

__all__ = ["Evidence", "measure_evidence", "support"]

#: The share of a gap's pixels that may be below its evidence.
_BELOW = 0.2
#: What a gap of the largest length is worth of one without any.
_LONGEST = 0.5
#: A dead end at an edge is half of two dead ends that point to each other.
_ONE_SIDED = 0.5


class Evidence(NamedTuple):
    """Probability along G paths, without the parts that lie in the roads.

    Attributes
    ----------
    low : ndarray of float64, shape (G,)
        What all but a fifth of the known pixels exceed; NaN where none is known.
    known : ndarray of float64, shape (G,)
        Share of the pixels that have data.
    """

    low: npt.NDArray[np.float64]
    known: npt.NDArray[np.float64]


def support(gaps: Gaps, max_gap_px: float, max_turn_deg: float) -> npt.NDArray[np.float64]:
    """Return how much the shape of each gap speaks for a road, (G,) 0..1.

    1 is two dead ends of equally wide roads that touch and lie in one line. Each turn takes
    away by its square, the length up to half, and so does arriving at an edge.
    """
    straight = 1 - (gaps.turn / max(max_turn_deg, 1e-9)) ** 2
    alike = gaps.width.min(axis=1) / np.maximum(gaps.width.max(axis=1), 1e-9)
    near = 1 - (1 - _LONGEST) * np.minimum(gaps.clear / max_gap_px, 1.0)
    two_sided = np.sqrt(alike)
    side = np.where(gaps.other >= 0, two_sided, _ONE_SIDED)
    return np.asarray(straight.clip(0, 1).prod(axis=1) * near * side, np.float64)


def measure_evidence(gaps: Gaps, paths: GapPaths, strong_level: int) -> Evidence:
    """Measure the probability along the paths, between the roads' borders.

    A path may come to a road at a flat angle, or run along inside it: what is road without
    doubt at its ends says nothing about the gap.

    Parameters
    ----------
    gaps : Gaps
        What is bridged.
    paths : GapPaths
        Across the gaps.
    strong_level : int
        Stored probability from which a pixel is road without doubt.
    """
    along = paths.along
    sample = np.arange(along.shape[1])
    on_path = sample <= paths.last[:, None]
    total = along[np.arange(len(gaps)), paths.last][:, None]
    inside = on_path & (along >= gaps.reach[:, :1]) & (along <= total - gaps.reach[:, 1:])
    doubtful = on_path & ((paths.level < strong_level) | (paths.level == NO_DATA))
    inside &= np.logical_or.accumulate(doubtful, axis=1)
    inside &= np.logical_or.accumulate(doubtful[:, ::-1], axis=1)[:, ::-1]
    # Of a gap without a length, its middle.
    none = ~np.any(inside, axis=1, keepdims=True)
    inside |= none & (sample == paths.last[:, None] // 2)
    known = inside & (paths.level != NO_DATA)
    count = known.sum(axis=1)
    ranked = np.sort(np.where(known, paths.level, NO_DATA), axis=1)
    at = np.floor(_BELOW * np.maximum(count - 1, 0)).astype(np.int64)
    low = ranked[np.arange(len(gaps)), at] / (NO_DATA - 1)
    share = count / np.maximum(inside.sum(axis=1), 1)
    return Evidence(np.where(count > 0, low, np.nan), share)
