"""Damaged tags of a probability raster: a warning, and the values used without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from roadgis.cli.commands.vectorize import command as vectorize
from roadgis.probability.raster import open_probability
from roadgis.probability.tags import stored_divisor, stored_provenance
from tests.factories.rasters import write_raster


@pytest.fixture
def road(tmp_path: Path) -> Path:
    """Return a raster of 0 and 254 with one road."""
    values = np.zeros((1, 64, 128), np.uint8)
    values[:, 28:36] = 254
    return write_raster(tmp_path / "p.tif", values)


@pytest.mark.parametrize("text", ["0", "-254", "nan", "inf", "1e400", "", "x", "254 254"])
def test_stored_divisor_that_is_not_a_positive_number_is_ignored_with_a_warning(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert stored_divisor({"ROADGIS_PROBABILITY": text}, "p.tif") is None
    assert "p.tif: the tag ROADGIS_PROBABILITY is" in caplog.text


def test_stored_divisor_is_the_tag_and_none_without_it(caplog: pytest.LogCaptureFixture) -> None:
    assert stored_divisor({"ROADGIS_PROBABILITY": "254"}, "p.tif") == 254
    assert stored_divisor({}, "p.tif") is None
    assert not caplog.text


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "3", '{"grid": NaN}', '{"model": 1e999}', "[" * 100_000]
)
def test_stored_provenance_that_is_damaged_is_ignored_with_a_warning(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert stored_provenance({"ROADGIS_PROVENANCE": text}, "p.tif") == {}
    assert "p.tif: the tag ROADGIS_PROVENANCE is damaged" in caplog.text


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 7, "0.4", None, [0.4], True])
def test_stored_provenance_drops_an_invalid_threshold(
    threshold: object, caplog: pytest.LogCaptureFixture
) -> None:
    text = json.dumps({"threshold": threshold, "model": {"name": "m"}})
    assert stored_provenance({"ROADGIS_PROVENANCE": text}, "p.tif") == {"model": {"name": "m"}}
    assert "the threshold in the tag ROADGIS_PROVENANCE is" in caplog.text


def test_vectorize_of_a_raster_with_damaged_tags_finds_its_road(road: Path) -> None:
    with rasterio.open(road, "r+") as dataset:
        dataset.update_tags(ROADGIS_PROBABILITY="x", ROADGIS_PROVENANCE='{"threshold": "y"')
    with open_probability(road) as source:
        assert source.threshold == 0.5
        assert source.provenance["inputs"] == [str(road)]
    out = road.with_name("out.geojson")
    result = CliRunner().invoke(vectorize, [str(road), "-o", str(out), "--progress", "none"])
    assert result.exit_code == 0, result.output
    (feature,) = json.loads(out.read_text())["features"]
    assert feature["properties"]["length_m"] == pytest.approx(128, abs=2)
