"""Sheets from STAC files, catalogs, tables and a real API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet
import pystac
import pytest
import shapely
from pyproj import Transformer
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from roadgis.errors import InputError, MissingExtraError, ReadError, SceneError
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.pipeline import extract_roads
from roadgis.sources import Sheet, SourceOptions, find_sheets
from tests.factories.models import tiny_model
from tests.factories.rasters import METRIC, X0, Y0, cut_into_sheets, write_raster
from tests.factories.roads import write_net
from tests.sources.stac_api import stac_api

RGB = [{"name": name, "eo:common_name": name} for name in ("red", "green", "blue")]


def item(name: str, href: str, date: str = "2019-07-03", **fields: Any) -> dict[str, Any]:
    """Return a STAC 1.1 item of one RGB image from 8 to 8.1 degrees east."""
    box = fields.pop("bbox", [8.0, 47.0, 8.1, 47.1])
    asset = {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "bands": RGB,
        **fields.pop("asset", {}),
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": fields.pop("collection", "ortho"),
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "bbox": box,
        "properties": {"datetime": f"{date}T10:00:00Z", **fields.pop("properties", {})},
        "assets": {"image": asset, **fields.pop("assets", {})},
        "links": [],
    }


def write(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def collection_of(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items)}


@pytest.fixture
def rasters(tmp_path: Path) -> Path:
    for name in ("a.tif", "b.tif", "c.tif"):
        (tmp_path / name).touch()
    return tmp_path


def test_find_sheets_of_an_item_uses_its_properties(rasters: Path) -> None:
    values = item(
        "a", "./a.tif",
        properties={"gsd": 0.3, "proj:code": "EPSG:32632"},
        asset={"nodata": 0, "bands": [*RGB[::-1], {"name": "nir", "eo:common_name": "nir"}]},
    )  # fmt: skip
    path = write(rasters / "a.json", values)
    name = str(rasters / "a.tif")
    expected = Sheet(name, "2019-07-03", METRIC, 0.0, (3, 2, 1), 0.3)
    assert find_sheets(path) == (expected,)


def test_find_sheets_of_an_item_of_stac_1_0_reads_its_extensions(rasters: Path) -> None:
    values = item("a", "a.tif", properties={"proj:epsg": 32632})
    values["stac_version"] = "1.0.0"
    values["stac_extensions"] = [
        "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
        "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
        "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    ]
    del values["assets"]["image"]["bands"]
    values["assets"]["image"]["eo:bands"] = [
        {"name": f"B{i}", "common_name": colour} for i, colour in enumerate(("nir", *"rgb"), 1)
    ]
    for band, colour in zip(
        values["assets"]["image"]["eo:bands"][1:], ("red", "green", "blue"), strict=True
    ):
        band["common_name"] = colour
    values["assets"]["image"]["raster:bands"] = [{"nodata": 255, "spatial_resolution": 0.5}] * 4
    expected = Sheet(str(rasters / "a.tif"), "2019-07-03", METRIC, 255.0, (2, 3, 4), 0.5)
    assert find_sheets(write(rasters / "a.json", values)) == (expected,)
    assert find_sheets(write(rasters / "all.json", collection_of(values))) == (expected,)


@pytest.mark.parametrize(
    ("assets", "option", "expected"),
    [
        ({"thumb": {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]}}, None, "a.tif"),
        ({"small": {"href": "b.tif", "type": "image/tiff", "roles": ["overview"]}}, None, "a.tif"),
        ({"dem": {"href": "b.tif", "type": "image/tiff", "roles": ["data"]}}, None, "a.tif"),
        ({"tci": {"href": "b.tif", "type": "image/tiff", "roles": ["visual"], "bands": RGB}},
         None, "b.tif"),
        ({"dem": {"href": "b.tif", "type": "image/tiff", "roles": ["data"]}}, "dem", "b.tif"),
    ],
    ids=["thumbnail", "overview", "without colours", "visual", "named"],
)  # fmt: skip
def test_find_sheets_chooses_the_imagery_of_an_item(
    rasters: Path, assets: Any, option: str | None, expected: str
) -> None:
    path = write(rasters / "item.json", item("a", "a.tif", assets=assets))
    (found,) = find_sheets(path, SourceOptions(asset=option))
    assert found.name == str(rasters / expected)


def test_find_sheets_names_all_items_without_clear_imagery(rasters: Path) -> None:
    bands = {
        name: {"href": f"{name}.tif", "type": "image/tiff", "roles": ["data"]}
        for name in ("red", "green")
    }
    several = item("several", "a.tif", asset={"bands": []}) | {"assets": bands}
    none = item("none", "a.pdf", asset={"type": "application/pdf"})
    path = write(rasters / "items.json", collection_of(several, item("good", "a.tif"), none))
    with pytest.raises(SceneError) as caught:
        find_sheets(path)
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("  item several: has several assets with imagery (red, green)")
    assert lines[2] == "  item none: has no asset with imagery (assets: image)"
    assert len(find_sheets(path, SourceOptions(on_error="skip"))) == 1
    with pytest.raises(SceneError, match=r"item good: has no asset 'dem' \(assets: image\)"):
        find_sheets(path, SourceOptions(asset="dem"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SourceOptions(), ["a", "b", "c"]),
        (SourceOptions(bbox=(8.05, 47.05, 8.06, 47.06)), ["a", "b"]),
        (SourceOptions(bbox=(9.0, 47.0, 9.05, 47.2)), ["c"]),
        (SourceOptions(datetime="2019"), ["a"]),
        (SourceOptions(datetime="2019-07-03"), ["a"]),
        (SourceOptions(datetime="2020/.."), ["b", "c"]),
        (SourceOptions(datetime="../2021-05"), ["a", "b"]),
        (SourceOptions(datetime="2019-07-04/2022-01-01"), ["b", "c"]),
    ],
)
def test_find_sheets_keeps_items_of_the_area_and_time(
    rasters: Path, options: SourceOptions, expected: list[str]
) -> None:
    items = (
        item("a", "a.tif"),
        item("b", "b.tif", "2021-05-31"),
        item("c", "c.tif", "2022-01-01", bbox=[9.0, 47.0, 9.1, 47.1]),
    )
    found = find_sheets(write(rasters / "items.json", collection_of(*items)), options)
    assert [Path(s.name).stem for s in found] == expected


def test_find_sheets_searches_the_area_of_interest(rasters: Path) -> None:
    items = (item("a", "a.tif"), item("c", "c.tif", bbox=[9.0, 47.0, 9.1, 47.1]))
    path = write(rasters / "items.json", collection_of(*items))
    aoi = geopandas.GeoSeries([shapely.box(9.01, 47, 9.02, 47.1)], crs="EPSG:4326")
    assert [Path(s.name).stem for s in find_sheets(path, aoi=aoi.to_crs(METRIC))] == ["c"]


def test_find_sheets_of_a_static_collection_reads_its_items(rasters: Path) -> None:
    extent = pystac.Extent(
        pystac.SpatialExtent([[8, 47, 9, 48]]), pystac.TemporalExtent([[None, None]])
    )
    collection = pystac.Collection("ortho", "Orthophotos", extent)
    for name, date in (("b", "2021-05-31"), ("a", "2019-07-03")):
        href = str(rasters / f"{name}.tif")
        collection.add_item(pystac.Item.from_dict(item(name, href, date)))
    collection.normalize_and_save(str(rasters / "stac"), pystac.CatalogType.SELF_CONTAINED)
    found = find_sheets(rasters / "stac" / "collection.json")
    assert [(Path(s.name), s.date) for s in found] == [
        (rasters / "a.tif", "2019-07-03"),
        (rasters / "b.tif", "2021-05-31"),
    ]


def test_find_sheets_of_a_stac_geoparquet_table(rasters: Path) -> None:
    items = [
        item("a", "a.tif", properties={"gsd": 0.3}, asset={"nodata": 0}),
        item("b", "b.tif", "2021-05-31", bbox=[9.0, 47.0, 9.1, 47.1]),
    ]
    path = rasters / "items.parquet"
    table = parse_stac_items_to_arrow(items).read_all()
    to_parquet(table, path)
    assert "assets" in pyarrow.parquet.read_schema(path).names
    assert find_sheets(path) == (
        Sheet(str(rasters / "a.tif"), "2019-07-03", nodata=0.0, bands=(1, 2, 3), gsd_m=0.3),
        Sheet(str(rasters / "b.tif"), "2021-05-31", bands=(1, 2, 3)),
    )
    found = find_sheets(path, SourceOptions(datetime="2021"))
    assert [Path(s.name).stem for s in found] == ["b"]


def test_find_sheets_searches_an_api_page_by_page(rasters: Path) -> None:
    items = [
        item(f"{i}", str(rasters / f"{'abc'[i % 3]}.tif"), f"202{i}-01-01") for i in range(5)
    ] + [item("far", "far.tif", bbox=[20.0, 47.0, 20.1, 47.1])]
    for i, name in enumerate("01234"):
        items[i]["assets"]["image"]["href"] = f"https://example.org/{name}.tif"
    options = SourceOptions(bbox=(8.0, 47.0, 9.0, 48.0))
    with stac_api(items) as (url, searches):
        found = find_sheets(f"stac:{url}", options)
        assert [(s.name, s.date, s.bands) for s in found] == [
            (f"https://example.org/{i}.tif", f"202{i}-01-01", (1, 2, 3)) for i in range(5)
        ]
        assert [s["token"] for s in searches] == [None, "2", "4"]
        some = find_sheets(f"stac:{url}", SourceOptions(bbox=options.bbox, datetime="2021/2022"))
        assert [s.date for s in some] == ["2021-01-01", "2022-01-01"]


def test_find_sheets_searches_the_named_collections() -> None:
    items = [
        item(name, f"https://example.org/{name}.tif", collection=name) for name in ("a", "b", "c")
    ]
    with stac_api(items) as (url, searches):
        found = [
            [s.name[-5] for s in find_sheets(f"stac:{url}{part}")]
            for part in ("/collections/b", "/collections/b/items", "?collections=c,a")
        ]
        with pytest.raises(InputError, match="Give the area with --bbox or --aoi, or name a coll"):
            find_sheets(f"stac:{url}")
        with pytest.raises(SceneError, match="found no STAC items within --datetime 1999"):
            find_sheets(f"stac:{url}/collections/b", SourceOptions(datetime="1999"))
    assert found == [["b"], ["b"], ["a", "c"]]
    assert [s["collections"] for s in searches[:3]] == [["b"], ["b"], ["c", "a"]]


@pytest.mark.parametrize("source", ["stac:http://127.0.0.1:9/stac", "http://127.0.0.1:9/a.json"])
def test_find_sheets_names_a_url_that_cannot_be_read(source: str) -> None:
    with pytest.raises(ReadError, match=r"http://127\.0\.0\.1:9/.*: cannot be read as STAC"):
        find_sheets(source, SourceOptions(bbox=(8, 47, 9, 48)))


@pytest.mark.parametrize("values", [{"stac_version": "1.1.0"}, {"stac_version": "1.1.0", "type": 5},
                                    {"stac_version": "1.1.0", "type": "Feature"}])  # fmt: skip
def test_find_sheets_rejects_json_other_than_stac(tmp_path: Path, values: Any) -> None:
    with pytest.raises(ReadError, match=r"a\.json: cannot be read as STAC"):
        find_sheets(write(tmp_path / "a.json", values))


def test_find_sheets_names_missing_files_of_items(rasters: Path) -> None:
    items = collection_of(item("a", "x.tif"), item("b", "y.tif"))
    with pytest.raises(SceneError, match="names 2 of 2 sheets that do not exist"):
        find_sheets(write(rasters / "items.json", items))


def test_find_sheets_names_the_missing_extra(
    rasters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(rasters / "a.json", item("a", "a.tif"))
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[stac\]'"):
        find_sheets(path)


@pytest.mark.parametrize("box", [(8, 47, 7, 48), (8, 47, 9), (8, -91, 9, 0), (8, 47, 9, np.nan)])
def test_source_options_rejects_boxes(box: Any) -> None:
    with pytest.raises(InputError, match="expected west,south,east,north in degrees"):
        SourceOptions(bbox=box)


@pytest.mark.parametrize("text", ["May", "2019-7", "2019/2020/2021", ""])
def test_source_options_rejects_times(text: str) -> None:
    with pytest.raises(InputError, match="expected a date such as 2019-07-03"):
        SourceOptions(datetime=text)


def test_extract_of_a_stac_api_equals_that_of_its_files(tmp_path: Path) -> None:
    folder = cut_into_sheets(write_net(tmp_path / "net.tif"), tmp_path / "sheets", [250], [300])
    model = tiny_model(tmp_path / "tiny.onnx")
    lon, lat = Transformer.from_crs(METRIC, 4326, always_xy=True).transform(X0, Y0)
    box = [lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01]
    items = [item(p.stem, str(p), bbox=box) for p in folder.iterdir()]
    # Another place: it would make the scene larger.
    far = write_raster(tmp_path / "far.tif", np.full((3, 64, 64), 9, np.uint8), x0=X0 + 5e5)
    items.append(item("far", str(far), bbox=[20.0, 47.0, 20.1, 47.1]))
    aoi = tmp_path / "aoi.geojson"
    geopandas.GeoSeries([shapely.box(X0 - 9, Y0 - 600, X0 + 700, Y0 + 9)], crs=METRIC).to_file(aoi)
    with stac_api(items) as (url, _):
        options = ExtractOptions(scene=SceneOptions(aoi=str(aoi)))
        network = extract_roads(f"stac:{url}", model=model, options=options)
    expected = extract_roads(folder, model=model)
    assert [g.wkb for g in network.edges] == [g.wkb for g in expected.edges]
    assert set(network.source_date) == {"2019-07-03"}
