"""``extract``, ``predict`` and ``info`` over tables and indexes of sheets, good and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pytest
import rasterio
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.errors import InputError, ReadError, SceneError
from roadgis.options.extraction import ExtractOptions
from roadgis.options.prediction import PredictOptions
from roadgis.output.provenance import read_provenance
from roadgis.pipeline import check_run, extract_roads, predict_to_file
from roadgis.sources import SourceOptions
from tests.factories.models import tiny_model
from tests.factories.rasters import cut_into_sheets
from tests.factories.roads import assert_networks_equal, write_net

SMALL = PredictOptions(block_px=128, chunk_px=64, workers=1)
SKIP = SourceOptions(on_error="skip")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """Return a folder of four sheets of 300 x 250 px."""
    return cut_into_sheets(write_net(tmp_path / "net.tif"), tmp_path / "sheets", [250], [300])


def damage_inside(path: Path) -> None:
    """Rewrite a sheet with compression and damage the data of one block."""
    with rasterio.open(path) as source:
        profile, values = source.profile, source.read()
    profile.update(compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
    with rasterio.open(path) as source:
        at = int(source.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 20)


def test_extract_of_a_table_fills_the_source_dates(sheets: Path, model: Path) -> None:
    years = {"sheet_00_00.tif": "2019", "sheet_01_01.tif": "2021-04-05"}
    lines = [f"{path.name},{years.get(path.name, '')}" for path in sorted(sheets.iterdir())]
    (sheets / "sheets.csv").write_text("\n".join(["path,date", *lines]))
    network = extract_roads(sheets / "sheets.csv", model=model)
    found = dict(zip(network.source, network.source_date, strict=True))
    assert found == {
        "sheet_00_00.tif": "2019",
        "sheet_00_01.tif": None,
        "sheet_01_00.tif": None,
        "sheet_01_01.tif": "2021-04-05",
    }
    assert_networks_equal(network, extract_roads(sheets, model=model), without=("source_date",))


def test_extract_skips_sheets_that_cannot_be_opened(
    sheets: Path, model: Path, tmp_path: Path
) -> None:
    (sheets / "sheet_00_01.tif").write_bytes(b"")
    output, options = tmp_path / "roads.gpkg", ExtractOptions(sources=SKIP)
    network = extract_roads(sheets, output, model=model, options=options)
    left = [p for p in sorted(sheets.iterdir()) if p.name != "sheet_00_01.tif"]
    assert_networks_equal(network, extract_roads(left, model=model))
    skipped = read_provenance(output)["skipped"]
    assert list(skipped) == [str(sheets / "sheet_00_01.tif")]
    assert "is not a raster that can be opened" in skipped[str(sheets / "sheet_00_01.tif")]


def test_extract_skips_a_sheet_whose_damage_shows_during_the_run(
    sheets: Path, model: Path, tmp_path: Path
) -> None:
    bad = sheets / "sheet_01_01.tif"
    damage_inside(bad)
    with pytest.raises(ReadError, match=r"sheet_01_01\.tif: reading rows"):
        extract_roads(sheets, model=model, options=ExtractOptions(predict=SMALL))
    output = tmp_path / "roads.gpkg"
    options = ExtractOptions(predict=SMALL, sources=SKIP)
    network = extract_roads(sheets, output, model=model, options=options)
    left = [p for p in sorted(sheets.iterdir()) if p != bad]
    assert_networks_equal(
        network, extract_roads(left, model=model, options=ExtractOptions(predict=SMALL))
    )
    assert list(network.provenance["skipped"]) == [str(bad)]
    assert network.provenance["inputs"] == [str(p) for p in left]
    assert not output.with_name("roads.gpkg.roadgis-work").exists()


def test_extract_fails_where_the_only_sheet_is_damaged(sheets: Path, model: Path) -> None:
    bad = sheets / "sheet_01_01.tif"
    damage_inside(bad)
    with pytest.raises(ReadError, match=r"sheet_01_01\.tif: reading rows"):
        extract_roads(bad, model=model, options=ExtractOptions(predict=SMALL, sources=SKIP))


def test_extract_does_not_overwrite_a_sheet_of_a_table(sheets: Path, model: Path) -> None:
    (sheets.parent / "sheets.csv").write_text("path\nsheets/sheet_00_00.tif")
    with pytest.raises(InputError, match=r"sheet_00_00\.tif: is an input as well"):
        predict_to_file(
            sheets.parent / "sheets.csv", sheets / "sheet_00_00.tif", model=model, overwrite=True
        )


def test_check_run_rejects_an_output_that_a_recursive_run_would_read(sheets: Path) -> None:
    output = sheets / "deeper" / "p.tif"
    output.parent.mkdir()
    check_run(sheets, None, output)
    with pytest.raises(InputError, match=r"p\.tif: would be an input of the next run"):
        check_run(
            sheets, None, output, options=ExtractOptions(sources=SourceOptions(recursive=True))
        )


def test_predict_to_file_records_skipped_sheets(sheets: Path, model: Path, tmp_path: Path) -> None:
    (sheets / "sheet_00_01.tif").write_bytes(b"")
    options = ExtractOptions(sources=SKIP)
    made_by = predict_to_file(sheets, tmp_path / "p.tif", model=model, options=options)
    assert list(made_by["skipped"]) == [str(sheets / "sheet_00_01.tif")]
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert made_by == json.loads(dataset.tags()["ROADGIS_PROVENANCE"])


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_extract_command_names_skipped_sheets_in_its_summary(
    sheets: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (sheets / "sheet_00_01.tif").write_bytes(b"")
    output = tmp_path / "roads.gpkg"
    failed = run("extract", sheets, "-o", output, "-m", model)
    assert failed.exit_code == 1
    assert "1 of 4 sheets cannot be used" in str(failed.exception)
    assert not output.exists()
    done = run("extract", sheets, "-o", output, "-m", model, "--on-error", "skip")
    assert done.exit_code == 0, done.output
    said = "".join(capfd.readouterr()) + done.output
    assert f"1 sheet skipped ({sheets / 'sheet_00_01.tif'})" in said
    assert len(geopandas.read_file(output, layer="edges"))


def test_predict_command_reports_skipped_sheets_as_json(
    sheets: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (sheets / "sheet_00_01.tif").write_bytes(b"")
    done = run(
        "predict", sheets, "-o", tmp_path / "p.tif", "-m", model, "--on-error", "skip",
        "--progress", "jsonl",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert list(result["skipped"]) == [str(sheets / "sheet_00_01.tif")]


def test_info_command_describes_the_sheets_of_an_index(sheets: Path, model: Path) -> None:
    (sheets / "broken.tif").write_bytes(b"")
    arguments = ("info", sheets, "-m", model, "--json")
    facts = json.loads(run(*arguments).stdout)
    assert not facts["usable"]
    assert "1 of 5 sheets cannot be used" in facts["reason"]
    facts = json.loads(run(*arguments, "--on-error", "skip").stdout)
    assert facts["usable"]
    assert len(facts["inputs"]) == 4
    assert list(facts["skipped"]) == [str(sheets / "broken.tif")]


def test_extract_roads_without_usable_sheets_is_an_error(sheets: Path, model: Path) -> None:
    for path in sheets.iterdir():
        path.write_bytes(b"")
    with pytest.raises(SceneError, match="4 of 4 sheets cannot be used"):
        extract_roads(sheets, model=model, options=ExtractOptions(sources=SKIP))
