"""Evaluate a road network against the truth: all scores at once."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Floats
from roadgis.errors import InputError
from roadgis.evaluation.apls import AplsScores, apls_score
from roadgis.evaluation.buffer import BufferCurve, BufferScores, buffer_curve, buffer_scores
from roadgis.evaluation.errors import ErrorPieces, classify_errors
from roadgis.evaluation.inputs import LinesLike, Measured, Side, as_layer, measured
from roadgis.evaluation.junctions import JunctionScores, junction_scores
from roadgis.evaluation.pixel import PixelScores, pixel_scores
from roadgis.evaluation.topo import TopoScores, topo_scores
from roadgis.options.evaluation import EvaluateOptions
from roadgis.progress import Progress, no_progress

_LOG = logging.getLogger(__name__)

_CONFIDENCE = "confidence"
_KMH = 1 / 3.6


@dataclass(frozen=True)
class Evaluation:
    """All scores of a proposed road network, and the pieces that they are made of.

    Attributes
    ----------
    curve : BufferCurve
        Relaxed precision over recall by confidence; no thresholds where lines have none.
    apls : AplsScores
        By length.
    apls_time : AplsScores or None
        By travel time, where `EvaluateOptions.speed_field` is given.
    errors : ErrorPieces
        Both layers taken apart by class of error.
    crs : pyproj.CRS
        Metric CRS of all pieces and of `area`.
    issues : tuple of str
        Warnings about ignored features and doubtful inputs.
    """

    pixel: PixelScores
    buffer: BufferScores
    curve: BufferCurve
    apls: AplsScores
    apls_time: AplsScores | None
    topo: TopoScores
    junctions: JunctionScores
    errors: ErrorPieces
    crs: CRS
    area: BaseGeometry | None
    proposal_name: str
    truth_name: str
    options: EvaluateOptions
    issues: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON values; None where a score does not apply."""
        out = {**self._main_scores(), **self._more_scores()}
        plain = {key: _number(value) for key, value in out.items()}
        return {
            **plain,
            "truth_length_by_kind_m": self.errors.truth.length_by_kind(),
            "proposal_length_by_kind_m": self.errors.proposal.length_by_kind(),
            "proposal": self.proposal_name,
            "truth": self.truth_name,
            "crs": self.crs.to_string(),
            "options": self.options.to_dict(),
            "issues": list(self.issues),
        }

    def _main_scores(self) -> dict[str, float | None]:
        return {
            "iou": self.pixel.iou,
            "relaxed_precision": self.buffer.relaxed_precision,
            "relaxed_recall": self.buffer.relaxed_recall,
            "relaxed_f1": self.buffer.relaxed_f1,
            "apls": self.apls.apls,
            "apls_truth_onto_proposal": self.apls.truth_onto_proposal,
            "apls_proposal_onto_truth": self.apls.proposal_onto_truth,
            "topo_precision": self.topo.precision,
            "topo_recall": self.topo.recall,
            "topo_f1": self.topo.f1,
            "junction_f1": self.junctions.f1,
        }

    def _more_scores(self) -> dict[str, float | None]:
        time, buffer = self.apls_time, self.buffer
        return {
            "pixel_precision": self.pixel.precision,
            "pixel_recall": self.pixel.recall,
            "pixel_f1": self.pixel.f1,
            "break_even": self.curve.break_even,
            "completeness": buffer.completeness,
            "correctness": buffer.correctness,
            "quality": buffer.quality,
            "redundancy": buffer.redundancy,
            "rmse_m": buffer.rmse_m,
            "apls_time": time.apls if time else None,
            "apls_time_truth_onto_proposal": time.truth_onto_proposal if time else None,
            "apls_time_proposal_onto_truth": time.proposal_onto_truth if time else None,
            "junction_precision": self.junctions.precision,
            "junction_recall": self.junctions.recall,
            "truth_junctions": len(self.junctions.truth),
            "proposal_junctions": len(self.junctions.proposal),
            "truth_m": buffer.truth_m,
            "proposal_m": buffer.proposal_m,
            "matched_truth_m": buffer.matched_truth_m,
            "matched_proposal_m": buffer.matched_proposal_m,
        }


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def evaluate(
    proposal: LinesLike,
    truth: LinesLike,
    *,
    aoi: Any = None,
    options: EvaluateOptions | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure how good a road network is.

    Parameters
    ----------
    proposal, truth : path, LineLayer, GeoDataFrame or RoadNetwork
        Lines in any CRS, each its own; noded in any way.
    aoi : path, geometry, GeoSeries or GeoDataFrame, optional
        Polygons in any CRS; only what is inside counts. A bare geometry is in the truth's CRS.
    options : EvaluateOptions, optional
        Buffers, radii, seeds.
    progress : Progress
        Progress callback, called as `progress(fraction, message)`; may cancel.

    Returns
    -------
    Evaluation
        A network against itself scores exactly 1, an empty proposal exactly 0.

    Raises
    ------
    EmptyTruthError
        If the truth has no lines, or none inside the area.
    InputError
        If a layer cannot be read as lines, the layers lie more than 10 km apart, or a layer lacks
        the requested speed field.
    """
    options = options or EvaluateOptions()
    progress(0.0, "Reading the layers")
    both = measured(as_layer(proposal, "The proposal"), as_layer(truth, "The truth"), aoi)
    return _evaluation(both, options, progress)


def _evaluation(both: Measured, options: EvaluateOptions, progress: Progress) -> Evaluation:
    ours, theirs, area = both.truth.lines, both.proposal.lines, both.area
    progress(0.1, "Comparing pixels")
    pixel = pixel_scores(ours, theirs, width_m=options.width_m, gsd_m=options.gsd_m, aoi=area)
    progress(0.25, "Comparing lengths")
    buffer = buffer_scores(ours, theirs, buffer_m=options.buffer_m, aoi=area)
    curve = _curve(both, options.buffer_m)
    progress(0.4, "Sorting errors by class")
    errors = classify_errors(
        ours,
        theirs,
        buffer_m=options.buffer_m,
        displaced_m=options.displacement_m,
        gap_m=options.gap_m,
        aoi=area,
    )
    progress(0.5, "Comparing junctions")
    junctions = junction_scores(ours, theirs, radius_m=options.junction_radius_m, aoi=area)
    progress(0.55, "Comparing routes (APLS)")
    apls = _apls(both, options)
    apls_time = _apls(both, options, by_time=True) if options.speed_field else None
    progress(0.8, "Comparing surroundings (TOPO)")
    topo = topo_scores(
        both.truth.inside,
        both.proposal.inside,
        radius_m=options.topo_radius_m,
        hole_m=options.topo_hole_m,
        interval_m=options.topo_interval_m,
        seeds=options.topo_seeds,
        seed=options.seed,
    )
    progress(1.0, "Evaluated")
    return Evaluation(
        pixel=pixel,
        buffer=buffer,
        curve=curve,
        apls=apls,
        apls_time=apls_time,
        topo=topo,
        junctions=junctions,
        errors=errors,
        crs=both.crs,
        area=area,
        proposal_name=both.proposal.layer.name,
        truth_name=both.truth.layer.name,
        options=options,
        issues=both.issues,
    )


def _curve(both: Measured, buffer_m: float) -> BufferCurve:
    confidence = both.proposal.values(_CONFIDENCE)
    if confidence is None:
        confidence = np.full(len(both.proposal.lines), np.nan)
    return buffer_curve(
        both.truth.lines, both.proposal.lines, confidence, buffer_m=buffer_m, aoi=both.area
    )


def _apls(both: Measured, options: EvaluateOptions, *, by_time: bool = False) -> AplsScores:
    speed = None
    if by_time and options.speed_field:
        speed = (
            _speed(both.truth, options.speed_field),
            _speed(both.proposal, options.speed_field),
        )
    return apls_score(
        both.truth.inside,
        both.proposal.inside,
        spacing_m=options.apls_spacing_m,
        snap_m=options.apls_snap_m,
        speed=speed,
        seed=options.seed,
        max_controls=options.apls_max_controls,
    )


def _speed(side: Side, field: str) -> Floats:
    """Return the speed on each line inside the area, (M,) m/s; unknown ones are the median."""
    values = side.values(field)
    if values is None:
        found = ", ".join(map(str, side.layer.table.columns.drop("geometry", errors="ignore")))
        raise InputError(
            f"{side.layer.name}: has no field {field!r} with speeds in km/h; it has: "
            f"{found or 'none'}. Name a field that both layers have, or leave APLS by time out."
        )
    known = np.isfinite(values) & (values > 0)
    if len(values) and not known.any():
        raise InputError(
            f"{side.layer.name}: field {field!r} holds no number above 0; expected speeds in "
            "km/h. Name another field, or leave APLS by time out."
        )
    if not known.all():
        length = shapely.length(side.lines)
        _LOG.warning(
            "%s: %.0f %% of the length has no speed in %r; the median of the others is used.",
            side.layer.name,
            100 * length[~known].sum() / length.sum(),
            field,
        )
        values = np.where(known, values, np.median(values[known]))
    return values[side.source] * _KMH
