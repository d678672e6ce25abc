"""The JSON API, end to end over HTTP."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

pytest.importorskip("fastapi")

from roadgis.output import SUFFIXES
from tests.web.conftest import Server


def center(job: Any) -> tuple[float, float]:
    west, south, east, north = job["facts"]["bounds_lonlat"]
    return (west + east) / 2, (south + north) / 2


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    x = (lon + 180) / 360
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
    return int(x * 2**zoom), int(y * 2**zoom)


def read(
    server: Server, job: Any, what: str, tmp_path: Path, **query: Any
) -> geopandas.GeoDataFrame:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = server.request("GET", f"/api/jobs/{job['jobID']}/download/{what}?{text}")
    assert answer.status == 200, answer.body
    path = tmp_path / f"roads.{what}"
    path.write_bytes(answer.body)
    return geopandas.read_file(path, layer="edges") if what == "gpkg" else geopandas.read_file(path)


def test_about_names_version_and_limits(server: Server) -> None:
    about = server.request("GET", "/api/").json
    assert about["title"] == "roadgis"
    assert about["limits"]["max_waiting"] == 8
    assert not about["token"]


def test_about_lists_the_downloads_in_all_formats_of_the_command_line(server: Server) -> None:
    downloads = server.request("GET", "/api/").json["downloads"]
    assert list(downloads) == [
        "gpkg", "geojson", "fgb", "parquet", "shp", "probability", "edits", "labels", "report",
    ]  # fmt: skip
    titles = [made["title"] for made in downloads.values()]
    assert titles[:5] == ["GeoPackage", "GeoJSON", "FlatGeobuf", "GeoParquet", "Shapefile"]
    assert {kind.name for kind in SUFFIXES.values()} == set(titles[:5])


def test_about_lists_the_suffixes_of_uploads(server: Server) -> None:
    uploads = server.request("GET", "/api/").json["uploads"]
    assert {".tif", ".jp2", ".tfw"} <= set(uploads["roads"])
    assert uploads["base"] == [".geojson", ".json", ".gpkg", ".fgb", ".parquet"]


def test_example_check_reports_its_facts(server: Server) -> None:
    made = server.request("POST", "/api/jobs", {"example": True})
    assert made.status == 201
    assert made.headers["location"] == f"/api/jobs/{made.json['jobID']}"
    job = server.wait_for(made.json["jobID"], "ready")
    assert job["status"] == "accepted"
    assert job["facts"]["usable"] is True
    assert job["facts"]["inputs"][0]["name"] == "town.tif"
    assert job["facts"]["size"]["mpx"] == 1.96
    assert job["facts"]["estimated_seconds"] > 0
    assert str(server.folder) not in json.dumps(job)
    assert server.request("DELETE", f"/api/jobs/{job['jobID']}").status == 200
    assert server.request("GET", f"/api/jobs/{job['jobID']}").status == 404


def test_finished_job_has_a_network(done: Any) -> None:
    (network,) = done["result"]["networks"]
    assert done["status"] == "successful"
    assert network["number"] == 0
    assert network["edges"] > 20
    assert 2000 < network["length_m"] < 12000
    assert done["progress"] == 100


def test_road_tiles_hold_all_edges(server: Server, done: Any) -> None:
    x, y = tile_at(*center(done), 12)
    ids = {
        edge[0]
        for dx in (-1, 0, 1)
        for dy in (-1, 0, 1)
        for edge in server.request(
            "GET", f"/api/jobs/{done['jobID']}/roads/0/12/{x + dx}/{y + dy}.json"
        ).json["edges"]
    }
    assert len(ids) == done["result"]["networks"][0]["edges"]


@pytest.mark.parametrize("layer", ["imagery", "probability"])
def test_raster_tiles_are_pictures(server: Server, done: Any, layer: str) -> None:
    x, y = tile_at(*center(done), 16)
    answer = server.request("GET", f"/api/jobs/{done['jobID']}/tiles/{layer}/16/{x}/{y}.png")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/png"
    assert len(answer.body) > 2000
    outside = server.request("GET", f"/api/jobs/{done['jobID']}/tiles/{layer}/16/0/0.png")
    assert len(outside.body) < 300


def test_edge_has_its_attributes(server: Server, done: Any) -> None:
    feature = server.request("GET", f"/api/jobs/{done['jobID']}/roads/0/edges/3").json
    assert feature["id"] == 3
    assert feature["properties"]["length_m"] > 0
    assert feature["properties"]["source"] == "town _b_.tif"
    assert len(feature["geometry"]["coordinates"]) >= 2


def test_probability_download_is_a_cog_and_knows_ranges(
    server: Server, done: Any, tmp_path: Path
) -> None:
    path = f"/api/jobs/{done['jobID']}/download/probability"
    whole = server.request("GET", path)
    (tmp_path / "p.tif").write_bytes(whole.body)
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (dataset.width, dataset.height) == (640, 640)
    part = server.request("GET", path, headers={"Range": "bytes=10-19"})
    assert part.status == 206
    assert part.body == whole.body[10:20]
    assert server.request("GET", path, headers={"Range": "bytes=999999999-"}).status == 416


@pytest.mark.parametrize("what", ["gpkg", "geojson", "fgb"])
def test_download_in_each_format(server: Server, done: Any, what: str, tmp_path: Path) -> None:
    table = read(server, done, what, tmp_path, network=0, corrected=False)
    assert len(table) == done["result"]["networks"][0]["edges"]


@pytest.mark.parametrize("corrected", [False, True])
def test_geopackage_brings_a_style_for_qgis(
    server: Server, done: Any, corrected: bool, tmp_path: Path
) -> None:
    edit = {"action": "accept", "edge": 0}
    assert server.request("POST", f"/api/jobs/{done['jobID']}/edits", edit).status == 201
    try:
        table = read(server, done, "gpkg", tmp_path, network=0, corrected=corrected)
    finally:
        server.request("DELETE", f"/api/jobs/{done['jobID']}/edits/last")
    assert ("edit" in table) is corrected
    with contextlib.closing(sqlite3.connect(tmp_path / "roads.gpkg")) as file:
        found = file.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
    assert [row[:3] for row in found] == [("edges", "geom", 1), ("nodes", "geom", 1)]
    labels = re.findall(r'<rule [^>]*label="([^"]*)"', found[0][3])
    assert labels[0] == "Confidence below 50 %"
    assert ("Drawn by hand" in labels) is corrected


def test_shapefile_download_is_a_zip(server: Server, done: Any) -> None:
    answer = server.request("GET", f"/api/jobs/{done['jobID']}/download/shp?network=0")
    names = zipfile.ZipFile(io.BytesIO(answer.body)).namelist()
    assert {"roads.shp", "roads.dbf", "roads.shx", "roads.prj"} <= set(names)


def test_redo_with_a_higher_threshold_is_shorter(server: Server, done: Any) -> None:
    made = server.request("POST", f"/api/jobs/{done['jobID']}/networks", {"threshold": 0.9})
    assert made.status == 201, made.body
    first, second = done["result"]["networks"][0], made.json
    assert second["length_m"] < first["length_m"]
    assert second["removed_m"] > 0
    lines = server.request(
        "GET", f"/api/jobs/{done['jobID']}/networks/{second['number']}/difference"
    ).json
    assert len(lines["removed"]) > 0
    assert server.job(done["jobID"])["result"]["current"] == second["number"]


def test_redo_with_the_same_settings_changes_nothing(server: Server, done: Any) -> None:
    first = done["result"]["networks"][0]
    settings = {"threshold": first["threshold"]}
    made = server.request("POST", f"/api/jobs/{done['jobID']}/networks", settings).json
    assert (made["edges"], made["length_m"]) == (first["edges"], first["length_m"])
    path = f"/api/jobs/{done['jobID']}/roads"
    edge = server.request("GET", f"{path}/{made['number']}/edges/3").json["properties"]
    assert edge == server.request("GET", f"{path}/0/edges/3").json["properties"]
    assert edge["source"] == "town _b_.tif"


def test_redo_that_leaves_no_road_can_be_drawn_on(
    server: Server, town: Path, tmp_path: Path
) -> None:
    done = server.run(town)  # a job of its own: other tests expect roads in the shared one
    path = f"/api/jobs/{done['jobID']}"
    for _ in range(2):  # the second run is compared with an empty network
        made = server.request("POST", f"{path}/networks", {"min_component_m": 99_999})
        assert made.status == 201, made.body
        assert (made.json["edges"], made.json["added_m"]) == (0, 0.0)
    number = made.json["number"]
    x, y = tile_at(*center(done), 12)
    tile = server.request("GET", f"{path}/roads/{number}/12/{x}/{y}.json")
    assert (tile.status, tile.json["edges"]) == (200, [])
    lon, lat = center(done)
    edit = {"action": "draw", "network": number, "geometry": [[lon, lat], [lon + 0.001, lat]]}
    assert server.request("POST", f"{path}/edits", edit).status == 201
    roads = read(server, done, "gpkg", tmp_path, network=number)
    assert list(roads["edit"]) == ["drawn"]


@pytest.mark.parametrize("end", [(-60, 20), (0, 0)], ids=["far away", "one place twice"])
def test_drawn_roads_off_the_imagery_or_without_length_are_rejected(
    server: Server, done: Any, end: tuple[float, float]
) -> None:
    path = f"/api/jobs/{done['jobID']}/edits"
    before = server.request("GET", path).json
    lon, lat = center(done)
    line = [[lon, lat], [lon + end[0], lat + end[1]]]
    refused = server.request("POST", path, {"action": "draw", "geometry": line})
    assert refused.status == 422
    assert "The line" in str(refused.json)
    assert server.request("GET", path).json == before


def test_corrections_reach_the_download(server: Server, done: Any, tmp_path: Path) -> None:
    path = f"/api/jobs/{done['jobID']}"
    before = read(server, done, "gpkg", tmp_path, network=0, corrected=False)
    todo = server.request("GET", f"{path}/roads/0/doubtful").json
    rejected = server.request("GET", f"{path}/roads/0/edges/0").json
    west, south, east, north = done["facts"]["bounds_lonlat"]
    start = [west + 0.2 * (east - west), south + 0.2 * (north - south)]
    end = [west + 0.3 * (east - west), south + 0.25 * (north - south)]
    found = server.request("POST", f"{path}/route", {"start": start, "end": end})
    assert found.status == 200, found.body
    line = found.json["coordinates"]
    assert line[0] == pytest.approx(start, abs=1e-6)
    assert line[-1] == pytest.approx(end, abs=1e-6)
    for edit in (
        {"action": "reject", "edge": 0, "user": "Ann <i>"},
        {"action": "accept", "edge": 1, "user": "Ann <i>"},
        {"action": "draw", "geometry": line},
        {"action": "reject", "edge": 2},
    ):
        assert server.request("POST", f"{path}/edits", edit).status == 201
    assert server.request("DELETE", f"{path}/edits/last").status == 200
    edits = server.request("GET", f"{path}/edits").json
    assert [(e["action"], e["edge"], e["user"]) for e in edits] == [
        ("reject", 0, "Ann <i>"), ("accept", 1, "Ann <i>"), ("draw", None, "anonymous"),
    ]  # fmt: skip
    left = server.request("GET", f"{path}/roads/0/doubtful").json
    assert left["left"] <= todo["left"]
    after = read(server, done, "gpkg", tmp_path, network=0)
    assert set(after["edit"].dropna()) == {"accepted", "drawn"}
    assert set(after[after["edit"] == "drawn"]["edit_user"]) == {"anonymous"}
    line = rejected["geometry"]["coordinates"]
    middle = geopandas.GeoSeries([shapely.Point(line[len(line) // 2])], crs=4326)
    gone = middle.to_crs(after.crs).iloc[0]
    assert before.distance(gone).min() < 1
    assert after.distance(gone).min() > 1
    shown = read(server, done, "edits", tmp_path)
    assert len(shown) == 3


def test_labels_download_has_a_mask_of_the_scene(server: Server, done: Any, tmp_path: Path) -> None:
    answer = server.request("GET", f"/api/jobs/{done['jobID']}/download/labels?network=0")
    assert answer.status == 200, answer.body
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert sorted(archive.namelist()) == ["roads.gpkg", "town _b__mask.tif"]
        archive.extractall(tmp_path)
    with rasterio.open(tmp_path / "town _b__mask.tif") as mask:
        assert (mask.width, mask.height) == (640, 640)
        assert 0.02 < (mask.read(1) == 1).mean() < 0.5


def test_comparison_with_truth_scores_the_network(
    server: Server, done: Any, tmp_path: Path
) -> None:
    truth = read(server, done, "geojson", tmp_path, network=0, corrected=False)
    half = truth.iloc[: len(truth) // 2]
    path = f"/api/jobs/{done['jobID']}"
    body = half.to_json().encode()
    assert server.request("PUT", f"{path}/base/truth.geojson", body).status == 201
    found = server.request("POST", f"{path}/comparison", {"truth": True, "network": 0})
    assert found.status == 200, found.body
    assert found.json["scores"]["recall"] == 1.0
    assert 0.2 < found.json["scores"]["precision"] < 0.8
    lines = server.request("GET", f"{path}/comparison").json
    assert lines["missing"] == []
    assert len(lines["extra"]) > 0


def test_report_download_has_scores_of_the_comparison(server: Server, done: Any) -> None:
    path = f"/api/jobs/{done['jobID']}"
    truth = server.request("GET", f"{path}/download/geojson?network=0&corrected=false").body
    assert server.request("PUT", f"{path}/base/truth.geojson", truth).status == 201
    wanted = {"truth": True, "network": 0}
    assert server.request("POST", f"{path}/comparison", wanted).status == 200
    answer = server.request("GET", f"{path}/download/report?network=0")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    page = answer.body.decode()
    assert "<dt>Layer</dt><dd>truth.geojson</dd>" in page
    assert "<dt>Recall</dt><dd>1.000</dd>" in page
    assert str(server.folder) not in page


def test_events_end_with_the_finished_job(server: Server, done: Any) -> None:
    answer = server.request("GET", f"/api/jobs/{done['jobID']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *_ = answer.body.decode().split("\n\n")
    assert first.startswith("event: job\ndata: ")
    assert json.loads(first.partition("data: ")[2])["state"] == "done"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/jobs", {"kind": "cake"}, 422),
        ("POST", "/api/jobs", {"paths": ["/etc/passwd"]}, 403),
        ("GET", "/api/jobs/none", None, 404),
        ("GET", "/api/jobs/..%2f..%2fx", None, 404),
        ("GET", "/static/../app.py", None, 404),
        ("GET", "/static/..%2fapp.py", None, 404),
        ("POST", "/api/jobs/{id}/networks", {"threshold": 2}, 422),
        ("POST", "/api/jobs/{id}/networks", {"threshold": "nan"}, 422),
        ("POST", "/api/jobs/{id}/edits", {"action": "reject"}, 422),
        ("POST", "/api/jobs/{id}/edits", {"action": "accept", "edge": 10**6}, 404),
        ("POST", "/api/jobs/{id}/edits", {"action": "draw", "geometry": [[0, 0]]}, 422),
        ("POST", "/api/jobs/{id}/route", {"start": [0, 0], "end": [0, 1]}, 422),
        ("GET", "/api/jobs/{id}/roads/99/5/0/0.json", None, 404),
        ("GET", "/api/jobs/{id}/roads/0/5/99/0.json", None, 404),
        ("GET", "/api/jobs/{id}/tiles/imagery/30/0/0.png", None, 422),
        ("GET", "/api/jobs/{id}/download/exe", None, 422),
        ("POST", "/api/jobs/{id}/comparison", {"network": 99}, 404),
        ("POST", "/api/jobs/{id}/check", None, 409),
        ("PUT", "/api/jobs/{id}/files/a.tif", b"x", 409),
    ],
)
def test_wrong_requests_are_rejected(
    server: Server, done: Any, method: str, path: str, body: Any, status: int
) -> None:
    if path.endswith("comparison"):
        server.request("PUT", f"/api/jobs/{done['jobID']}/base/a.geojson", b'{"type": "x"}')
    answer = server.request(method, path.replace("{id}", done["jobID"]), body)
    assert answer.status == status, answer.body
    assert "detail" in answer.json


def test_open_api_describes_every_path(server: Server) -> None:
    paths = server.request("GET", "/api/openapi.json").json["paths"]
    assert "/api/jobs/{job_id}/execution" in paths
    assert len(paths) >= 20
