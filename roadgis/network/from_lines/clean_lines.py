"""Cleaning anybody's line layer: the same as what is traced from imagery goes through."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pandas

from roadgis._version import __version__
from roadgis.arrays import Bools, Floats, Lines
from roadgis.crs import continuous, in_degrees
from roadgis.errors import DataError, InputError
from roadgis.lines import LineLayer, metric_crs, read_lines
from roadgis.model.card import named_models
from roadgis.network.attributes import edge_attributes
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines, removed_by_cleaning
from roadgis.network.from_lines.centerlines import DrawnOptions, centerlines_from_lines
from roadgis.network.from_lines.shapes import drawn_shapes
from roadgis.network.from_lines.source_features import Origin, find_origin
from roadgis.network.network import RoadNetwork
from roadgis.network.options import CleanOptions, RuleOptions
from roadgis.network.why_empty import WhyEmpty
from roadgis.output import check_output, write_network
from roadgis.output.names import distinct_names
from roadgis.output.provenance import provenance_where_written
from roadgis.overwriting import check_not_input
from roadgis.probability.raster import RasterOptions, open_probability
from roadgis.probability.source import ProbabilitySource
from roadgis.progress import Progress, no_progress
from roadgis.vector_files.reading import GEOMETRY_FIELD

__all__ = ["CleanLinesOptions", "DrawnNetwork", "clean_lines", "drawn_clean_options"]

_LOG = logging.getLogger(__name__)


def drawn_clean_options(
    base: CleanOptions | None = None, *, evidence: bool = False
) -> CleanOptions:
    """Return settings of cleaning for lines that were drawn, not traced.

    What only a measured width could tell is left alone: that junctions are one. Rules against
    false roads, and sure dead ends, need probability along the lines.

    Parameters
    ----------
    base : CleanOptions, optional
        Where the other settings come from; by default lines are not smoothed, and simplified
        by 5 cm.
    evidence : bool
        Whether there is a raster of probability.
    """
    base = base or CleanOptions(smooth_m=0.0, tolerance_m=0.05)
    return dataclasses.replace(
        base,
        junction_factor=0.0,
        sure_dangle_share=base.sure_dangle_share if evidence else 1.0,
        rules=base.rules if evidence else RuleOptions.none(),
    )


@dataclass(frozen=True)
class CleanLinesOptions:
    """Settings of cleaning a line layer.

    Attributes
    ----------
    layer : str or None
        Which layer of the file.
    assume_crs : str or None
        CRS of a layer that has none.
    width_field : str or None
        Field with the road's width in metres, or ``NAME*FACTOR`` such as ``lanes*3.5``.
    confidence_field : str or None
        Field with the confidence 0..1, or ``NAME*FACTOR``.
    keep_fields : tuple of str
        Fields that roads take over from the feature that they mostly come from.
    drawn : DrawnOptions
        How ends are attached, and what stands for widths that are not known.
    clean : CleanOptions
        What is dropped, joined and simplified.
    """

    layer: str | None = None
    assume_crs: str | None = None
    width_field: str | None = None
    confidence_field: str | None = None
    keep_fields: tuple[str, ...] = ()
    drawn: DrawnOptions = field(default_factory=DrawnOptions)
    clean: CleanOptions = field(default_factory=drawn_clean_options)


@dataclass(frozen=True)
class DrawnNetwork(RoadNetwork):
    """A network with fields taken over from the layer that it was made from.

    Attributes
    ----------
    fields : dict of str to ndarray, shape (E,)
        A column for each field, missing where a road comes from no feature. Tables and files
        have it under the name that `field_names` says.
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
        """What each field is called in outputs, where attributes and formats have names too."""
        attributes = RoadNetwork.to_geodataframe(self.select(np.zeros(len(self), np.bool_)))
        return distinct_names(self.fields, attributes.columns)

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return the edges as a table, the fields taken over after the attributes."""
        table = super().to_geodataframe()
        shape = table.pop("geometry")
        written = self.field_names
        for name, values in self.fields.items():
            table[written[name]] = pandas.Series(values, dtype=values.dtype)
        return geopandas.GeoDataFrame(table, geometry=shape, crs=self.crs)


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
    """Make a clean, noded road network of anybody's lines.

    Lines are noded where they share vertices, ends are attached to what they nearly touch,
    then it is cleaned as what :func:`roadgis.extract_roads` traces: dead ends, small parts,
    gaps. Lines stay where they were drawn.

    Parameters
    ----------
    source : str, Path or LineLayer
        A vector file in any format of OGR, in any CRS; or a layer already read.
    output : str or Path, optional
        The vector file; its suffix chooses the format. None writes none.
    options : CleanLinesOptions, optional
        The settings.
    probability : str or Path, optional
        A probability raster or road mask: evidence for closing gaps, and where confidence is
        taken from.
    raster : RasterOptions, optional
        What its values mean; what is not given is detected.
    overwrite : bool
        Replace an existing output.
    progress : Progress
        Told how far it is; may raise :class:`roadgis.errors.Cancelled`.

    Returns
    -------
    RoadNetwork
        In the layer's CRS. Width and confidence are NaN where nothing tells them.

    Raises
    ------
    DataError
        If the layer cannot be used: see :func:`roadgis.lines.read_lines`.
    RoadgisError
        See :mod:`roadgis.errors`; nothing is left at the output's name.
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
    _check_fields(layer, options.keep_fields, "--keep-fields")
    with _opened(probability, raster) as evidence:
        drawn = _cleaned(layer, options, evidence, progress)
        made_by = [getattr(evidence, "provenance", {})]
    if isinstance(source, (str, Path)):
        made_by.insert(0, provenance_where_written(source, options.layer))
    _tell_names(drawn)
    network = _in_crs_of(drawn, layer).with_provenance(
        roadgis=__version__,
        inputs=[layer.name, *([] if probability is None else [str(probability)])],
        settings=dataclasses.asdict(options),
        **named_models(*made_by),
    )
    if network.why_empty is not None:
        _LOG.warning(
            "%s: no road is left; the output is empty. %s", layer.name, network.why_empty.text
        )
    if output is not None:
        progress(0.95, "Writing")
        write_network(network, output, overwrite=overwrite)
    progress(1.0, "done")
    return network


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
    width_m = _numbers(layer, options.width_field, "--width-field")
    width_m[~(width_m > 0)] = np.nan
    confidence = _numbers(layer, options.confidence_field, "--confidence-field")
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
    progress(0.8, "Finding where roads come from")
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
    origin = find_origin(edges, lines, reach)
    return DrawnNetwork(
        crs=cleaned.grid.crs,
        edges=edges,
        start=cleaned.start,
        end=cleaned.end,
        nodes=nodes,
        bridged=cleaned.bridged,
        **_measured(cleaned, origin, known, evidence),
        fields={
            name: _values(layer.table[_column_of(layer, name)], layer, origin)
            for name in options.keep_fields
        },
    )


def _measured(
    cleaned: Centerlines,
    origin: Origin,
    known: tuple[Floats, Floats],
    evidence: ProbabilitySource | None,
) -> dict[str, Any]:
    """Return widths and confidence as far as the layer, or the raster, tells them."""
    median, low, high = origin.quantiles(known[0], (0.5, 0.1, 0.9))
    mean, least = origin.mean_and_least(known[1])
    if evidence is not None:
        # What cleaning has read counts where the raster has data along most of the road.
        read, seen = edge_attributes(cleaned), origin.seen_share(evidence) > 0.5
        mean = np.where(seen, read.confidence, mean)
        least = np.where(seen, read.confidence_min, least)
    return {
        "width_m": median,
        "width_p10_m": low,
        "width_p90_m": high,
        "confidence": mean,
        "confidence_min": least,
    }


def _check_fields(layer: LineLayer, names: tuple[str, ...], option: str) -> None:
    present = [str(c) for c in layer.table.columns if c != layer.table.geometry.name]
    for name in names:
        if _column_of(layer, name) not in present:
            raise InputError(
                f"{layer.name}: has no field {name!r}; it has "
                f"{', '.join(map(repr, present)) or 'no fields at all'}. Name some of these with "
                f"{option}."
            )


def _column_of(layer: LineLayer, field: str) -> str:
    """Return the column of a layer's table that holds a field of its file."""
    is_taken = field == layer.table.geometry.name and GEOMETRY_FIELD in layer.table.columns
    return GEOMETRY_FIELD if is_taken else field


def _tell_names(network: DrawnNetwork) -> None:
    changed = [f"{old} is {new}" for old, new in network.field_names.items() if old != new]
    if changed:
        _LOG.warning(
            "Some fields have names that roads' attributes or file formats use, or that differ in "
            "case only; in the output %s.",
            ", ".join(changed),
        )


def _numbers(layer: LineLayer, text: str | None, option: str) -> Floats:
    """Return a field's numbers, one for each line; NaN where there is none."""
    if text is None:
        return np.full(len(layer.lines), np.nan)
    name, star, by = text.rpartition("*")
    if not star or text in layer.table.columns:
        name, by = text, "1"
    name = name.strip()
    _check_fields(layer, (name,), option)
    name = _column_of(layer, name)
    try:
        factor = float(by)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: {by!r} is no factor. Expected a number after the *, such as "
            "lanes*3.5."
        ) from error
    column = layer.table[name]
    if column.dtype.kind not in "iufb":
        column = column.astype("string").str.strip().str.removesuffix("m").str.strip()
    numbers = pandas.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    wrong = int((np.isnan(numbers) & layer.table[name].notna().to_numpy()).sum())
    if wrong:
        _LOG.warning(
            "%s: %d features have no number in the field %r; it is taken as not known there.",
            layer.name,
            wrong,
            name,
        )
    return np.asarray(numbers[layer.feature] * factor, np.float64)


def _values(column: pandas.Series, layer: LineLayer, origin: Origin) -> npt.NDArray[Any]:
    """Return a field's value for each edge: numbers, with NaN where missing, or text, with None."""
    none = origin.line < 0
    row = np.where(none, 0, layer.feature[origin.line] if len(layer.feature) else -1)
    if not len(column):
        return np.full(len(row), None, object)
    if column.dtype.kind in "iufb":
        values = column.to_numpy()[row]
        return np.where(none, np.nan, values) if none.any() else values
    if column.dtype.kind == "M":
        column = column.map(lambda value: value.isoformat(), na_action="ignore")
    filled = column.astype(object).where(column.notna(), None).to_numpy(object)[row]
    filled[none] = None
    return np.array([v if v is None else str(v) for v in filled.tolist()] or [], object)


def _in_crs_of(network: RoadNetwork, layer: LineLayer) -> RoadNetwork:
    network = network.to_crs(layer.crs)
    if in_degrees(layer.crs) and len(network):
        network = dataclasses.replace(network, edges=continuous(network.edges)[0])
    return network
