"""Odd and damaged line layers and options: every command reads them or reports an error."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import click
import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from pyproj import CRS

from roadgis.cli.commands.clean import command as clean
from roadgis.cli.commands.compare import command as compare
from roadgis.cli.commands.evaluate import command as evaluate
from roadgis.errors import DataError, EmptyTruthError, InputError, OutputError
from roadgis.imagery.area import load_area
from roadgis.labels.vector import RoadLayer
from roadgis.lines import read_lines
from roadgis.options.evaluation import EvaluateOptions

ORIGIN = np.array([500_000.0, 5_000_000.0])
MAIN = (
    *("iou", "relaxed_precision", "relaxed_recall", "relaxed_f1", "apls"),
    *("apls_truth_onto_proposal", "apls_proposal_onto_truth"),
    *("topo_precision", "topo_recall", "topo_f1", "junction_f1"),
)


def streets(
    count: int = 3, crs: str | None = "EPSG:32632", shift: float = 0.0
) -> geopandas.GeoDataFrame:
    """Return a lattice of streets, noded at its crossings."""
    at = np.arange(count) * 100.0
    rows = [shapely.LineString(np.stack([at, np.full(count, y)], 1) + ORIGIN) for y in at]
    columns = [shapely.LineString(np.stack([np.full(count, x), at], 1) + ORIGIN) for x in at]
    shapes = [
        shapely.transform(line, lambda xy: xy + np.array([shift, 0.0])) for line in rows + columns
    ]
    return geopandas.GeoDataFrame({"name": [f"Weg {i}" for i in range(2 * count)]},
                                  geometry=shapes, crs=crs)  # fmt: skip


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    path = tmp_path / "roads.gpkg"
    streets().to_file(path, layer="roads")
    return path


def called(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--progress", "none"])


class TestGeoParquet:
    def test_geoparquet_is_read_with_its_fields_and_crs(self, tmp_path: Path) -> None:
        table = streets()
        table["list"] = [[1, 2]] * len(table)
        table.to_parquet(tmp_path / "roads.parquet")
        layer = read_lines(tmp_path / "roads.parquet")
        assert len(layer.lines) == 6
        assert layer.crs.to_epsg() == 32632
        assert layer.table["name"].tolist() == [f"Weg {i}" for i in range(6)]

    def test_geoparquet_with_a_renamed_and_a_second_geometry_column_is_read(
        self, tmp_path: Path
    ) -> None:
        table = streets()
        table["centre"] = table.centroid
        table.rename_geometry("shape").to_parquet(tmp_path / "roads.parquet")
        layer = read_lines(tmp_path / "roads.parquet")
        assert (len(layer.lines), list(layer.table.columns)) == (6, ["name", "geometry"])

    def test_geoparquet_without_crs_uses_the_assumed_one(self, tmp_path: Path) -> None:
        streets(crs=None).to_parquet(tmp_path / "roads.parquet")
        with pytest.raises(DataError, match="--assume-crs"):
            read_lines(tmp_path / "roads.parquet")
        layer = read_lines(tmp_path / "roads.parquet", assume_crs="EPSG:32632")
        assert layer.crs.to_epsg() == 32632

    def test_geoparquet_that_is_damaged_is_rejected(self, tmp_path: Path) -> None:
        whole = tmp_path / "roads.parquet"
        streets().to_parquet(whole)
        (tmp_path / "cut.parquet").write_bytes(whole.read_bytes()[:900])
        pandas.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
        for name in ("cut", "table"):
            with pytest.raises(DataError, match="cannot be read as GeoParquet"):
                read_lines(tmp_path / f"{name}.parquet")
        with pytest.raises(DataError, match="Leave --layer out"):
            read_lines(whole, layer="edges")


class TestFiles:
    def test_truncated_shapefile_is_rejected(self, tmp_path: Path) -> None:
        path = tmp_path / "roads.shp"
        streets().to_file(path)
        path.write_bytes(path.read_bytes()[:400])
        with pytest.raises(DataError, match=r"is cut off: found 400 bytes, expected \d+"):
            read_lines(path)

    def test_empty_file_and_folder_are_named_in_the_error(self, tmp_path: Path) -> None:
        (tmp_path / "zero.gpkg").touch()
        (tmp_path / "folder").mkdir()
        with pytest.raises(DataError, match=r"empty \(0 bytes\)"):
            read_lines(tmp_path / "zero.gpkg")
        with pytest.raises(DataError, match="is a folder"):
            read_lines(tmp_path / "folder")

    def test_driver_hints_for_programmers_are_not_shown(self, tmp_path: Path) -> None:
        (tmp_path / "text.gpkg").write_text("hello")
        with pytest.raises(DataError) as caught:
            read_lines(tmp_path / "text.gpkg")
        assert "<DRIVER>" not in str(caught.value)

    def test_url_in_a_message_keeps_both_slashes_and_hides_secrets(self, roads: Path) -> None:
        wrong = called(evaluate, roads, "https://127.0.0.1:9/t.geojson?key=SECRET")
        assert isinstance(wrong.exception, DataError)
        assert "https://127.0.0.1:9/t.geojson" in str(wrong.exception)
        assert "SECRET" not in str(wrong.exception)

    def test_archive_with_lines_is_read(self, roads: Path) -> None:
        archive = shutil.make_archive(str(roads.with_name("all")), "zip", roads.parent, roads.name)
        result = called(evaluate, roads, f"/vsizip/{archive}", "--json")
        assert json.loads(result.stdout)["apls"] == 1


class TestText:
    @pytest.fixture(params=["geojson", "shp"])
    def latin_1(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        """Return a layer in Latin-1 that states UTF-8, with an umlaut in a name and a value."""
        path = tmp_path / f"roads.{request.param}"
        table = streets().rename(columns={"name": "straße"})
        table["straße"] = "Größe"
        if request.param == "shp":
            table.to_file(path, encoding="latin1")
            path.with_suffix(".cpg").write_text("UTF-8")
        else:
            table.to_file(path)
            path.write_bytes(path.read_text(encoding="utf-8").encode("latin1"))
        return path

    def test_text_other_than_utf_8_is_read_as_latin_1_with_a_warning(
        self, latin_1: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer = read_lines(latin_1)
        assert layer.table["straße"].tolist() == ["Größe"] * 6
        assert "holds text that is not UTF-8; it is read as Latin-1" in caplog.text

    def test_text_other_than_utf_8_is_kept_by_clean(self, latin_1: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.gpkg"
        assert called(clean, latin_1, "-o", out, "--keep-fields", "straße").exit_code == 0
        assert set(geopandas.read_file(out, layer="edges")["straße"]) == {"Größe"}


class TestCoordinates:
    @pytest.mark.parametrize("value", [1e300, -1e13, math.nan, math.inf])
    def test_coordinates_outside_the_crs_drop_only_their_line(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float
    ) -> None:
        table = streets()
        with np.errstate(invalid="ignore"):
            table.loc[0, "geometry"] = shapely.LineString([ORIGIN, (value, value)])
        table.to_file(tmp_path / "roads.gpkg")
        layer = read_lines(tmp_path / "roads.gpkg")
        assert layer.feature.tolist() == [1, 2, 3, 4, 5]
        assert "1 line with impossible coordinates" in caplog.text
        roads = RoadLayer.open(tmp_path / "roads.gpkg", width_m=6)
        assert roads.bounds == (*ORIGIN, *(ORIGIN + 200))
        assert "1 parts with impossible coordinates" in caplog.text

    @pytest.mark.parametrize("crs", [4326, 32632])
    def test_coordinates_at_null_island_drop_only_their_line(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, crs: int
    ) -> None:
        table = streets().to_crs(crs)
        far = shapely.get_coordinates(table.geometry[0])
        table.loc[0, "geometry"] = shapely.LineString([*far, (0, 0)])
        table.to_file(tmp_path / "roads.gpkg")
        assert read_lines(tmp_path / "roads.gpkg").feature.tolist() == [1, 2, 3, 4, 5]
        assert "1 line with a vertex more than 1,000 km from the one before was" in caplog.text

    @pytest.mark.parametrize("value", [1e300, math.nan, math.inf])
    def test_coordinates_outside_the_crs_are_rejected_in_an_area(
        self, roads: Path, value: float
    ) -> None:
        area = roads.with_name("area.gpkg")
        corner = (ORIGIN[0] + 100, value)
        with np.errstate(invalid="ignore"):
            box = shapely.Polygon([tuple(ORIGIN), (ORIGIN[0] + 100, ORIGIN[1]), corner])
        geopandas.GeoDataFrame(geometry=[box], crs=32632).to_file(area)
        result = called(evaluate, roads, roads, "--aoi", area)
        assert isinstance(result.exception, InputError)
        assert "has impossible coordinates" in str(result.exception)


class TestGeodatabase:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        path = tmp_path / "roads.gdb"
        streets().to_file(path, driver="OpenFileGDB", layer="roads")
        return path

    def test_geodatabase_is_read_by_clean_compare_and_evaluate(
        self, folder: Path, roads: Path
    ) -> None:
        out = folder.with_name("out.gpkg")
        assert called(clean, folder, "-o", out).exit_code == 0
        assert len(geopandas.read_file(out, layer="edges")) == 8
        assert called(compare, folder, roads, "-o", out, "--overwrite").exit_code == 0
        for sides in ((folder, roads), (roads, folder), (folder, folder)):
            assert json.loads(called(evaluate, *sides, "--json").stdout)["apls"] == 1

    def test_geodatabase_is_one_layer_of_a_folder_of_sheets(
        self, folder: Path, tmp_path: Path
    ) -> None:
        for side in ("found", "true"):
            shutil.copytree(folder, tmp_path / side / "s1.gdb")
        result = called(evaluate, tmp_path / "found", tmp_path / "true", "--json")
        assert json.loads(result.stdout)["apls"] == 1

    def test_geodatabase_is_read_as_labels_and_as_area(self, folder: Path, tmp_path: Path) -> None:
        assert RoadLayer.open(folder, width_m=6).count == 6
        area = tmp_path / "area.gdb"
        box = shapely.box(*ORIGIN, *(ORIGIN + 50))
        geopandas.GeoDataFrame(geometry=[box], crs=32632).to_file(area, driver="OpenFileGDB")
        metric = CRS.from_epsg(32632)
        assert load_area(area, metric, metric).area == pytest.approx(2500)


class TestOutputs:
    @pytest.mark.parametrize("option", ["--csv", "--report", "--errors"])
    def test_evaluate_never_replaces_its_inputs(self, roads: Path, option: str) -> None:
        before = roads.read_bytes()
        result = called(evaluate, roads, roads, option, roads, "--overwrite")
        assert isinstance(result.exception, InputError)
        assert "is an input as well" in str(result.exception)
        assert roads.read_bytes() == before

    def test_clean_and_compare_never_replace_their_inputs(self, roads: Path) -> None:
        before = roads.read_bytes()
        link = roads.with_name("link.gpkg")
        link.symlink_to(roads)
        for command, arguments in ((clean, [roads]), (compare, [roads, roads])):
            for output in (roads, link):
                result = called(command, *arguments, "-o", output, "--overwrite")
                assert "is an input as well" in str(result.exception)
        assert roads.read_bytes() == before

    def test_output_that_cannot_be_written_is_reported_before_the_run(self, roads: Path) -> None:
        folder = roads.with_name("folder")
        folder.mkdir()
        for path, said in ((folder, "is a folder"), (folder / "no" / "x.csv", "does not exist")):
            result = called(evaluate, roads, roads, "--csv", path, "--overwrite")
            assert isinstance(result.exception, OutputError)
            assert said in str(result.exception)
        same = called(evaluate, roads, roads, "--csv", folder / "x", "--report", f"{folder}/./x")
        assert "one name for two outputs" in str(same.exception)

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
    def test_output_in_a_system_folder_is_not_reported_as_a_full_disk(self, roads: Path) -> None:
        result = called(clean, roads, "-o", "/proc/roads.gpkg")
        assert isinstance(result.exception, OutputError)
        assert "disk is full" not in str(result.exception)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet", "shp"])
def test_clean_output_is_identical_to_itself_in_every_format(roads: Path, suffix: str) -> None:
    network, empty = roads.with_name(f"net.{suffix}"), roads.with_name("empty.geojson")
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    area = roads.with_name("area.gpkg")
    box = shapely.box(*(ORIGIN - 5), *(ORIGIN + 130))
    geopandas.GeoDataFrame(geometry=[box], crs=32632).to_file(area)
    assert called(clean, roads, "-o", network).exit_code == 0
    for more in ([], ["--aoi", area]):
        same = json.loads(called(evaluate, network, network, "--json", *more).stdout)
        assert {name: same[name] for name in MAIN} == dict.fromkeys(MAIN, 1)
        none = json.loads(called(evaluate, empty, network, "--json", *more).stdout)
        assert {name: none[name] for name in MAIN} == dict.fromkeys(MAIN, 0)


_OWN = {
    "ID": 7, "geom": "a", "geometry": "b", "fid": 3, "FID": "c", "Name": "d", "name": "e",
    "ogc_fid": 4, "length_m": 5, "a_long_name_1": "f", "a_long_name_2": "g",
}  # fmt: skip
_RENAMED = {
    "ID_in": 7, "geom_in": "a", "geometry_in": "b", "fid_in": 3, "FID_in2": "c", "Name": "d",
    "name_in": "e", "ogc_fid_in": 4, "length_m_in": 5, "a_long_name_1": "f", "a_long_name_2": "g",
}  # fmt: skip
_IN_SHAPEFILE = {"geometry_in": "geometry_i", "length_m_in": "length_m_i",
                 "a_long_name_1": "a_long_nam", "a_long_name_2": "a_long_n_1"}  # fmt: skip


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet", "shp"])
def test_clean_keeps_fields_with_colliding_names_under_other_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    feature = {
        "type": "Feature", "properties": _OWN,
        "geometry": {"type": "LineString", "coordinates": [[9, 48], [9.001, 48]]},
    }  # fmt: skip
    (tmp_path / "in.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    out = tmp_path / f"out.{suffix}"
    result = called(clean, tmp_path / "in.geojson", "-o", out, "--keep-fields", ",".join(_OWN))
    assert result.exit_code == 0
    assert "in the output ID is ID_in, geom is geom_in, geometry is geometry_in" in caplog.text
    if suffix == "parquet":
        row = geopandas.read_parquet(out).iloc[0]
    else:
        row = geopandas.read_file(out, **({"layer": "edges"} if suffix == "gpkg" else {})).iloc[0]
    names = {name: _IN_SHAPEFILE.get(name, name) if suffix == "shp" else name for name in _RENAMED}
    assert {name: row[names[name]] for name in names} == _RENAMED
    assert row["length_m"] == pytest.approx(74.6, abs=0.5)


def test_compare_keeps_fields_with_colliding_names(roads: Path) -> None:
    table = streets().assign(NAME=[f"N{at}" for at in range(6)], geom="a", fid=3, ID=7)
    base, out = roads.with_name("base.geojson"), roads.with_name("out.gpkg")
    table.to_file(base)
    assert called(compare, roads, base, "-o", out).exit_code == 0
    row = geopandas.read_file(out, layer="matched").iloc[0]
    assert row["base_NAME_2"] == row["base_name"].replace("Weg ", "N")
    assert (row["base_geom"], row["base_fid"], row["base_ID"]) == ("a", 3, 7)


def test_evaluate_a_folder_skips_a_sheet_without_truth_in_the_area(tmp_path: Path) -> None:
    for side in ("found", "true"):
        (tmp_path / side).mkdir()
        for number in range(2):
            table = streets(shift=3000.0 * number)
            table.to_file(tmp_path / side / f"s{number}.gpkg")
    area = tmp_path / "area.gpkg"
    box = shapely.box(*(ORIGIN - 5), *(ORIGIN + 205))
    geopandas.GeoDataFrame(geometry=[box], crs=32632).to_file(area)
    result = called(evaluate, tmp_path / "found", tmp_path / "true", "--aoi", area, "--json")
    assert json.loads(result.stdout)["apls"] == 1
    alone = [tmp_path / side / "s1.gpkg" for side in ("found", "true")]
    assert isinstance(called(evaluate, *alone, "--aoi", area).exception, EmptyTruthError)


class TestOptions:
    @pytest.mark.parametrize(
        ("command", "option"),
        [
            *((evaluate, name) for name in ("--buffer", "--gap", "--gsd", "--topo-radius")),
            *((compare, name) for name in ("--max-offset", "--moved", "--min-length")),
            *((clean, name) for name in ("--snap", "--width")),
        ],
    )
    def test_length_option_rejects_text(
        self, roads: Path, command: click.Command, option: str
    ) -> None:
        files = [roads] if command is clean else [roads, roads]
        for value in ("nan", "inf", "-1"):
            result = called(command, *files, "-o" if command is not evaluate else "--csv",
                            roads.with_name("out.gpkg"), option, value)  # fmt: skip
            assert result.exit_code == 2, value
            assert f"Invalid value for '{option}'" in result.stderr

    @pytest.mark.parametrize("name", ["gsd_m", "apls_spacing_m", "topo_interval_m"])
    def test_step_options_that_would_take_hours_are_rejected(self, name: str) -> None:
        with pytest.raises(InputError, match=f"{name} is 1e-06; expected"):
            EvaluateOptions(**{name: 1e-6})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("command", "option"), [(evaluate, "--truth-layer"), (compare, "--base-layer")]
    )
    def test_error_names_the_option_of_the_second_file(
        self, roads: Path, tmp_path: Path, command: click.Command, option: str
    ) -> None:
        two = tmp_path / "two.gpkg"
        for layer in ("a", "b"):
            streets().to_file(two, layer=layer)
        more = ["--json"] if command is compare else []
        for given in ([], [option, "c"]):
            result = called(command, roads, two, *more, *given)
            assert str(result.exception).endswith(f"with {option}.")
        assert called(command, roads, two, *more, option, "a").exit_code == 0


class TestImage:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        path = tmp_path / "image.tif"
        frame = rasterio.Affine(1, 0, 100, 0, -1, 200)
        with rasterio.open(path, "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8",
                           transform=frame) as file:  # fmt: skip
            file.write(np.full((1, 9, 9), 7, np.uint8))
        return path

    def test_image_that_is_missing_is_reported_before_the_run(self, roads: Path) -> None:
        result = called(evaluate, roads, roads, "--image", "no.tif", "--report",
                        roads.with_name("r.html"), "--csv", roads.with_name("s.csv"))  # fmt: skip
        assert "found no such file" in str(result.exception)
        assert not roads.with_name("s.csv").exists()

    def test_image_with_an_unknown_crs_is_an_input_error(self, roads: Path, image: Path) -> None:
        result = called(evaluate, roads, roads, "--image", image, "--assume-crs", "EPSG:99999",
                        "--report", roads.with_name("r.html"))  # fmt: skip
        assert isinstance(result.exception, InputError)
        assert "not a known coordinate reference system" in str(result.exception)

    def test_image_of_another_place_is_reported(
        self, roads: Path, image: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = called(evaluate, roads, roads, "--image", image, "--assume-crs", "EPSG:32632",
                        "--report", roads.with_name("r.html"))  # fmt: skip
        assert result.exit_code == 0
        assert "does not show the roads" in caplog.text


class TestArea:
    def test_area_in_a_damaged_flatgeobuf_is_rejected(self, roads: Path) -> None:
        area = roads.with_name("area.fgb")
        geopandas.GeoDataFrame(geometry=[shapely.box(*ORIGIN, *(ORIGIN + 50))],
                               crs=32632).to_file(area)  # fmt: skip
        whole = area.read_bytes()
        for damaged in (whole[:60] + bytes(60) + whole[120:], whole[:-40]):
            area.write_bytes(damaged)
            for command, more in ((evaluate, []), (compare, ["--json"])):
                result = called(command, roads, roads, "--aoi", area, *more)
                assert isinstance(result.exception, DataError)
                assert str(result.exception).startswith(f"Area of interest: {area}: ")
                assert "polygons that outline the area" in str(result.exception)

    def test_area_in_geoparquet_is_read(self, tmp_path: Path) -> None:
        area = tmp_path / "area.parquet"
        box = shapely.box(*ORIGIN, *(ORIGIN + 50))
        geopandas.GeoDataFrame(geometry=[box], crs=32632).to_parquet(area)
        metric = CRS.from_epsg(32632)
        assert load_area(area, metric, metric).area == pytest.approx(2500)

    def test_area_is_the_only_layer_of_polygons(self, tmp_path: Path) -> None:
        area, metric = tmp_path / "project.gpkg", CRS.from_epsg(32632)
        streets().to_file(area, layer="roads")
        box = shapely.box(*ORIGIN, *(ORIGIN + 50))
        table = geopandas.GeoDataFrame(geometry=[box], crs=32632)
        table.to_file(area, layer="area")
        assert load_area(area, metric, metric).area == pytest.approx(2500)
        table.to_file(area, layer="old area")
        with pytest.raises(DataError, match=r"has 3 layers: .*save it alone"):
            load_area(area, metric, metric)

    def test_area_rejects_a_table_without_geometry(self, roads: Path, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text("a,b\n1,2\n")
        result = called(evaluate, roads, roads, "--aoi", tmp_path / "table.csv")
        assert isinstance(result.exception, InputError)
        assert "has no layer with geometries (layers: 'table')" in str(result.exception)

    @pytest.mark.parametrize(
        "area",
        [
            shapely.box(179.9, -17.1, 180.1, -16.9),
            shapely.union_all(
                [shapely.box(179.9, -17.1, 180, -16.9), shapely.box(-180, -17.1, -179.9, -16.9)]
            ),
            shapely.Polygon([(179.9, -17.1), (-179.9, -17.1), (-179.9, -16.9), (179.9, -16.9)]),
        ],
        ids=["beyond 180", "cut", "back to -180"],
    )
    def test_area_across_the_antimeridian_keeps_its_size(self, area: shapely.Geometry) -> None:
        metric = load_area(area, CRS.from_epsg(4326), _around_180())
        assert metric.area == pytest.approx(21_300 * 22_130, rel=0.01)
        assert metric.contains(shapely.Point(0, 0))


def _around_180() -> CRS:
    return CRS.from_dict({"proj": "aeqd", "lon_0": 180, "lat_0": -17, "datum": "WGS84"})
