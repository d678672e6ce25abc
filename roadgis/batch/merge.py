"""Merging: joins the traced lines of all units by pixel ids and cleans the whole network."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from roadgis.atomic import atomic_path
from roadgis.batch.board import Board
from roadgis.batch.codec import crs_of
from roadgis.batch.items import write_items
from roadgis.batch.lengths import bridged_share
from roadgis.batch.plan import CountyPlan
from roadgis.batch.storage import county_address
from roadgis.batch.store import STEPS, ResultStore, unit_grid
from roadgis.batch.units import Unit
from roadgis.batch.work import UnitProbability
from roadgis.crs import transformer
from roadgis.errors import InputError
from roadgis.imagery.georeferencing import footprint
from roadgis.network.centerlines import Centerlines
from roadgis.network.network import RoadNetwork
from roadgis.output import write_network
from roadgis.output.formats import output_format
from roadgis.pipeline import attributed, extract_provenance
from roadgis.probability.raster import RasterProbability
from roadgis.progress import Progress, no_progress
from roadgis.raster_pipeline import attributed_vectors, cleaned_network
from roadgis.vector_files.reading import MISSING_UNITS
from roadgis.vectorization import joined_blocks
from roadgis.vectorization.pixel_graph import PixelGraph

if TYPE_CHECKING:
    import geopandas

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Merged:
    """The network of a county, and the units and sheets missing from it.

    Attributes
    ----------
    network : RoadNetwork
        The network, in the CRS of the imagery.
    missing : geopandas.GeoDataFrame
        Units and sheets without roads: ``kind`` (unit, sheet), ``name``, ``code``, ``message``.
    """

    network: RoadNetwork
    missing: geopandas.GeoDataFrame


def merge_county(
    folder: Path,
    plan: CountyPlan,
    output: Path | None = None,
    *,
    partial: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Merged:
    """Merge a county into one network, identical to that of ``extract`` from the same sheets.

    Parameters
    ----------
    output : Path, optional
        Vector file. A GeoPackage also gets the layer ``missing_units``. STAC Items of the units
        are written into the folder of the county.
    partial : bool
        Merge the finished units even if others are not done yet.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        If units are not done yet.
    """
    store = ResultStore(folder)
    board = Board(plan, store)
    keys = traced_units(board)
    missing = missing_table(plan, store, board)
    _check_complete(missing, partial=partial)
    progress(0.0, "Reading the traced lines")
    options = plan.settings.options
    sources: Any = plan.masks() if plan.of_masks else _predicted(plan, store, keys)
    try:

        def traced() -> Centerlines:
            lines = joined_blocks(_graphs(plan, store, keys, progress), sources, plan.vectorize)
            progress(0.5, "Cleaning the network")
            return lines

        network = cleaned_network(
            traced,
            sources,
            plan.vectorize,
            options.clean,
            block_px=options.predict.block_px,
        )
        progress(0.9, "Finding the sheets of roads")
        network = _attributed(plan, network, sources)
    finally:
        if isinstance(sources, RasterProbability):
            sources.scene.close()
    for text in _missing_texts(missing):
        _LOG.warning("%s", text)
    if output is not None:
        # Also written if empty, to replace the layer of an older file.
        write_network(network, output, overwrite=overwrite, layers={MISSING_UNITS: missing})
        if output_format(output).name != "GeoPackage" and len(missing):
            _write_missing(output, missing)
        store.write_merged(output, _bridged_shares(plan, keys, network))
        write_items(folder, plan, store, board)
    progress(1.0, "done")
    return Merged(network, missing)


def last_merged(folder: Path) -> Path:
    """Return the path of the network that was merged last.

    Raises
    ------
    InputError
        If no network was merged, or its file is gone.
    """
    path, _ = ResultStore(folder).merged()
    if path is None or not path.exists():
        raise InputError(
            f"{county_address(folder)}: found no merged network. Make one with 'roadgis batch "
            "merge', or name it with --network."
        )
    return path


def traced_units(board: Board) -> dict[str, tuple[Unit, str]]:
    """Return the traced units and the keys of their lines, by unit name."""
    return {
        unit.name: (unit, key) for unit, key in board.traced_keys() if board.is_traced(unit, key)
    }


def _bridged_shares(
    plan: CountyPlan, keys: dict[str, tuple[Unit, str]], network: RoadNetwork
) -> dict[str, float]:
    """Return the bridged share of each traced unit with roads, by ``UNIT.KEY``."""
    bounds = [unit_grid(plan, unit).bounds for unit, _ in keys.values()]
    shapes = shapely.box(*np.array(bounds).reshape(-1, 4).T)
    lines = network.to_crs(crs_of(plan.facts["crs"])).edges
    shares = bridged_share(shapes, lines, network.bridged)
    return {
        f"{unit.name}.{key}": round(float(share), 4)
        for (unit, key), share in zip(keys.values(), shares, strict=True)
        if np.isfinite(share)
    }


def _write_missing(output: Path, missing: geopandas.GeoDataFrame) -> None:
    path = output.with_name(f"{output.stem}.{MISSING_UNITS}.gpkg")
    with atomic_path(path) as partial:
        missing.to_file(partial, layer=MISSING_UNITS, driver="GPKG", engine="pyogrio")


def _predicted(
    plan: CountyPlan, store: ResultStore, keys: dict[str, tuple[Unit, str]]
) -> UnitProbability:
    return UnitProbability(plan, store, [unit for unit, _ in keys.values()])


def _graphs(
    plan: CountyPlan, store: ResultStore, keys: dict[str, tuple[Unit, str]], progress: Progress
) -> Iterator[PixelGraph]:
    store.fetch_records({"traced": [f"{unit.name}.{key}" for unit, key in keys.values()]})
    roads = [
        (unit, key) for unit, key in keys.values() if store.record("traced", unit, key)["traced_px"]
    ]
    store.fetch_traced(f"{unit.name}.{key}" for unit, key in roads)
    for number, (unit, key) in enumerate(roads, start=1):
        yield store.traced(plan, unit, key)
        progress(0.4 * number / len(roads), f"Reading unit {number} of {len(roads)}")


def _attributed(plan: CountyPlan, network: RoadNetwork, source: Any) -> RoadNetwork:
    options = plan.settings.options
    if isinstance(source, RasterProbability):
        return attributed_vectors(network, source, options, plan.threshold)
    with plan.scene() as scene:
        made_by = extract_provenance(scene, plan.card, plan.fingerprint, options, plan.threshold)
        return attributed(network, scene, made_by)


def missing_table(plan: CountyPlan, store: ResultStore, board: Board) -> geopandas.GeoDataFrame:
    """Return the units and sheets missing from a merged network, in the CRS of the imagery.

    Columns are ``kind`` (``unit`` or ``sheet``), ``name``, ``code``, ``message``. Sheets that could
    not be opened have an empty geometry.
    """
    import geopandas

    traced = traced_units(board)
    failures = store.failed()
    rows: list[dict[str, Any]] = []
    shapes: list[Any] = []
    keys = {unit.name: key for unit, key in board.traced_keys()}
    for unit in plan.units:
        if unit.name in traced:
            continue
        found = None
        for step, key in zip(STEPS, (unit.key, keys.get(unit.name, "")), strict=True):
            if f"{step}.{unit.name}.{key}" in failures:
                found = store.failure(step, unit, key)
        code, message = (found.code, found.message) if found else ("todo", "not done yet")
        rows.append({"kind": "unit", "name": unit.name, "code": code, "message": message})
        shapes.append(shapely.box(*unit_grid(plan, unit).bounds))
    crs = crs_of(plan.facts["crs"])
    for bad in plan.bad_sheets:
        rows.append({"kind": "sheet", "name": bad.name, "code": "sheet", "message": bad.message})
        shapes.append(_outline(bad.raster, crs))
    table = geopandas.GeoDataFrame(
        rows, columns=["kind", "name", "code", "message"], geometry=shapes, crs=crs
    )
    return table.to_crs(crs_of(plan.facts["native_crs"]))


def _outline(raster: Any, crs: Any) -> Any:
    if raster is None:
        return shapely.Polygon()
    corners = np.stack(transformer(raster.crs, crs).transform(*footprint(raster).T), axis=-1)
    return shapely.Polygon(corners)


def _check_complete(missing: geopandas.GeoDataFrame, *, partial: bool) -> None:
    to_do = int((missing["code"] == "todo").sum())
    if to_do and not partial:
        raise InputError(
            f"{to_do} units are not done yet. Finish them with 'roadgis batch run', or merge the "
            "finished ones with --partial."
        )


def _missing_texts(missing: geopandas.GeoDataFrame) -> Iterator[str]:
    units = missing[missing["kind"] == "unit"]
    if len(units):
        codes = ", ".join(f"{count} {code}" for code, count in units["code"].value_counts().items())
        yield f"{len(units)} units are missing from the network ({codes})"
    sheets = missing[missing["kind"] == "sheet"]
    if len(sheets):
        yield f"{len(sheets)} sheets are missing from the network: {', '.join(sheets['name'][:5])}"
