"""Relaxed precision and recall, completeness, correctness, quality: lengths within a buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Floats, Ints, Lines
from roadgis.evaluation.area import clipped, harmonic_mean, measurable
from roadgis.evaluation.within_distance import cover, neighbours, rms_distance
from roadgis.lines.linear_reference import LineAxis


@dataclass(frozen=True)
class BufferScores:
    """Shares of length within a buffer; None where the length is 0.

    Attributes
    ----------
    relaxed_precision, relaxed_recall : float or None
        Share of the proposal's length within `buffer_m` of the truth, and of the truth's within
        `buffer_m` of the proposal; after [1]_, by length instead of by pixel.
    relaxed_f1 : float or None
        Their harmonic mean.
    completeness, correctness : float or None
        The same shares under their names in [2]_.
    quality : float or None
        Matched length of the proposal over the proposal's length and the missed truth's.
    redundancy : float or None
        How much more of the proposal is matched than of the truth, as share of the proposal;
        below 0 where one line matches several.
    rmse_m : float or None
        Root mean square distance of the matched proposal to the truth.
    truth_m, proposal_m, matched_truth_m, matched_proposal_m : float
        Lengths.
    buffer_m : float
        The buffer's half width.

    References
    ----------
    .. [1] V. Mnih, G. E. Hinton, "Learning to detect roads in high-resolution aerial images",
       ECCV 2010.
    .. [2] C. Wiedemann, C. Heipke, H. Mayer, O. Jamet, "Empirical evaluation of automatically
       extracted road axes", 1998.
    """

    relaxed_precision: float | None
    relaxed_recall: float | None
    relaxed_f1: float | None
    completeness: float | None
    correctness: float | None
    quality: float | None
    redundancy: float | None
    rmse_m: float | None
    truth_m: float
    proposal_m: float
    matched_truth_m: float
    matched_proposal_m: float
    buffer_m: float


def buffer_scores(
    truth: Lines, proposal: Lines, *, buffer_m: float = 3.0, aoi: BaseGeometry | None = None
) -> BufferScores:
    """Compare two layers by the lengths that lie within a buffer of each other.

    Parameters
    ----------
    truth, proposal : ndarray of LineString, shapes (L,) and (M,)
        In one metric CRS, noded in any way.
    buffer_m : float
        How far a line may lie from the other layer, metres; exactly this far counts.
    aoi : shapely polygon, optional
        Only what is inside counts; matches may lie outside.

    Returns
    -------
    BufferScores
        Lengths are exact to rounding (1e-6 m at each end of a matched part); directions are not
        compared. With an empty truth all scores are None, with an empty proposal 0.
    """
    (inner_truth, all_truth), _ = _axes(truth, aoi)
    (inner_proposal, all_proposal), _ = _axes(proposal, aoi)
    hit_truth = cover(inner_truth, all_proposal, buffer_m).length_m
    hit_proposal = cover(inner_proposal, all_truth, buffer_m).length_m
    truth_m, proposal_m = inner_truth.total_m, inner_proposal.total_m
    lengths = {
        "truth_m": truth_m,
        "proposal_m": proposal_m,
        "matched_truth_m": hit_truth,
        "matched_proposal_m": hit_proposal,
        "buffer_m": float(buffer_m),
    }
    if not truth_m:
        return BufferScores(None, None, None, None, None, None, None, None, **lengths)
    recall = min(hit_truth / truth_m, 1.0)
    precision = min(hit_proposal / proposal_m, 1.0) if proposal_m else 0.0
    return BufferScores(
        relaxed_precision=precision,
        relaxed_recall=recall,
        relaxed_f1=harmonic_mean(precision, recall),
        completeness=recall,
        correctness=precision,
        quality=min(hit_proposal / (proposal_m + max(truth_m - hit_truth, 0.0)), 1.0),
        redundancy=(hit_proposal - hit_truth) / proposal_m if proposal_m else 0.0,
        rmse_m=rms_distance(inner_proposal, all_truth, buffer_m),
        **lengths,
    )


def _axes(lines: Lines, aoi: BaseGeometry | None) -> tuple[tuple[LineAxis, LineAxis], Ints]:
    """Return a layer inside the area and as a whole, and the source of each line inside."""
    usable, source = measurable(lines)
    whole = LineAxis(usable)
    if aoi is None:
        return (whole, whole), source
    inside, part = clipped(usable, aoi)
    return (LineAxis(inside), whole), source[part]


@dataclass(frozen=True)
class BufferCurve:
    """Relaxed precision over recall as lines are added by falling confidence; T thresholds.

    Attributes
    ----------
    confidence : ndarray of float64, shape (T,)
        Lines of at least this confidence are included; falling. -inf includes those without one.
    precision, recall : ndarray of float64, shape (T,)
    """

    confidence: Floats
    precision: Floats
    recall: Floats

    @property
    def break_even(self) -> float | None:
        """Value at which precision equals recall; None if precision is higher throughout.

        The curve is linear between two thresholds.
        """
        if not len(self.confidence):
            return None
        # Before the first line is added, recall is 0.
        precision = np.concatenate([self.precision[:1], self.precision])
        recall = np.concatenate([[0.0], self.recall])
        ahead = precision - recall
        crossed = np.flatnonzero(ahead[1:] <= 0)
        if not len(crossed):
            return None
        k = crossed[0]
        if ahead[k + 1] == 0:
            return float(precision[k + 1])
        share = ahead[k] / (ahead[k] - ahead[k + 1])
        return float(precision[k] + share * (precision[k + 1] - precision[k]))


def buffer_curve(
    truth: Lines,
    proposal: Lines,
    confidence: Floats,
    *,
    buffer_m: float = 3.0,
    aoi: BaseGeometry | None = None,
) -> BufferCurve:
    """Return relaxed precision and recall for each confidence that lines of the proposal have.

    Parameters
    ----------
    truth, proposal : ndarray of LineString, shapes (L,) and (M,)
        In one metric CRS.
    confidence : ndarray of float64, shape (M,)
        Confidence of each line of the proposal, in any unit; lines with NaN are added last.
    buffer_m, aoi
        See :func:`buffer_scores`.

    Returns
    -------
    BufferCurve
        Without thresholds where there is no truth or no line has a confidence.
    """
    values = np.asarray(confidence, np.float64)
    values = np.where(np.isnan(values), -np.inf, values)
    (inner_truth, all_truth), _ = _axes(truth, aoi)
    (inner_proposal, all_proposal), source = _axes(proposal, aoi)
    _, whole = measurable(proposal)
    known = np.isfinite(values[source]).any()
    if not known or not inner_truth.total_m or not inner_proposal.total_m:
        return BufferCurve(np.empty(0), np.empty(0), np.empty(0))
    of_line = values[source]
    thresholds = np.unique(of_line)[::-1]
    hits = cover(inner_proposal, all_truth, buffer_m)
    hit_m = np.zeros(len(of_line))
    np.add.at(hit_m, inner_proposal.line_at(hits.start), hits.stop - hits.start)
    length_m = inner_proposal.length_m
    start, stop, best = _best_confidence(inner_truth, all_proposal, values[whole], buffer_m)
    taken = _sums_from(thresholds, of_line, length_m)
    return BufferCurve(
        confidence=thresholds,
        precision=np.minimum(_sums_from(thresholds, of_line, hit_m) / taken, 1.0),
        recall=np.minimum(_sums_from(thresholds, best, stop - start) / inner_truth.total_m, 1.0),
    )


def break_even(
    truth: Lines,
    proposal: Lines,
    confidence: Floats,
    *,
    buffer_m: float = 3.0,
    aoi: BaseGeometry | None = None,
) -> float | None:
    """Return the relaxed precision at which it equals the relaxed recall; see `buffer_curve`.

    None if no line has a confidence, or if precision stays above recall even with all lines, as
    for most networks that were extracted with a threshold.
    """
    return buffer_curve(truth, proposal, confidence, buffer_m=buffer_m, aoi=aoi).break_even


def _sums_from(thresholds: Floats, values: Floats, weights: Floats) -> Floats:
    """Return the sum of weights whose value is at least each threshold; thresholds fall."""
    order = np.argsort(-values, kind="stable")
    count = np.searchsorted(-values[order], -thresholds, side="right")
    return np.asarray(np.concatenate([[0.0], np.cumsum(weights[order])])[count])


def _best_confidence(
    axis: LineAxis, others: LineAxis, confidence: Floats, reach_m: float
) -> tuple[Floats, Floats, Floats]:
    """Return parts of the axis, and the highest confidence of another line near each."""
    starts, stops, bests = [np.empty(0)], [np.empty(0)], [np.empty(0)]
    for pairs in neighbours(axis, others, reach_m):
        if not len(pairs.start):
            continue
        value = confidence[others.line[pairs.other]]
        cut = np.unique(np.concatenate([pairs.start, pairs.stop]))
        low = np.searchsorted(cut, pairs.start)
        count = np.searchsorted(cut, pairs.stop) - low
        pair = np.repeat(np.arange(len(count)), count)
        cell = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count) + low[pair]
        best = np.full(len(cut) - 1, -np.inf)
        covered = np.zeros(len(cut) - 1, bool)
        covered[cell] = True
        np.maximum.at(best, cell, value[pair])
        starts.append(cut[:-1][covered])
        stops.append(cut[1:][covered])
        bests.append(best[covered])
    return np.concatenate(starts), np.concatenate(stops), np.concatenate(bests)
