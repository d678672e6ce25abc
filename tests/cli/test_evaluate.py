"""``roadgis evaluate`` on real files: one pair, folders, outputs, errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner, Result

from roadgis.cli.commands.evaluate import command
from roadgis.errors import InputError, RoadgisError
from roadgis.evaluation.file_pairs import find_pairs
from roadgis.evaluation.table import SCORES

#: As a process: the command's own entry, with the program's exit status and signals.
PROGRAM = (
    "from roadgis.cli.commands.evaluate import command\n"
    "from roadgis.cli.shell import run\n"
    "run(command)"
)
X, Y = 300_000.0, 4_700_000.0
_AT = (0.0, 400.0, 800.0)
GRID: list[list[tuple[float, float]]] = [
    *([(x, y) for x in _AT] for y in _AT),
    *([(x, y) for y in _AT] for x in _AT),
]


def write(path: Path, roads: list[list[tuple[float, float]]], **more: Any) -> Path:
    shapes = [shapely.LineString(np.add(road, (X, Y))) for road in roads]
    table = geopandas.GeoDataFrame(
        {"name": [str(at) for at in range(len(shapes))]}, geometry=shapes, crs="EPSG:32619"
    )
    keywords = {"geometry_type": "LineString"} | more
    if path.suffix == ".geojson":
        table = table.to_crs(4326)
        keywords |= {"COORDINATE_PRECISION": 12}
    pyogrio.write_dataframe(table, path, **keywords)
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write(tmp_path / "truth.geojson", GRID)


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    return write(tmp_path / "roads.gpkg", [*GRID[:5], [(100, 100), (200, 300)]])


def call(*arguments: object, status: int = 0) -> Result:
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if status:
        assert isinstance(done.exception, Exception)
    else:
        assert done.exit_code == 0, done.exception or done.output
    return done


def process(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


def test_evaluate_json_is_one_object_on_stdout_with_the_main_scores_first(
    roads: Path, truth: Path
) -> None:
    done = process(roads, truth, "--json")
    scores = json.loads(done.stdout)
    assert tuple(scores)[: len(SCORES)] == SCORES
    assert scores["relaxed_recall"] == pytest.approx((5 * 800 + 12) / 4800, abs=1e-6)
    assert 0 < scores["apls"] < 1
    assert scores["apls_time"] is None
    assert scores["truth_m"] == pytest.approx(4800, abs=0.1)


def test_evaluate_a_network_against_itself_scores_1_in_any_crs(tmp_path: Path, truth: Path) -> None:
    same = write(tmp_path / "same.gpkg", GRID)
    scores = json.loads(call(same, truth, "--json").stdout)
    assert [scores[name] for name in SCORES if name != "iou"] == [1] * (len(SCORES) - 1)
    assert scores["iou"] > 0.99


def test_evaluate_an_empty_proposal_scores_0(tmp_path: Path, truth: Path) -> None:
    empty = write(tmp_path / "empty.gpkg", [])
    scores = json.loads(call(empty, truth, "--json", "-q").stdout)
    assert [scores[name] for name in SCORES] == [0] * len(SCORES)


def test_evaluate_without_json_prints_a_short_table(roads: Path, truth: Path) -> None:
    done = process(roads, truth)
    head, row, lengths = done.stdout.splitlines()
    assert head.split()[:3] == ["relaxed", "F1", "precision"]
    assert row.startswith("roads.gpkg ")
    assert "4.80 km true" in lengths
    assert "1 evaluated" in done.stderr


def test_evaluate_jsonl_keeps_stdout_for_its_lines_even_with_json(roads: Path, truth: Path) -> None:
    done = process(roads, truth, "--json", "--progress", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["type"] == "hello"
    assert lines[-1]["type"] == "result"
    assert tuple(lines[-1]["scores"]) == SCORES
    percents = [line["percent"] for line in lines if line["type"] == "progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_evaluate_writes_all_outputs_and_nothing_else(
    tmp_path: Path, roads: Path, truth: Path
) -> None:
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", width=90, height=90, count=3, dtype="uint8",
        crs="EPSG:32619", transform=Affine(10, 0, X - 50, 0, -10, Y + 850),
    ) as image:  # fmt: skip
        image.write(np.full((3, 90, 90), 120, np.uint8))
    folder = tmp_path / "out"
    folder.mkdir()
    names = {"--csv": "s.csv", "--report": "r.html", "--errors": "e.gpkg"}
    outputs = [part for flag, name in names.items() for part in (flag, folder / name)]
    call(roads, truth, *outputs, "--image", tmp_path / "scene.tif")
    assert {path.name for path in folder.iterdir()} == set(names.values())

    with (folder / "s.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == ["roads.gpkg"]
    assert list(rows[0])[1:12] == list(SCORES)
    assert rows[0]["apls_time"] == ""

    assert pyogrio.list_layers(folder / "e.gpkg")[:, 0].tolist() == ["hits", "misses", "false"]
    false = geopandas.read_file(folder / "e.gpkg", layer="false")
    assert false.crs == "EPSG:32619"
    assert set(false["kind"]) == {"false"}
    assert false["length_m"].sum() == pytest.approx(np.hypot(100, 200), abs=0.01)
    misses = geopandas.read_file(folder / "e.gpkg", layer="misses")
    assert misses["length_m"].sum() == pytest.approx(800 - 12, abs=0.01)

    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in page
    assert len(page) < 500_000


def test_evaluate_aoi_limits_what_is_scored(tmp_path: Path, roads: Path, truth: Path) -> None:
    area = tmp_path / "area.geojson"
    box = shapely.box(X - 50, Y - 50, X + 600, Y + 900)  # without the missed street
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:32619").to_crs(4326).to_file(area)
    scores = json.loads(call(roads, truth, "--aoi", area, "--json").stdout)
    assert scores["relaxed_recall"] == pytest.approx(1, abs=1e-6)
    assert scores["truth_m"] == pytest.approx(3 * 600 + 2 * 800, abs=1)


def test_evaluate_folders_pairs_files_by_stem_and_adds_a_total(tmp_path: Path) -> None:
    found, true = tmp_path / "found", tmp_path / "true"
    found.mkdir()
    true.mkdir()
    for name, roads in (("a", GRID), ("b", GRID[:3])):
        write(true / f"{name}.geojson", GRID)
        write(found / f"{name}.gpkg", roads)
    write(true / "none.geojson", [])
    write(found / "none.gpkg", GRID)
    (true / "notes.txt").write_text("no layer")
    done = call(found, true, "--json", "--csv", tmp_path / "s.csv", "--report", tmp_path / "r.html")
    scores = json.loads(done.stdout)
    assert [row["pair"] for row in scores["pairs"]] == ["a", "b"]
    assert scores["pairs"][0]["relaxed_f1"] == pytest.approx(1)
    assert scores["truth_m"] == pytest.approx(9600, abs=0.2)
    recall = [row["relaxed_recall"] for row in scores["pairs"]]
    assert scores["relaxed_recall"] == pytest.approx(sum(recall) / 2)
    assert "none: left out" in done.stderr
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == ["a", "b", "total"]
    assert float(rows[2]["relaxed_recall"]) == scores["relaxed_recall"]
    assert "2 road networks evaluated" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_evaluate_folders_names_files_without_a_partner(tmp_path: Path, roads: Path) -> None:
    for name in ("found", "true"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="found no vector file"):
        find_pairs(tmp_path / "found", tmp_path / "true")
    write(tmp_path / "true" / "a.geojson", GRID)
    with pytest.raises(InputError, match=r"a\.geojson"):
        find_pairs(tmp_path / "found", tmp_path / "true")
    with pytest.raises(InputError, match="is a folder and"):
        find_pairs(roads, tmp_path / "true")
    write(tmp_path / "true" / "a.gpkg", GRID)
    with pytest.raises(InputError, match="one stem"):
        find_pairs(tmp_path / "found", tmp_path / "true")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--report", "there.html"], "--overwrite"),
        (["--csv", "there.html"], "--overwrite"),
        (["--errors", "e.shp"], "expected .gpkg"),
        (["--csv", "one.x", "--report", "one.x"], "one name for two"),
        (["--report", "no/folder/r.html"], "folder does not exist"),
        (["--image", "scene.tif"], "--report"),
        (["--speed-field", "speed"], "has no field 'speed'"),
        (["--layer", "nope"], "nope"),
    ],
)
def test_evaluate_rejects_impossible_requests_before_writing_anything(
    tmp_path: Path, roads: Path, truth: Path, flags: list[str], text: str
) -> None:
    (tmp_path / "there.html").write_text("mine")
    before = sorted(tmp_path.iterdir())
    placed = [str(tmp_path / part) if part[0] != "-" and "." in part else part for part in flags]
    done = call(roads, truth, *placed, status=1)
    assert isinstance(done.exception, RoadgisError)
    assert text in str(done.exception)
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.html").read_text() == "mine"


def test_evaluate_rejects_an_empty_truth(tmp_path: Path, roads: Path) -> None:
    done = process(roads, write(tmp_path / "empty.geojson", []), "--json", status=1)
    assert "nothing to compare with" in done.stderr


def test_evaluate_depends_on_the_seed_only(roads: Path, truth: Path) -> None:
    few = ("--max-controls", 5, "--topo-seeds", 5, "--json")
    one, again, other = (
        json.loads(call(roads, truth, *few, "--seed", seed).stdout) for seed in (1, 1, 2)
    )
    assert one == again
    assert one["options"]["seed"] == 1
    assert one["apls"] != other["apls"]
