"""Lossless conversion of settings and rasters to JSON values and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from affine import Affine
from pyproj import CRS

from roadgis.imagery.raster import Raster
from roadgis.plain_values import converted
from roadgis.probability.encoding import Decoder, Encoding
from roadgis.sources.request_pace import RequestPace

_T = TypeVar("_T")


def dataclass_from_json(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """Rebuild a dataclass from the output of ``dataclasses.asdict``.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are numbers, strings, tuples or such dataclasses.
    values : mapping
        Values by field name; missing fields get their defaults.

    Raises
    ------
    ValueError
        If a value does not match the type of its field.
    """
    hints = typing.get_type_hints(kind)
    known: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):  # type: ignore[arg-type]
        if entry.name not in values:
            continue
        value, hint = values[entry.name], hints[entry.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            known[entry.name] = dataclass_from_json(hint, value)
        else:
            known[entry.name] = value if hint is Any else converted(value, hint)
    return kind(**known)


def raster_to_json(raster: Raster) -> dict[str, Any]:
    """Return the description of a raster as JSON values; `nodata` may contain NaN."""
    values: dict[str, Any] = {
        entry.name: getattr(raster, entry.name) for entry in dataclasses.fields(raster)
    }
    values["crs"] = raster.crs.to_wkt()
    values["transform"] = list(raster.transform)[:6]
    values["palette"] = None if raster.palette is None else raster.palette.tolist()
    decoder = raster.decoder
    pace = raster.fetch
    values["fetch"] = None
    if isinstance(pace, RequestPace):
        values["fetch"] = dataclasses.asdict(pace) | {"record": str(pace.record)}
    values["decoder"] = dataclasses.asdict(decoder) if isinstance(decoder, Decoder) else None
    return values


def raster_from_json(values: Mapping[str, Any]) -> Raster:
    """Rebuild a raster from the output of :func:`raster_to_json`."""
    known = dict(values)
    known["crs"] = crs_of(values["crs"])
    known["transform"] = Affine(*values["transform"])
    if values["palette"] is not None:
        known["palette"] = np.array(values["palette"], np.uint8)
    if values["decoder"] is not None:
        decoder = values["decoder"]
        encoding = dataclass_from_json(Encoding, decoder["encoding"])
        known["decoder"] = Decoder(encoding, decoder["scale"], decoder["offset"])
    for name in ("flip", "bands", "nodata", "overviews"):
        known[name] = tuple(values[name])
    if values.get("fetch") is not None:
        known["fetch"] = dataclass_from_json(RequestPace, values["fetch"])
    known["stamp"] = tuple(tuple(part) for part in values["stamp"])
    return Raster(**known)


_CRSS: dict[str, CRS] = {}


def crs_of(wkt: str) -> CRS:
    """Return the CRS of a WKT; cached, because CRS objects are slow to make and compare."""
    if wkt not in _CRSS:
        _CRSS[wkt] = CRS.from_wkt(wkt)
    return _CRSS[wkt]
