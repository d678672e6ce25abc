"""Comparing an extracted network with a base network, the whole way."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from roadgis._version import __version__
from roadgis.arrays import Floats
from roadgis.comparison.area import MetricLines, clipped, common_extent, in_fixed_order
from roadgis.comparison.matching import match_lines
from roadgis.comparison.offset import estimate_offset
from roadgis.comparison.offset_grid import OffsetField
from roadgis.comparison.review import (
    BASE,
    ROAD,
    attributes,
    azimuth_deg,
    offset_table,
    review_table,
    scores,
)
from roadgis.comparison.segments import MATCHED, MOVED, UNMATCHED, Segments, cut_pieces
from roadgis.comparison.write import check_review, write_review
from roadgis.errors import DataError
from roadgis.imagery.area import load_area
from roadgis.lines import LineLayer, metric_crs, read_lines
from roadgis.lines.linear_reference import LineAxis
from roadgis.model.card import named_models
from roadgis.network.network import RoadNetwork
from roadgis.options.comparison import CompareOptions
from roadgis.output.provenance import provenance_where_written
from roadgis.overwriting import check_not_input
from roadgis.progress import Progress, no_progress

_LOG = logging.getLogger(__name__)

Lines: TypeAlias = "str | Path | LineLayer | RoadNetwork"


@dataclass(frozen=True)
class Comparison:
    """Two networks compared.

    The tables hold lines, the surest first, with the columns ``id``, ``class``, ``score``,
    ``length_m``, ``distance_m``, ``reviewed``, ``note``, the base's attributes after ``base_`` and
    the extraction's after ``road_``. They are in the CRS of the extraction.

    Attributes
    ----------
    missing : geopandas.GeoDataFrame
        Lines only in the base.
    extra : geopandas.GeoDataFrame
        Lines only in the extraction.
    moved : geopandas.GeoDataFrame
        Lines of the base whose counterpart is displaced.
    matched : geopandas.GeoDataFrame
        Lines of the base with a counterpart in their place.
    offsets : geopandas.GeoDataFrame
        The offset at the points where it was estimated.
    offset : OffsetField
        Displacement from the base to the extraction.
    lengths : dict
        Metres, by class.
    provenance : dict
        Version, inputs, settings, area; plain JSON values.
    """

    missing: geopandas.GeoDataFrame
    extra: geopandas.GeoDataFrame
    moved: geopandas.GeoDataFrame
    matched: geopandas.GeoDataFrame
    offsets: geopandas.GeoDataFrame
    offset: OffsetField
    lengths: dict[str, float]
    provenance: dict[str, Any]

    @property
    def classes(self) -> dict[str, geopandas.GeoDataFrame]:
        """The tables by class, in the order of review."""
        return {name: getattr(self, name) for name in ("missing", "extra", "moved", "matched")}

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON values; shares of nothing are None."""
        found = self.lengths["matched_m"] + self.lengths["moved_m"]
        base, extraction = self.lengths["base_m"], self.lengths["extraction_m"]
        field = self.offset
        mean = np.array([[field.dx_m, field.dy_m]])
        away = np.hypot(*(field.at(field.places) - mean).T)
        return {
            **{name: round(value, 1) for name, value in self.lengths.items()},
            "share_of_base_found": round(found / base, 4) if base else None,
            "share_of_extraction_matched": (
                round(1.0 - self.lengths["extra_m"] / extraction, 4) if extraction else None
            ),
            "counts": {name: len(table) for name, table in self.classes.items()},
            "offset": {
                "estimated": bool(self.provenance["options"]["estimate_offset"]),
                "dx_m": field.dx_m,
                "dy_m": field.dy_m,
                "distance_m": round(float(np.hypot(field.dx_m, field.dy_m)), 3),
                "direction_deg": _number(azimuth_deg(mean)[0]),
                "residual_m": _number(field.residual_m),
                "largest_deviation_m": round(float(away.max()), 3) if len(away) else None,
                "stations": field.stations,
                "known": field.known,
                "ambiguous": field.ambiguous,
            },
            **self.provenance,
        }

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a file to review, ``.gpkg`` or ``.geojson``.

        Raises
        ------
        InputError, OutputError
            If the suffix is another, or the file cannot be written.
        """
        write_review(self.classes, self.offsets, self.to_dict(), path, overwrite=overwrite)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compare(
    proposal: Lines,
    base: Lines,
    output: str | Path | None = None,
    *,
    options: CompareOptions | None = None,
    aoi: Any = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Comparison:
    """Compare an extracted road network with a base network.

    Parameters
    ----------
    proposal : str, Path, LineLayer or RoadNetwork
        The extraction.
    base : str, Path, LineLayer or RoadNetwork
        Base network, such as OpenStreetMap's roads; in any CRS.
    output : str or Path, optional
        The file to review, ``.gpkg`` or ``.geojson``; None writes none.
    options : CompareOptions, optional
        Settings.
    aoi : path, geometry, GeoSeries or GeoDataFrame, optional
        Polygons within which the two are compared; a bare geometry is in the extraction's CRS.
        Without it, within what the extents of both have in common and a margin.
    overwrite : bool
        Replace an existing output.
    progress : Progress
        Progress callback, called as `progress(fraction, message)`; may cancel.

    Returns
    -------
    Comparison
        The same for any order of the lines.

    Raises
    ------
    DataError
        If a layer cannot be used, both are empty, or they have no place in common.
    InputError, OutputError
        If the output cannot be written.
    """
    options = options or CompareOptions()
    if output is not None:
        given = (proposal, base, aoi)
        check_not_input([output], [name for name in given if isinstance(name, (str, Path))])
        check_review(output, overwrite=overwrite)
    progress(0.0, "Reading the networks")
    layers = (_layer(proposal, "The extraction"), _layer(base, "The base"))
    out = _compare_layers(layers, aoi, options, progress)
    models = named_models(*(_made_by(lines) for lines in (proposal, base)))
    out = dataclasses.replace(out, provenance={**out.provenance, **models})
    if output is not None:
        progress(0.9, "Writing")
        out.write(output, overwrite=overwrite)
    progress(1.0, "Compared")
    return out


def _compare_layers(
    layers: tuple[LineLayer, LineLayer], aoi: Any, options: CompareOptions, progress: Progress
) -> Comparison:
    """Compare the extraction and the base within the area that counts."""
    crs = metric_crs(*layers)
    theirs, ours = (in_fixed_order(MetricLines(layer.on(crs), layer.feature)) for layer in layers)
    area = _area(theirs, ours, layers, aoi, crs, options)

    progress(0.2, "Estimating the offset")
    wide = area.buffer(options.max_offset_m) if options.estimate_offset else area
    extraction = in_fixed_order(clipped(theirs, area))
    near = clipped(ours, wide)
    if not (len(extraction.lines) or len(near.lines)):
        raise _apart(layers, theirs, ours, crs, "The area of interest holds no line of either")
    field = estimate_offset(LineAxis(near.lines), LineAxis(extraction.lines), options)

    progress(0.4, "Matching the lines")
    moved = near._replace(lines=_onto(near.lines, field))
    aligned = in_fixed_order(clipped(moved, area))
    out = _compared(aligned, extraction, field, layers, crs, options)
    left_out = {
        "base_left_out_m": max(ours.total_m - near.total_m + moved.total_m - aligned.total_m, 0.0),
        "extraction_left_out_m": max(theirs.total_m - extraction.total_m, 0.0),
    }
    _tell_left_out(left_out, aoi)
    return dataclasses.replace(
        out,
        lengths={**out.lengths, **left_out},
        provenance={
            "extraction": layers[0].name,
            "base": layers[1].name,
            "area": "common extent" if aoi is None else "area of interest",
            "frame": options.frame,
            "measured_in": crs.to_string(),
            "options": dataclasses.asdict(options),
            "version": __version__,
        },
    )


def _made_by(lines: Lines) -> dict[str, Any]:
    if isinstance(lines, RoadNetwork):
        return lines.provenance
    return {} if isinstance(lines, LineLayer) else provenance_where_written(lines)


def _layer(lines: Lines, name: str) -> LineLayer:
    if isinstance(lines, LineLayer):
        return lines
    if isinstance(lines, RoadNetwork):
        feature = np.arange(len(lines), dtype=np.int64)
        return LineLayer(name, lines.crs, lines.edges, feature, lines.to_geodataframe(), ())
    return read_lines(lines)


def _area(
    theirs: MetricLines,
    ours: MetricLines,
    layers: tuple[LineLayer, LineLayer],
    aoi: Any,
    crs: CRS,
    options: CompareOptions,
) -> BaseGeometry:
    """Return where the networks are compared."""
    for layer, placed in zip(layers, (theirs, ours), strict=True):
        if not len(placed.lines):
            _LOG.warning("%s: has no lines; all of the other network is unmatched.", layer.name)
    if not (len(theirs.lines) or len(ours.lines)):
        raise DataError(
            f"{layers[0].name} and {layers[1].name}: found no line in either, expected the roads "
            "of both. Check the files and their layers."
        )
    if aoi is not None:
        return load_area(aoi, layers[0].crs, crs)
    margin = options.margin_m + options.max_offset_m
    common = common_extent(theirs, ours, margin)
    # Near: one is within the other's margin; touching margins are not enough.
    if common is None or common_extent(theirs, ours, margin / 2) is None:
        raise _apart(layers, theirs, ours, crs, "The two networks lie apart")
    return common


def _apart(
    layers: tuple[LineLayer, LineLayer], theirs: MetricLines, ours: MetricLines, crs: CRS, what: str
) -> DataError:
    places = []
    for layer, placed in zip(layers, (theirs, ours), strict=True):
        if len(placed.lines):
            bounds = geopandas.GeoSeries(placed.lines, crs=crs).to_crs(4326).total_bounds
            west, south, east, north = bounds
            places.append(
                f"{layer.name} lies at longitude {west:.5f} .. {east:.5f}, latitude {south:.5f} .. "
                f"{north:.5f} (its CRS: {layer.crs.name})"
            )
    return DataError(
        f"{what}: {'; '.join(places)}. Expected networks of one place. Check that each file states "
        "its right CRS, and that the files and the area of interest are the ones you mean."
    )


def _tell_left_out(left_out: dict[str, float], aoi: Any) -> None:
    if aoi is None and sum(left_out.values()) > 1.0:
        _LOG.warning(
            "Left out as they lie beyond what the extents of the two networks have in common: "
            "%.2f km of the base and %.2f km of the extraction. To choose the area yourself, give "
            "an area of interest (--aoi).",
            left_out["base_left_out_m"] / 1000,
            left_out["extraction_left_out_m"] / 1000,
        )


def _onto(lines: npt.NDArray[np.object_], field: OffsetField) -> npt.NDArray[np.object_]:
    """Return lines of the base in the frame of the extraction."""
    if not (field.dx.any() or field.dy.any()):
        return lines
    return np.asarray(shapely.transform(lines, lambda xy: xy + field.at(xy)), object)


def _back(lines: npt.NDArray[np.object_], field: OffsetField) -> npt.NDArray[np.object_]:
    """Return lines in the frame of the extraction in that of the base."""
    if not (field.dx.any() or field.dy.any()):
        return lines

    def back(xy: Floats) -> Floats:
        place = xy
        # The field varies by millimetres over its own length: this settles at once.
        for _ in range(3):
            place = xy - field.at(place)
        return place

    return np.asarray(shapely.transform(lines, back), object)


def _compared(
    base: MetricLines,
    extraction: MetricLines,
    field: OffsetField,
    layers: tuple[LineLayer, LineLayer],
    crs: CRS,
    options: CompareOptions,
) -> Comparison:
    """Match what lies in one frame, and make the tables."""
    ours, theirs = LineAxis(base.lines), LineAxis(extraction.lines)
    our_side, their_side = match_lines(ours, theirs, options)
    pieces = cut_pieces(ours, our_side, theirs, options)
    their_pieces = cut_pieces(theirs, their_side, ours, options)
    target = layers[0].crs if len(layers[0].lines) else layers[1].crs
    tables, number = {}, 1
    for name, all_pieces, own, other, kind in (
        ("missing", pieces, (ours, base, 1), (extraction, 0), UNMATCHED),
        ("extra", their_pieces, (theirs, extraction, 0), (base, 1), UNMATCHED),
        ("moved", pieces, (ours, base, 1), (extraction, 0), MOVED),
        ("matched", pieces, (ours, base, 1), (extraction, 0), MATCHED),
    ):
        these = Segments(*(values[all_pieces.kind == kind] for values in all_pieces))
        table = _table(name, these, own, other, layers, crs, field, options).to_crs(target)
        table.insert(0, "id", np.arange(number, number + len(table)))
        number += len(table)
        tables[name] = table
    lengths = {
        "base_m": float(pieces.length_m.sum()),
        "extraction_m": float(their_pieces.length_m.sum()),
        "missing_m": float(pieces.length_m[pieces.kind == UNMATCHED].sum()),
        "extra_m": float(their_pieces.length_m[their_pieces.kind == UNMATCHED].sum()),
        "moved_m": float(pieces.length_m[pieces.kind == MOVED].sum()),
        "matched_m": float(pieces.length_m[pieces.kind == MATCHED].sum()),
    }
    return Comparison(
        **tables,
        offsets=offset_table(field, crs).to_crs(target),
        offset=field,
        lengths=lengths,
        provenance={},
    )


def _table(
    name: str,
    pieces: Segments,
    own: tuple[LineAxis, MetricLines, int],
    other: tuple[MetricLines, int],
    layers: tuple[LineLayer, LineLayer],
    crs: CRS,
    field: OffsetField,
    options: CompareOptions,
) -> geopandas.GeoDataFrame:
    """Return the table of one class in the metric CRS; layer 0 is the extraction, 1 the base."""
    lines, placed, which = own
    names = (ROAD, BASE)
    mine = attributes(layers[which].table, placed.feature[pieces.line], names[which])
    counterpart: pd.DataFrame | None = None
    if name in {"moved", "matched"}:
        partners, their = other
        rows = np.where(pieces.partner >= 0, partners.feature[pieces.partner], -1)
        counterpart = attributes(layers[their].table, rows, names[their])
    confidence = np.full(len(pieces.line), np.nan)
    extracted = mine if which == 0 else counterpart
    if extracted is not None and f"{ROAD}confidence" in extracted:
        confidence = pd.to_numeric(extracted[f"{ROAD}confidence"], errors="coerce").to_numpy(float)
    score = scores(name, pieces, confidence, options)
    shapes = lines.cut(pieces.line, pieces.begin_m, pieces.end_m)
    if options.frame == "base":
        shapes = _back(shapes, field)
    return review_table(name, pieces, shapes, mine, counterpart, score, crs)
