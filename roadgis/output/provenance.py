"""Provenance: the version, model and settings that made a file, stored in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadgis.errors import InputError, MissingExtraError, ReadError, RoadgisError, how_to_install
from roadgis.output.formats import output_format
from roadgis.plain_values import parse_json, shown
from roadgis.vector_files.light_pyogrio import light_pyogrio

_LOG = logging.getLogger(__name__)

# Bytes read of a longer GeoJSON file: roadgis writes the provenance before the features.
_GEOJSON_HEAD = 4 << 20
#: The name of the provenance in every format: a foreign member in GeoJSON, a metadata item in
#: GeoPackage, FlatGeobuf and GeoParquet.
PROVENANCE_KEY = "roadgis"


def provenance_json(provenance: Mapping[str, Any]) -> str:
    """Return provenance as one line of JSON text with sorted keys, the same for equal values.

    Raises
    ------
    InputError
        If a value is not a JSON value, such as NaN or infinity.
    """
    try:
        # ASCII: a file name that is not valid Unicode could not be written as UTF-8.
        return json.dumps(dict(provenance), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The network's provenance holds a value that JSON cannot hold: {error}. "
            "Use text, finite numbers, booleans, None, lists and dictionaries."
        ) from error


def provenance_sidecar(path: Path) -> Path:
    """Return the file that holds a Shapefile's provenance: ``NAME.roadgis.json``."""
    return path.with_name(f"{path.stem}.roadgis.json")


def read_provenance(path: Path | str) -> dict[str, Any]:
    """Read the provenance of a file that roadgis wrote.

    Parameters
    ----------
    path : Path or str
        In any of the output formats.

    Returns
    -------
    dict
        The network's provenance; empty if the file has none, or, with a warning, if it is
        damaged.

    Raises
    ------
    InputError
        If the suffix is not known.
    MissingExtraError
        If reading the format needs a package that is not installed.
    ReadError
        If the file cannot be read.
    """
    path = Path(path)
    kind = output_format(path)
    try:
        if kind.name == "GeoJSON":
            found: Any = _geojson_member(path)
        elif kind.name == "Shapefile":
            sidecar = provenance_sidecar(path)
            found = sidecar.read_bytes() if sidecar.is_file() else None
        elif kind.name == "GeoParquet":
            found = _parquet_metadata(path).get(PROVENANCE_KEY.encode())
        else:
            layer = "edges" if kind.has_nodes else None
            metadata = light_pyogrio().read_info(path, layer=layer)["layer_metadata"] or {}
            found = metadata.get(PROVENANCE_KEY)
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        # pyogrio's errors are RuntimeErrors, pyarrow's ValueErrors or OSErrors.
        raise ReadError(
            f"{path}: cannot be read as {kind.name}: {error}. Expected a file written by roadgis."
        ) from error
    try:
        values = parse_json(found) if isinstance(found, str | bytes) else found
        # Rejects NaN and infinity too, which no output could hold.
        json.dumps(values, allow_nan=False)
        if values is not None and not isinstance(values, dict):
            raise ValueError(f"it holds {shown(values)}")
    except ValueError as error:
        _LOG.warning(
            "%s: the provenance cannot be read: %r is damaged (%s), expected a JSON object.",
            path, PROVENANCE_KEY, error,
        )  # fmt: skip
        return {}
    return values or {}


def provenance_where_written(source: Path | str, layer: str | None = None) -> dict[str, Any]:
    """Return the provenance of any vector file: empty unless roadgis wrote it.

    Parameters
    ----------
    source : Path or str
        A file or URL of any kind.
    layer : str, optional
        The layer that is used of it; roadgis describes its edges only.
    """
    if layer not in (None, "edges"):
        return {}
    try:
        return read_provenance(source)
    except RoadgisError:
        return {}


def _geojson_member(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(_GEOJSON_HEAD)
        if not file.read(1):
            return parse_json(head).get(PROVENANCE_KEY)
    text = head.decode("utf-8", errors="replace")
    start = f'{{"type":"FeatureCollection","{PROVENANCE_KEY}":'
    if not text.startswith(start):
        return None
    try:
        return json.JSONDecoder().raw_decode(text, len(start))[0]
    except (ValueError, RecursionError):
        # Longer than the head, or damaged, which this distinguishes.
        return parse_json(path.read_bytes()).get(PROVENANCE_KEY)


def _parquet_metadata(path: Path) -> dict[bytes, bytes]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: GeoParquet needs pyarrow, which is not installed. {how_to_install('parquet')}"
        ) from error
    return pq.read_schema(path).metadata or {}
