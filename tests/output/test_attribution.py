"""Licence and attribution of a model are written into all its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rasterio

from roadgis.comparison import compare
from roadgis.model.card import ModelCard, named_models
from roadgis.network.from_lines.clean_lines import clean_lines
from roadgis.options.extraction import ExtractOptions
from roadgis.options.prediction import PredictOptions
from roadgis.output import provenance as provenance_module
from roadgis.output import read_provenance, write_network
from roadgis.pipeline import extract_roads, predict_to_file
from roadgis.raster_pipeline import vectorize_file
from tests.factories.models import tiny_card, tiny_model
from tests.factories.roads import write_net

TERMS: dict[str, Any] = {
    "training_data": "Drawn roads",
    "licence": "CC BY-SA 4.0",
    "attribution": ["Imagery: A Survey.", "Labels: B contributors, ODbL."],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a scene, a model and the outputs of extract."""
    folder = tmp_path_factory.mktemp("made")
    fields = TERMS | {"attribution": tuple(TERMS["attribution"])}
    tiny_model(folder / "m.onnx", name="ours", version="7", **fields)
    write_net(folder / "scene.tif")
    extract_roads(
        folder / "scene.tif",
        folder / "roads.gpkg",
        model=folder / "m.onnx",
        probability=folder / "p.tif",
        options=ExtractOptions(
            predict=PredictOptions(block_px=256, chunk_px=256),
            work_dir=folder / "work",
            keep_work=True,
        ),
    )
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> dict[str, Any]:
    """Return the expected model entry of outputs."""
    said: dict[str, Any] = read_provenance(folder / "roads.gpkg")["model"]
    assert len(said["sha256"]) == 64
    assert said == {"name": "ours", "version": "7", "sha256": said["sha256"], **TERMS}
    return said


def tag(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as dataset:
        made_by: dict[str, Any] = json.loads(dataset.tags()["ROADGIS_PROVENANCE"])
    return made_by


def test_extract_writes_the_terms_into_roads_and_probability(
    folder: Path, model: dict[str, Any]
) -> None:
    assert tag(folder / "p.tif")["model"] == model
    write_network(vectorize_file(folder / "p.tif"), folder / "roads.geojson")
    assert json.loads((folder / "roads.geojson").read_text())["roadgis"]["model"] == model


def test_vectorize_of_a_work_directory_keeps_the_terms(folder: Path, model: dict[str, Any]) -> None:
    assert vectorize_file(folder / "work").provenance["model"] == model


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_clean_keeps_the_terms_of_extracted_roads(
    tmp_path: Path, folder: Path, model: dict[str, Any], suffix: str
) -> None:
    roads = tmp_path / f"roads{suffix}"
    write_network(vectorize_file(folder / "p.tif"), roads)
    clean_lines(roads, tmp_path / "clean.gpkg")
    assert read_provenance(tmp_path / "clean.gpkg")["model"] == model


def test_clean_keeps_the_terms_of_the_probability(
    tmp_path: Path, folder: Path, model: dict[str, Any]
) -> None:
    drawn = vectorize_file(folder / "p.tif").to_geodataframe()[["geometry"]]
    drawn.to_file(tmp_path / "drawn.gpkg")
    assert "model" not in clean_lines(tmp_path / "drawn.gpkg").provenance
    cleaned = clean_lines(tmp_path / "drawn.gpkg", probability=folder / "p.tif")
    assert cleaned.provenance["model"] == model


def test_compare_names_the_model_of_the_extraction(
    tmp_path: Path, folder: Path, model: dict[str, Any]
) -> None:
    roads = folder / "roads.gpkg"
    compare(roads, vectorize_file(folder / "p.tif"), tmp_path / "review.geojson")
    assert json.loads((tmp_path / "review.geojson").read_text())["roadgis"]["model"] == model


def test_vectorize_of_rasters_of_several_runs_names_all_models(
    tmp_path: Path, folder: Path, model: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    west, east = (write_net(tmp_path / f"{x:.0f}.tif", x0=x) for x in (500_000.0, 500_600.0))
    predict_to_file(west, tmp_path / "a.tif", model=folder / "m.onnx")
    predict_to_file(east, tmp_path / "b.tif", model=folder / "m.onnx")
    made_by = vectorize_file([tmp_path / "a.tif", tmp_path / "b.tif"]).provenance
    assert made_by["model"] == model
    assert made_by["inputs"] == [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    assert "threshold" not in caplog.text
    other = tiny_model(tmp_path / "other.onnx", name="other", threshold=0.4)
    predict_to_file(east, tmp_path / "b.tif", model=other, overwrite=True)
    made_by = vectorize_file([tmp_path / "a.tif", tmp_path / "b.tif"]).provenance
    assert [one["name"] for one in made_by["models"]] == ["ours", "other"]
    assert "were not made with one threshold, so 0.5 is used" in caplog.text


def test_named_models_lists_each_model_once() -> None:
    a, b = {"name": "a"}, {"name": "b"}
    assert named_models({}, {"inputs": []}) == {}
    assert named_models({"model": a}, {}, {"model": a}) == {"model": a}
    assert named_models({"model": a}, {"models": [a, b]}) == {"models": [a, b]}


def test_read_provenance_reads_only_the_head_of_geojson(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = vectorize_file(folder / "p.tif")
    write_network(network, tmp_path / "roads.geojson")
    whole = read_provenance(tmp_path / "roads.geojson")
    text = (tmp_path / "roads.geojson").read_text()
    assert whole == json.loads(text)["roadgis"]
    monkeypatch.setattr(provenance_module, "_GEOJSON_HEAD", text.index('"features"') + 50)
    (tmp_path / "roads.geojson").write_text(text[:-9] + "damaged at its end")
    assert read_provenance(tmp_path / "roads.geojson") == whole
    # The provenance is longer than the part that is read.
    monkeypatch.setattr(provenance_module, "_GEOJSON_HEAD", 100)
    (tmp_path / "roads.geojson").write_text(text)
    assert read_provenance(tmp_path / "roads.geojson") == whole


def test_model_card_without_attribution_is_read() -> None:
    values = json.loads(tiny_card().to_json())
    assert values.pop("attribution") == []
    assert ModelCard.from_json(json.dumps(values), "here").attribution == ()
