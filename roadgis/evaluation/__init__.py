"""Scores of a road network against ground truth.

From the ground up: `area` (clipping), `within_distance` (what is near lines), `graph` and
`graph_points` (lines as a graph). The scores use them: `pixel`, `buffer`, `junctions`, `apls`,
`topo`, and `errors` (pieces by class). `inputs` brings two layers onto one metric CRS, `run`
computes all.
"""

from __future__ import annotations

from roadgis.evaluation.apls import AplsScores, apls_score
from roadgis.evaluation.buffer import (
    BufferCurve,
    BufferScores,
    break_even,
    buffer_curve,
    buffer_scores,
)
from roadgis.evaluation.errors import ErrorPieces, LayerPieces, classify_errors
from roadgis.evaluation.junctions import JunctionScores, junction_scores, junctions
from roadgis.evaluation.pixel import PixelScores, pixel_scores
from roadgis.evaluation.run import Evaluation, evaluate
from roadgis.evaluation.topo import TopoScores, topo_scores

__all__ = [
    "AplsScores",
    "BufferCurve",
    "BufferScores",
    "ErrorPieces",
    "Evaluation",
    "JunctionScores",
    "LayerPieces",
    "PixelScores",
    "TopoScores",
    "apls_score",
    "break_even",
    "buffer_curve",
    "buffer_scores",
    "classify_errors",
    "evaluate",
    "junction_scores",
    "junctions",
    "pixel_scores",
    "topo_scores",
]
