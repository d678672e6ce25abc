"""Sheets from folders, patterns, tile indexes and tables."""

from __future__ import annotations

import datetime
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from roadgis.errors import DataError, InputError, ReadError, SceneError
from roadgis.sources import Sheet, SourceOptions, find_sheets
from tests.factories.rasters import METRIC, write_raster

SKIP = SourceOptions(on_error="skip")


@pytest.fixture
def county(tmp_path: Path) -> Path:
    """Return a folder with three empty sheets, the third one deeper."""
    for name in ("a.tif", "b.tif", "deeper/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write_index(path: Path, location: list[Any], **fields: Any) -> Path:
    outlines = [shapely.box(i, 0, i + 1, 1) for i in range(len(location))]
    table = geopandas.GeoDataFrame({"location": location, **fields}, geometry=outlines, crs=METRIC)
    table.to_file(path)
    return path


def write_table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_find_sheets_searches_subfolders_only_if_recursive(county: Path) -> None:
    names = [str(county / "a.tif"), str(county / "b.tif")]
    assert find_sheets(county) == tuple(map(Sheet, names))
    deeper = find_sheets(county, SourceOptions(recursive=True))
    assert [s.name for s in deeper] == [*names, str(county / "deeper" / "c.tif")]


def test_find_sheets_of_a_recursive_pattern(county: Path) -> None:
    found = find_sheets(f"{county}/**/*.tif")
    assert [Path(s.name).name for s in found] == ["a.tif", "b.tif", "c.tif"]


def test_find_sheets_names_the_option_for_a_folder_of_folders(county: Path) -> None:
    (county / "outer" / "inner").mkdir(parents=True)
    with pytest.raises(SceneError, match=r"found no raster in this folder.*use --recursive"):
        find_sheets(county / "outer")
    (county / "empty").mkdir()
    with pytest.raises(SceneError, match="empty: found no raster in this folder"):
        find_sheets(county / "empty", SourceOptions(recursive=True))


@pytest.mark.parametrize("name", ["index.gpkg", "index.shp", "index.geojson"])
def test_find_sheets_of_a_tile_index(county: Path, name: str) -> None:
    dates = [datetime.date(2019, 7, 3), datetime.date(2023, 5, 1)]
    absolute = str(county / "a.tif")
    index = write_index(county / name, ["deeper/c.tif", absolute], date=dates)
    assert find_sheets(index) == (
        Sheet(str(county / "deeper/c.tif"), date="2019-07-03"),
        Sheet(absolute, date="2023-05-01"),
    )


def test_find_sheets_of_an_index_of_gdaltindex(tmp_path: Path) -> None:
    if shutil.which("gdaltindex") is None:
        pytest.skip("needs GDAL's programs")
    write_raster(tmp_path / "sheets" / "a.tif", np.full((3, 16, 16), 9, np.uint8))
    command = ["gdaltindex", "-f", "GPKG", "index.gpkg", "sheets/a.tif"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert find_sheets(tmp_path / "index.gpkg") == (Sheet(str(tmp_path / "sheets" / "a.tif")),)


def test_find_sheets_of_an_index_with_urls(county: Path) -> None:
    urls = ["https://example.org/a.tif", "/vsizip/a.zip/b.tif", "GTIFF_DIR:1:c.tif"]
    index = write_index(county / "index.gpkg", urls)
    assert find_sheets(index) == tuple(map(Sheet, urls))


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("year", [2019, 2023], ["2019", "2023"]),
        ("ACQ_DATE", ["20190703", "2023-05"], ["2019-07-03", "2023-05"]),
        ("flown_on", ["2019-07-03", "2020-01-01"], [None, None]),
        ("date", ["2019-07-03T10:00:00Z", None], ["2019-07-03", None]),
    ],
)
def test_find_sheets_reads_the_dates_of_an_index(
    county: Path, field: str, values: list[Any], expected: list[str | None]
) -> None:
    index = write_index(county / "index.gpkg", ["a.tif", "b.tif"], **{field: values})
    assert [s.date for s in find_sheets(index)] == expected


def test_find_sheets_reads_the_named_date_field(county: Path) -> None:
    index = write_index(
        county / "index.gpkg", ["a.tif"], date=["2000-01-01"], flown_on=["2019-07-03"]
    )
    options = SourceOptions(date_field="flown_on")
    assert [s.date for s in find_sheets(index, options)] == ["2019-07-03"]
    with pytest.raises(SceneError, match=r"has no field 'when' \(fields: location, date, flown_on"):
        find_sheets(index, SourceOptions(date_field="when"))


def test_find_sheets_names_all_missing_files_of_an_index(county: Path) -> None:
    index = write_index(county / "index.gpkg", ["x.tif", "a.tif", "y.tif"])
    with pytest.raises(SceneError) as caught:
        find_sheets(index)
    assert str(caught.value).splitlines() == [
        f"{index}: names 2 of 3 sheets that do not exist:",
        f"  {county / 'x.tif'}",
        f"  {county / 'y.tif'}",
        "Relative paths start at the folder of index.gpkg. Correct the paths, or leave these "
        "sheets out with --on-error skip.",
    ]
    assert len(find_sheets(index, SKIP)) == 3


def test_find_sheets_rejects_a_layer_without_locations(county: Path) -> None:
    layer = write_index(county / "zones.gpkg", ["a.tif"]).rename(county / "z.gpkg")
    table = geopandas.read_file(layer).rename(columns={"location": "zone"})
    table.to_file(county / "zones.gpkg")
    with pytest.raises(SceneError, match=r"has no field 'location' \(fields: zone\)"):
        find_sheets(county / "zones.gpkg")


def test_find_sheets_rejects_an_index_with_wrong_values(county: Path) -> None:
    index = write_index(county / "i.gpkg", ["a.tif", None, "b.tif"], date=["", "", "May"])
    with pytest.raises(SceneError) as caught:
        find_sheets(index)
    assert str(caught.value).splitlines()[1:] == [
        "  feature 2: location is empty",
        "  feature 3: 'May' is not a date such as 2019-07-03",
    ]


def test_find_sheets_rejects_a_damaged_index(county: Path) -> None:
    (county / "index.shp").write_bytes(b"none")
    with pytest.raises(DataError, match=r"index\.shp: "):
        find_sheets(county / "index.shp")


def test_find_sheets_reads_a_raster_geopackage_as_a_raster(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.gpkg", np.full((3, 16, 16), 9, np.uint8), driver="GPKG")
    assert find_sheets(path) == (Sheet(str(path)),)


def test_find_sheets_of_a_table(county: Path) -> None:
    table = write_table(
        county / "sheets.csv",
        "Path,date,crs,nodata,bands,remark",
        "a.tif,2019-07-03,EPSG:25832,255,3 2 1,",
        "",
        'b.tif,2023,,,"1,2,3",cloudy',
        "https://example.org/c.tif,,,,,",
    )
    assert find_sheets(table) == (
        Sheet(str(county / "a.tif"), "2019-07-03", "EPSG:25832", 255.0, (3, 2, 1)),
        Sheet(str(county / "b.tif"), "2023", bands=(1, 2, 3)),
        Sheet("https://example.org/c.tif"),
    )


@pytest.mark.parametrize(
    "lines", [("\ufeffpath;date", "a.tif;2019"), ("path\tdate", "a.tif\t2019")]
)
def test_find_sheets_of_a_table_with_other_separators(county: Path, lines: tuple[str, str]) -> None:
    table = write_table(county / "sheets.csv", *lines)
    assert find_sheets(table) == (Sheet(str(county / "a.tif"), "2019"),)


def test_find_sheets_names_all_wrong_lines_of_a_table(county: Path) -> None:
    table = write_table(
        county / "sheets.csv",
        "path,date,crs,nodata,bands",
        "a.tif,2019-13-01,,,",
        "a.tif,,EPSG:0,,",
        "a.tif,,,black,",
        "a.tif,,,,0",
        ",,EPSG:25832,,",
    )
    with pytest.raises(SceneError) as caught:
        find_sheets(table)
    assert str(caught.value).splitlines()[1:] == [
        "  line 2: '2019-13-01' is not a date such as 2019-07-03",
        "  line 3: crs is 'EPSG:0', expected a code such as EPSG:25832",
        "  line 4: nodata is 'black', expected a number",
        "  line 5: bands is '0', expected band numbers such as 1 2 3",
        "  line 6: path is empty",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("file,date", "a.tif,2019"), r"has no column 'path' \(columns: file, date\)"),
        (("path,date",), "lists no sheets"),
        ((), r"has no column 'path' \(columns: none\)"),
        (("path", "x.tif", "y.tif"), "names 2 of 2 sheets that do not exist"),
    ],
)
def test_find_sheets_rejects_tables(county: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        find_sheets(write_table(county / "sheets.csv", *lines))


def test_find_sheets_rejects_a_table_that_is_not_text(county: Path) -> None:
    (county / "sheets.csv").write_bytes(b"path\n\xff\xfe")
    with pytest.raises(ReadError, match="cannot be read as UTF-8 text"):
        find_sheets(county / "sheets.csv")


def test_find_sheets_reads_repeated_sheets_once(
    county: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (county / "link.tif").symlink_to(county / "a.tif")
    table = write_table(county / "sheets.csv", "path,date", "a.tif,2019")
    with caplog.at_level(logging.WARNING):
        found = find_sheets([county / "b.tif", table, county])
    assert found == (Sheet(str(county / "b.tif")), Sheet(str(county / "a.tif"), "2019"))
    assert caplog.messages[0].startswith("Named more than once, and read once: 3 sheets")


def test_find_sheets_rejects_contradictory_descriptions(county: Path) -> None:
    table = write_table(county / "sheets.csv", "path,date", "a.tif,2019", "./a.tif,2020")
    with pytest.raises(
        SceneError, match=r"Sheets are described twice, with different dates.*: 1 sheet\n"
    ):
        find_sheets(table)


def test_find_sheets_keeps_sheets_found_before(county: Path) -> None:
    sheets = (Sheet(str(county / "a.tif"), "2019"), Sheet("gone.tif"))
    assert find_sheets(sheets) == sheets
    assert find_sheets(sheets[1]) == sheets[1:]


def test_source_options_names_the_choices() -> None:
    with pytest.raises(InputError, match="order is 'oldest', expected one of newest, given"):
        SourceOptions(order="oldest")  # type: ignore[arg-type]


def test_find_sheets_leaves_out_work_directories(county: Path) -> None:
    work = county / "roads.gpkg.roadgis-work"
    (work / "00000").mkdir(parents=True)
    (work / "00000" / "00000.tif").touch()
    (work / "roadgis-work.json").touch()
    expected = ["a.tif", "b.tif", "c.tif"]
    for found in (
        find_sheets(county, SourceOptions(recursive=True)),
        find_sheets(f"{county}/**/*.tif"),
    ):
        assert [Path(s.name).name for s in found] == expected
