"""Clean an existing line layer with the steps that traced lines go through."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from roadgis._version import __version__
from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.crs import continuous, in_degrees
from roadgis.errors import DataError
from roadgis.lines import LineLayer, metric_crs, read_lines
from roadgis.lines.fields import check_fields, field_numbers, field_values
from roadgis.model.card import named_models
from roadgis.network.attributes import edge_attributes, grouped_quantiles
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.network.clean import cleaned_lines, removed_by_cleaning
from roadgis.network.from_lines.centerlines import centerlines_from_lines, drawn_shapes
from roadgis.network.network import RoadNetwork
from roadgis.options.line_cleaning import CleanLinesOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.output import check_output, write_network
from roadgis.output.names import distinct_names
from roadgis.output.provenance import provenance_where_written
from roadgis.overwriting import check_not_input
from roadgis.probability.raster import open_probability
from roadgis.probability.raster_sampling import sampled_levels
from roadgis.probability.source import NO_DATA, ProbabilitySource
from roadgis.progress import Progress, no_progress
from roadgis.why_empty import WhyEmpty

_LOG = logging.getLogger(__name__)
#: Distance of the places at which the source of an edge is looked up, metres.
_PLACE_EACH_M = 10.0
#: Smallest and largest number of these places on an edge.
_FEWEST_PLACES, _MOST_PLACES = 3, 15


@dataclass(frozen=True)
class DrawnNetwork(RoadNetwork):
    """A network with fields copied from the layer that it was made from.

    Attributes
    ----------
    fields : dict of str to ndarray, shape (E,)
        A column for each field, missing where a road comes from no feature. Tables and files
        name it as in `field_names`.
    """

    fields: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def select(self, keep: Bools) -> DrawnNetwork:
        """Return some of the edges; see :meth:`RoadNetwork.select`."""
        kept = super().select(keep)
        assert isinstance(kept, DrawnNetwork)
        fields = {name: values[keep] for name, values in self.fields.items()}
        return dataclasses.replace(kept, fields=fields)

    @property
    def field_names(self) -> dict[str, str]:
        """Name of each field in outputs, distinct from attributes and names used by formats."""
        attributes = RoadNetwork.columns(self.select(np.zeros(len(self), np.bool_)))
        return distinct_names(self.fields, attributes)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the attributes of the edges by name, then the copied fields."""
        written = self.field_names
        copied = {written[name]: values for name, values in self.fields.items()}
        return super().columns() | copied


def clean_lines(
    source: str | Path | LineLayer,
    output: str | Path | None = None,
    *,
    options: CleanLinesOptions | None = None,
    probability: str | Path | None = None,
    raster: RasterOptions | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> RoadNetwork:
    """Clean and node an existing line layer.

    Lines are noded where they share vertices, ends are snapped to lines that they nearly touch,
    and the network is cleaned as one traced by :func:`roadgis.extract_roads`: dead ends, small
    components, gaps. Lines are not moved.

    Parameters
    ----------
    source : str, Path or LineLayer
        Vector file in any OGR format and any CRS; or a layer already read.
    output : str or Path, optional
        Vector file to write; its suffix chooses the format. None writes no file.
    options : CleanLinesOptions, optional
        Fields, snapping and cleaning.
    probability : str or Path, optional
        Probability raster or road mask: evidence for closing gaps, and source of the confidence.
    raster : RasterOptions, optional
        Meaning of its values; by default detected.
    overwrite : bool
        Replace an existing output.
    progress : Progress
        Progress callback, called as ``progress(fraction, message)``; may raise
        :class:`roadgis.errors.Cancelled`.

    Returns
    -------
    RoadNetwork
        In the layer's CRS. Width and confidence are NaN where unknown.

    Raises
    ------
    DataError
        If the layer cannot be used: see :func:`roadgis.lines.read_lines`.
    RoadgisError
        See :mod:`roadgis.errors`; no partial output is left.
    """
    options = options or CleanLinesOptions()
    options = dataclasses.replace(options, keep_fields=tuple(dict.fromkeys(options.keep_fields)))
    if output is not None:
        given: list[tuple[Any, str]] = [(source, "file"), (probability, "raster")]
        check_not_input([output], [item for item in given if isinstance(item[0], (str, Path))])
        check_output(output, overwrite=overwrite)
    progress(0.0, "Reading lines")
    layer = source if isinstance(source, LineLayer) else read_lines(
        source, layer=options.layer, assume_crs=options.assume_crs
    )  # fmt: skip
    drawn_by: dict[str, Any] = {}
    if isinstance(source, (str, Path)):
        drawn_by = provenance_where_written(source, options.layer)
    network = _cleaned_layer(layer, options, (probability, raster), drawn_by, progress)
    if network.why_empty is not None:
        _LOG.warning(
            "%s: no road is left; the output is empty. %s", layer.name, network.why_empty.text
        )
    if output is not None:
        progress(0.95, "Writing")
        write_network(network, output, overwrite=overwrite)
    progress(1.0, "done")
    return network


def _cleaned_layer(
    layer: LineLayer,
    options: CleanLinesOptions,
    raster: tuple[str | Path | None, RasterOptions | None],
    drawn_by: dict[str, Any],
    progress: Progress,
) -> RoadNetwork:
    """Return the network of a layer, in its CRS, with its provenance."""
    check_fields(layer, options.keep_fields, "--keep-fields")
    with _opened(*raster) as evidence:
        drawn = _cleaned(layer, options, evidence, progress)
        made_by = getattr(evidence, "provenance", {})
    _warn_of_renamed_fields(drawn)
    return _in_crs_of(drawn, layer).with_provenance(
        roadgis=__version__,
        inputs=[layer.name, *([] if raster[0] is None else [str(raster[0])])],
        settings=dataclasses.asdict(options),
        **named_models(drawn_by, made_by),
    )


@contextlib.contextmanager
def _opened(
    probability: str | Path | None, raster: RasterOptions | None
) -> Iterator[ProbabilitySource | None]:
    if probability is None:
        yield None
    else:
        with open_probability(probability, options=raster) as source:
            yield source


def _cleaned(
    layer: LineLayer,
    options: CleanLinesOptions,
    evidence: ProbabilitySource | None,
    progress: Progress,
) -> DrawnNetwork:
    crs = metric_crs(layer) if evidence is None else evidence.grid.crs
    lines = layer.on(crs)
    width_m = field_numbers(layer, options.width_field, "--width-field")
    width_m[~(width_m > 0)] = np.nan
    confidence = field_numbers(layer, options.confidence_field, "--confidence-field")
    if (confidence < 0).any() or (confidence > 1).any():
        raise DataError(
            f"{layer.name}: the field {options.confidence_field!r} holds values from "
            f"{np.nanmin(confidence):g} to {np.nanmax(confidence):g}, expected 0 to 1. Scale them, "
            "e.g. with --confidence-field NAME*0.01."
        )
    progress(0.1, "Noding lines")
    centerlines = centerlines_from_lines(
        lines, crs, width_m=width_m, confidence=confidence, source=evidence, options=options.drawn
    )
    progress(0.4, "Cleaning the network")
    cleaned = cleaned_lines(centerlines, options.clean, source=evidence)
    progress(0.8, "Finding source features")
    network = _network(cleaned, layer, lines, options, (width_m, confidence), evidence)
    if len(network):
        return network
    why = WhyEmpty(
        float(centerlines.length_px.sum()) * centerlines.grid.gsd_m,
        removed_by_cleaning(centerlines, options.clean, source=evidence),
    )
    return dataclasses.replace(network, why_empty=why)


def _network(
    cleaned: Centerlines,
    layer: LineLayer,
    lines: Lines,
    options: CleanLinesOptions,
    known: tuple[Floats, Floats],
    evidence: ProbabilitySource | None,
) -> DrawnNetwork:
    clean, gsd = options.clean, cleaned.grid.gsd_m
    edges, nodes = drawn_shapes(cleaned, clean.smooth_m / gsd, clean.tolerance_m)
    reach = options.drawn.snap_m + clean.tolerance_m + 2 * clean.smooth_m + 0.5
    sources = find_source_lines(edges, lines, reach)
    return DrawnNetwork(
        crs=cleaned.grid.crs,
        edges=edges,
        start=cleaned.start,
        end=cleaned.end,
        nodes=nodes,
        bridged=cleaned.bridged,
        **_measured(cleaned, sources, known, evidence),
        fields={name: field_values(layer, name, sources.line) for name in options.keep_fields},
    )


def _measured(
    cleaned: Centerlines,
    sources: SourceLines,
    known: tuple[Floats, Floats],
    evidence: ProbabilitySource | None,
) -> dict[str, Any]:
    """Return widths and confidence as known from the layer or the raster."""
    median, low, high = sources.quantiles(known[0], (0.5, 0.1, 0.9))
    mean, least = sources.mean_and_least(known[1])
    if evidence is not None:
        # The raster counts where it has data along most of the road.
        read, seen = edge_attributes(cleaned), sources.seen_share(evidence) > 0.5
        mean = np.where(seen, read.confidence, mean)
        least = np.where(seen, read.confidence_min, least)
    return {
        "width_m": median,
        "width_p10_m": low,
        "width_p90_m": high,
        "confidence": mean,
        "confidence_min": least,
    }


def _warn_of_renamed_fields(network: DrawnNetwork) -> None:
    changed = [f"{old} is {new}" for old, new in network.field_names.items() if old != new]
    if changed:
        _LOG.warning(
            "Some fields have names that roads' attributes or file formats use, or that differ in "
            "case only; in the output %s.",
            ", ".join(changed),
        )


def _in_crs_of(network: RoadNetwork, layer: LineLayer) -> RoadNetwork:
    network = network.to_crs(layer.crs)
    if in_degrees(layer.crs) and len(network):
        network = dataclasses.replace(network, edges=continuous(network.edges)[0])
    return network


@dataclass(frozen=True)
class SourceLines:
    """Source lines of E edges, found at S evenly spaced places; M matches of a place and a line.

    Attributes
    ----------
    line : ndarray of int64, shape (E,)
        Line found at most of an edge's places; -1 where half of them have none.
    edge, at : ndarray of int64, shape (M,)
        Edge and line of each match; a place on several lines has several.
    xy : ndarray of float64, shape (S, 2)
        Places.
    edge_of_place : ndarray of int64, shape (S,)
        Their edges.
    """

    line: Ints
    edge: Ints
    at: Ints
    xy: Floats
    edge_of_place: Ints

    def quantiles(self, values: Floats, shares: tuple[float, ...]) -> list[Floats]:
        """Return quantiles, 0..1, of the lines' values along each edge; NaN where unknown."""
        known = np.isfinite(values[self.at])
        return grouped_quantiles(self.edge[known], values[self.at[known]], len(self.line), shares)

    def mean_and_least(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the least value along each edge, (E,) each; NaN where unknown."""
        known = np.isfinite(values[self.at])
        edge, value = self.edge[known], values[self.at[known]]
        count = np.bincount(edge, minlength=len(self.line))
        total = np.bincount(edge, weights=value, minlength=len(self.line))
        least = np.full(len(self.line), np.inf)
        np.minimum.at(least, edge, value)
        some = count > 0
        mean = np.where(some, total / np.maximum(count, 1), np.nan)
        return mean, np.where(some, least, np.nan)

    def seen_share(self, source: ProbabilitySource) -> Floats:
        """Return the share of each edge's places where a raster has data, (E,)."""
        grid = source.grid
        row = (grid.y0 - self.xy[:, 1]) / grid.gsd_m - 0.5
        col = (self.xy[:, 0] - grid.x0) / grid.gsd_m - 0.5
        level = sampled_levels(source, row, col)
        seen = np.bincount(self.edge_of_place, weights=level != NO_DATA, minlength=len(self.line))
        count = np.bincount(self.edge_of_place, minlength=len(self.line))
        return np.asarray(seen / count.clip(1), np.float64)


def find_source_lines(edges: Lines, lines: Lines, reach_m: float) -> SourceLines:
    """Find the line that each edge mostly runs along.

    Parameters
    ----------
    edges : ndarray of LineString, shape (E,)
        Edges of the network.
    lines : ndarray of LineString, shape (L,)
        Lines in the same metric CRS.
    reach_m : float
        Largest distance of an edge from its line.
    """
    length = shapely.length(edges)
    count = np.clip(np.ceil(length / _PLACE_EACH_M), _FEWEST_PLACES, _MOST_PLACES).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), count)
    number = concatenated_ranges(np.zeros_like(count), count)
    share = (number + 0.5) / count[edge]
    points = shapely.line_interpolate_point(edges[edge], share, normalized=True)
    if not len(edges) or not len(lines):
        none = np.empty(0, np.int64)
        return SourceLines(
            np.full(len(edges), -1), none, none, shapely.get_coordinates(points), edge
        )
    place, at = shapely.STRtree(lines).query_nearest(points, max_distance=reach_m)
    xy = shapely.get_coordinates(points)
    # The line at most places; of equal ones the one with the lowest coordinates.
    order = np.empty(len(lines), np.int64)
    order[np.lexsort(shapely.bounds(lines).T)] = np.arange(len(lines))
    pair, votes = np.unique(np.stack([edge[place], order[at]], axis=1), axis=0, return_counts=True)
    rank = np.lexsort([-pair[:, 1], votes, pair[:, 0]])
    line = np.full(len(edges), -1)
    line[pair[rank, 0]] = np.argsort(order)[pair[rank, 1]]
    found = np.bincount(np.unique(place), minlength=len(edge)) > 0
    some = np.bincount(edge, weights=found, minlength=len(edges)) >= count / 2
    return SourceLines(np.where(some, line, -1), edge[place], at, xy, edge)
