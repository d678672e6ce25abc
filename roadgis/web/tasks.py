"""Short work on a job's files, for the process of :mod:`roadgis.web.pool`.

Arguments and results are plain values, as they are sent between processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from roadgis.atomic import atomic_path
from roadgis.errors import InputError, ReadError
from roadgis.imagery.record import SceneRecord
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.output import write_network
from roadgis.probability.mosaic import Mosaic
from roadgis.raster_pipeline import vectorize_file
from roadgis.web.corrections import corrected
from roadgis.web.network_style import add_network_style
from roadgis.web.networks import LONLAT, differences, read_network
from roadgis.web.road_tiles import open_layer
from roadgis.web.scene_report import scene_report
from roadgis.web.store import Edit
from roadgis.web.stored_run import stored_run

#: Scores that the page shows, by the names of docs/evaluation.md.
_SCORES = {
    "recall": "relaxed_recall",
    "precision": "relaxed_precision",
    "F1": "relaxed_f1",
    "APLS": "apls",
    "junctions F1": "junction_f1",
    "IoU": "iou",
}


def _options(settings: Mapping[str, Any]) -> ExtractOptions:
    """Return the settings of vectorizing that the sliders have."""
    clean: dict[str, Any] = {
        name: settings[name]
        for name in ("min_component_m", "tolerance_m")
        if settings.get(name) is not None
    }
    if settings.get("max_gap_m") is not None:
        clean["bridge"] = BridgeOptions(max_gap_m=settings["max_gap_m"])
    return ExtractOptions(threshold=settings.get("threshold"), clean=CleanOptions(**clean))


def _counts(network: RoadNetwork) -> dict[str, Any]:
    return {
        "edges": len(network),
        "length_m": round(float(network.length_m.sum()), 1),
        "bridged": int(network.bridged.sum()),
    }


@contextlib.contextmanager
def _without_log() -> Any:
    """Silence the messages of each run, such as the reasons for a network without roads."""
    package = logging.getLogger("roadgis")
    level = package.level
    package.setLevel(logging.ERROR)
    try:
        yield
    finally:
        package.setLevel(level)


def preview(
    work: Path, raster: Path, roads: Path, settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Make a preview of an unfinished run: a raster of its finished chunks, and their roads.

    Parameters
    ----------
    work : Path
        The run's work directory.
    raster : Path
        The VRT that is written.
    roads : Path
        The GeoPackage that is written.
    settings : mapping
        See :class:`roadgis.web.api.models.VectorSettings`.

    Returns
    -------
    dict or None
        Counts and seconds; None while there is nothing to show.
    """
    started = time.monotonic()
    try:
        mosaic = Mosaic.open(work)
        if not mosaic.imagery:
            return None
        window = SceneRecord.from_json(mosaic.imagery).covered_in_grid
        mosaic.write_vrt(window, path=raster, unfinished=True)
    except ReadError:
        return None
    # Without chunks it has no values from which the encoding could be detected.
    if "<SimpleSource>" not in raster.read_text(encoding="utf-8"):
        return None
    with _without_log():
        network = vectorize_file(raster, options=_options(settings))
    write_network(network, roads, overwrite=True)
    return _counts(network) | {"seconds": time.monotonic() - started}


def redo(
    work: Path,
    sheets: Sequence[Path],
    crs: str | None,
    old: Path,
    roads: Path,
    difference: Path,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Vectorize a run's probability with other settings.

    Parameters
    ----------
    work : Path
        The run's work directory.
    sheets : sequence of Path
        The imagery, from which edges get their `source` and `source_date`.
    crs : str or None
        CRS of sheets that have none.
    old : Path
        Network to compare with.
    roads : Path
        The GeoPackage that is written.
    difference : Path
        The JSON file that is written: lines that were added and removed.
    settings : mapping
        See :class:`roadgis.web.api.models.VectorSettings`.

    Returns
    -------
    dict
        Counts and seconds.
    """
    started = time.monotonic()
    with _without_log():
        network = stored_run(work, sheets, crs).network(_options(settings))
    before = read_network(old)
    provenance = {**before.provenance, "settings": network.provenance.get("settings")}
    threshold = network.provenance.get("threshold")
    network = dataclasses.replace(network, provenance={**provenance, "threshold": threshold})
    write_network(network, roads, overwrite=True)
    counts = _counts(network)
    counts |= _write_difference(before, network, difference)
    return counts | {"threshold": threshold, "seconds": round(time.monotonic() - started, 2)}


def _write_difference(old: RoadNetwork, new: RoadNetwork, path: Path) -> dict[str, Any]:
    """Write the lines that two networks do not share, in longitude and latitude."""
    metric = geopandas.GeoSeries(new.edges, crs=new.crs)
    before = geopandas.GeoSeries(old.edges, crs=old.crs)
    known = metric if len(metric) else before
    local = known.estimate_utm_crs() if len(known) else new.crs
    parts = differences(
        np.asarray(before.to_crs(local), object), np.asarray(metric.to_crs(local), object)
    )
    lines, counts = {}, {}
    for name, part in zip(("added", "removed"), parts, strict=True):
        placed = geopandas.GeoSeries(list(part), crs=local).to_crs(LONLAT)
        lines[name] = [np.round(shapely.get_coordinates(line), 7).tolist() for line in placed]
        counts[f"{name}_m"] = round(float(shapely.length(part).sum()), 1)
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(lines), encoding="utf-8")
    return counts


def export(
    folder: Path, number: int, edits: Sequence[Edit], output: Path, *, as_edited: bool
) -> None:
    """Write a network in any format, with corrections or without.

    Parameters
    ----------
    folder : Path
        Folder of the networks, ``N.gpkg``.
    number : int
        Number of the network.
    edits : sequence of Edit
        The corrections.
    output : Path
        Its suffix chooses the format; ``.zip`` is a Shapefile.
    as_edited : bool
        Apply the corrections.
    """
    network = read_network(folder / f"{number}.gpkg")
    if not (as_edited and edits):
        _write(network, output)
        return
    made = _corrected(folder, number, edits, network)
    _write(made.with_provenance(corrections=len(edits)), output, edited=True)


def _write(network: RoadNetwork, output: Path, *, edited: bool = False) -> None:
    """Write a network: a GeoPackage with styles; the files of a Shapefile in one zip file."""
    if output.suffix == ".gpkg":
        with atomic_path(output) as partial:
            write_network(network, partial)
            add_network_style(partial, edited=edited)
        return
    if output.suffix != ".zip":
        write_network(network, output, overwrite=True)
        return
    with tempfile.TemporaryDirectory(dir=output.parent) as folder, _without_log():
        write_network(network, Path(folder) / "roads.shp")
        with atomic_path(output) as partial, zipfile.ZipFile(partial, "w") as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)


def warm_up() -> None:
    """Do nothing; the process starts and imports this module."""


def _corrected(
    folder: Path, number: int, edits: Sequence[Edit], network: RoadNetwork
) -> RoadNetwork:
    numbers = {edit.network for edit in edits if edit.edge is not None}
    originals = {n: read_network(folder / f"{n}.gpkg") for n in numbers}
    return corrected(network, number, edits, originals)


def labels(
    folder: Path, number: int, edits: Sequence[Edit], imagery: Sequence[Path], output: Path
) -> None:
    """Write the corrected roads as masks for training, one for each sheet, in a zip file.

    Parameters
    ----------
    folder, number, edits
        See :func:`export`.
    imagery : sequence of Path
        The sheets whose pixels the masks take.
    output : Path
        The zip file.
    """
    from roadgis.labels.masks import burn_like
    from roadgis.labels.vector import RoadLayer

    network = read_network(folder / f"{number}.gpkg")
    table = _corrected(folder, number, edits, network).to_geodataframe()
    if not len(table):
        raise InputError("There are no roads left for labels. Undo a correction first.")
    known = table["width_m"].median()
    table["width_m"] = table["width_m"].fillna(known if np.isfinite(known) else 6.0)
    layer = output.parent / "labels.gpkg"
    table.to_file(layer, layer="edges", driver="GPKG", engine="pyogrio")
    roads = RoadLayer.open(layer, width_field=("width_m",))
    with atomic_path(output) as partial, zipfile.ZipFile(partial, "w") as archive:
        for path in imagery:
            mask = output.parent / f"{path.stem}_mask.tif"
            burn_like(roads, str(path), mask, overwrite=True)
            archive.write(mask, mask.name)
            mask.unlink()
        archive.write(layer, "roads.gpkg")
    layer.unlink()


def report(
    folder: Path, number: int, edits: Sequence[Edit], job: Mapping[str, Any], output: Path
) -> None:
    """Write the QA report of a network with its corrections as HTML.

    Parameters
    ----------
    folder, number, edits
        See :func:`export`.
    job : mapping
        See :func:`roadgis.web.scene_report.scene_report`.
    output : Path
        The HTML file.
    """
    network = read_network(folder / f"{number}.gpkg")
    doubtful = open_layer(folder / f"{number}.gpkg").doubtful()
    made = _corrected(folder, number, edits, network)
    text = scene_report(made, number, edits, doubtful, job)
    with atomic_path(output) as partial:
        partial.write_text(text, encoding="utf-8")


def compare_with(network: Path, base: Path, output: Path, *, truth: bool) -> dict[str, Any]:
    """Compare a network with another one.

    Parameters
    ----------
    network : Path
        The GeoPackage of a job's network.
    base : Path
        A vector file of lines.
    output : Path
        The JSON file that is written: the lines of each class in longitude and latitude.
    truth : bool
        Also score the network against it.

    Returns
    -------
    dict
        Lengths, counts, offset; with `truth` the scores.
    """
    from roadgis.comparison import compare
    from roadgis.options.comparison import CompareOptions

    # What is compared with the truth lies on the same imagery: an offset is an error there.
    options = CompareOptions(estimate_offset=not truth)
    with _without_log():
        result = compare(network, base, options=options)
    lines = {}
    for name in ("missing", "extra", "moved"):
        table = result.classes[name].to_crs(LONLAT)
        lines[name] = [
            np.round(shapely.get_coordinates(line), 7).tolist()
            for line in shapely.get_parts(np.asarray(table.geometry, object))
        ]
    with atomic_path(output) as partial:
        partial.write_text(json.dumps(lines), encoding="utf-8")
    summary = result.to_dict()
    kept = ("share_of_base_found", "share_of_extraction_matched", "counts", "offset")
    out: dict[str, Any] = {name: summary[name] for name in kept}
    out["lengths"] = result.lengths
    if truth:
        from roadgis.evaluation import evaluate

        scores = evaluate(network, base).to_dict()
        out["scores"] = {name: scores[key] for name, key in _SCORES.items()}
    return out
