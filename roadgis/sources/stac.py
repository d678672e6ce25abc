"""Sheets from STAC: files, static catalogs, APIs and stac-geoparquet."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

from roadgis.dataset_names import display_name, is_remote
from roadgis.errors import (
    InputError,
    MissingExtraError,
    ReadError,
    RoadgisError,
    SceneError,
    how_to_install,
)
from roadgis.options.sources import SourceOptions
from roadgis.sources.location import listed, located
from roadgis.sources.sheet import Sheet
from roadgis.sources.stac_asset import imagery_sheet

_LOG = logging.getLogger(__name__)

#: Prefix of the address of a STAC API or catalog.
STAC_PREFIX = "stac:"
_TABLES = (".parquet", ".geoparquet")
_COLLECTION = re.compile(r"(?P<root>.*)/collections/(?P<name>[^/]+)(/items)?/?$")

Item = Mapping[str, Any]


def is_stac_file(path: Path) -> bool:
    """Return whether a JSON or Parquet file on disk holds STAC objects."""
    if path.suffix.lower() in _TABLES:
        if importlib.util.find_spec("pyarrow") is None:
            return False
        import pyarrow.parquet

        try:
            return {"stac_version", "assets"} <= set(pyarrow.parquet.read_schema(path).names)
        except (OSError, pyarrow.ArrowException):
            return False
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    if isinstance(values, dict) and values.get("type") == "FeatureCollection":
        features = values.get("features")
        values = features[0] if isinstance(features, list) and features else values
    return isinstance(values, dict) and "stac_version" in values


def read_stac(source: str, options: SourceOptions) -> list[Sheet]:
    """Read sheets from STAC.

    Parameters
    ----------
    source : str
        A path or URL of an Item, ItemCollection, Collection or Catalog (JSON), or of a
        stac-geoparquet file; or, after ``stac:``, the address of a STAC API, with
        ``/collections/NAME`` or ``?collections=A,B`` for some of its collections.
    options : SourceOptions
        `bbox` and `datetime` restrict the items; `asset` is the name of the asset to read.

    Returns
    -------
    list of Sheet
        One sheet per item; in order for an ItemCollection or table, else by date and name.

    Raises
    ------
    SceneError
        If no item is found, or the imagery asset of items is ambiguous; the message lists these.
    ReadError
        If the source cannot be read, or is not STAC.
    MissingExtraError
        If pystac is not installed.
    """
    name = source.removeprefix(STAC_PREFIX)
    shown = display_name(name)
    for package in ("pystac", "pystac_client", "stac_geoparquet"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"{shown}: reading STAC needs {package}, which is not installed. "
                f"{how_to_install('stac')}"
            )
    try:
        found = [item for item in _items(name, options) if _wanted(*item, options)]
    except RoadgisError:
        raise
    except (
        Exception
    ) as error:  # pystac, requests and pyarrow raise many kinds of errors on damaged input
        raise ReadError(
            f"{shown}: cannot be read as STAC ({type(error).__name__}: {error}). Expected an "
            "Item, ItemCollection, Collection, stac-geoparquet file or, after 'stac:', an API. "
            "Check the address and the connection, then run again."
        ) from error
    if not found:
        within = [
            f"{label} {value}"
            for label, value in (("--bbox", options.bbox), ("--datetime", options.datetime))
            if value is not None
        ]
        raise SceneError(
            f"{shown}: found no STAC items"
            + (f" within {' and '.join(within)}" if within else "")
            + ". Check the address, area and dates."
        )
    sheets, wrong = [], []
    for item, resolve in found:
        try:
            sheets.append(imagery_sheet(item, resolve, options.asset))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wrong.append(f"item {item.get('id')}: {error}")
    if wrong and (options.on_error == "stop" or not sheets):
        raise SceneError(f"{shown}: has items that cannot be used:\n{listed(wrong)}")
    for reason in wrong:
        _LOG.warning("Skipped: %s: %s", shown, reason)
    return sheets


Found = tuple[Item, Callable[[str], str]]


def _items(name: str, options: SourceOptions) -> Iterable[Found]:
    suffix = os.path.splitext(urlsplit(name).path if is_remote(name) else name)[1].lower()
    if suffix in _TABLES:
        return _of_table(name)
    if suffix in (".json", ".geojson") or not is_remote(name):
        return _of_object(name)
    return _of_api(name, options)


def _of_table(name: str) -> Iterator[Found]:
    import pyarrow.parquet as pq
    from stac_geoparquet.arrow import stac_table_to_items

    for item in stac_table_to_items(pq.read_table(name)):
        yield item, _from(name)


def _of_object(name: str) -> Iterator[Found]:
    import pystac

    values = pystac.StacIO.default().read_json(name)
    if values.get("type") == "FeatureCollection":
        for item in values["features"]:
            yield item, _from(name)
        return
    thing = pystac.read_file(name)
    if isinstance(thing, pystac.Item):
        yield thing.to_dict(transform_hrefs=False), _from(name)
    elif isinstance(thing, pystac.Catalog):
        yield from _sorted(thing.get_items(recursive=True))


def _of_api(name: str, options: SourceOptions) -> Iterator[Found]:
    from pystac_client import Client

    root, collections = _address(name)
    client = Client.open(root)
    if client.get_search_link() is None:
        yield from _sorted(client.get_items(recursive=True))
        return
    if options.bbox is None and not collections:
        raise InputError(
            f"{display_name(name)}: is a STAC API. Give the area with --bbox or --aoi, or name a "
            "collection: stac:URL/collections/NAME."
        )
    search = client.search(
        collections=collections or None, bbox=options.bbox, datetime=options.datetime
    )
    yield from _sorted(search.items())


def _address(name: str) -> tuple[str, list[str]]:
    """Return the address of the landing page of an API, and the named collections."""
    parts = urlsplit(name)
    query = parse_qs(parts.query)
    named = [c for text in query.pop("collections", []) for c in text.split(",") if c]
    rest = "&".join(f"{key}={value}" for key, values in query.items() for value in values)
    root = urlunsplit((parts.scheme, parts.netloc, parts.path, rest, ""))
    match = _COLLECTION.match(parts.path)
    if match is not None:
        root = urlunsplit((parts.scheme, parts.netloc, match["root"], rest, ""))
        named.append(match["name"])
    return root, named


def _sorted(items: Iterable[Any]) -> Iterator[Found]:
    """Yield items in an order that does not depend on the server."""
    for item in sorted(items, key=lambda i: (str(i.datetime), str(i.collection_id), str(i.id))):
        base = item.get_self_href()
        yield item.to_dict(transform_hrefs=False), _from(base) if base else str


def _from(base: str) -> Callable[[str], str]:
    def resolve(href: str) -> str:
        if href.startswith("file://"):
            return urlsplit(href).path
        return urljoin(base, href) if "://" in base else located(Path(base), href)

    return resolve


def _wanted(item: Item, _: object, options: SourceOptions) -> bool:
    return _in_box(item.get("bbox"), options.bbox) and _in_time(item, options.datetime)


def _in_box(box: Any, wanted: tuple[float, float, float, float] | None) -> bool:
    if wanted is None or not box:
        return True
    west, south, east, north = map(float, (*box[:2], *box[len(box) // 2 :][:2]))
    if west > east:  # across the antimeridian
        east += 360
    return any(
        west + turn <= wanted[2]
        and east + turn >= wanted[0]
        and south <= wanted[3]
        and north >= wanted[1]
        for turn in (-360, 0, 360)
    )


def _in_time(item: Item, wanted: str | None) -> bool:
    """Compare ISO 8601 as text; a shorter end includes all times that start with it."""
    if wanted is None:
        return True
    properties = item.get("properties") or {}
    instant = str(properties.get("datetime") or "")
    start = instant or str(properties.get("start_datetime") or "")
    end = instant or str(properties.get("end_datetime") or start)
    first, _, last = wanted.partition("/")
    last = last if "/" in wanted else first
    after = first in ("", "..") or end[: len(first)] >= first
    return after and (last in ("", "..") or start[: len(last)] <= last)
