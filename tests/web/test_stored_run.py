"""Networks of a stored run with other settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from roadgis.errors import ReadError
from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.probability.mosaic import Mosaic
from roadgis.raster_pipeline import vectorize_file
from roadgis.web.stored_run import StoredRun, stored_run
from tests.factories.rasters import write_raster
from tests.factories.roads import NET, UTM, ArraySource, road


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a work directory with certain and uncertain roads, 600 by 500 pixels."""
    sure, unsure = road((500, 600), *NET[:3]), road((500, 600), *NET[3:])
    values = np.maximum(sure, unsure // 2)
    values[:, 300:320] = 0  # a gap
    _write(tmp_path / "work", values)
    return tmp_path / "work"


def _write(folder: Path, values: np.ndarray) -> None:
    grid = ArraySource(values).grid
    Mosaic.create(folder, grid, {"model": "m"}, chunk_px=256).write(grid.window, values)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_raster(
        tmp_path / "sheet.tif", np.zeros((3, 500, 600), np.uint8),
        crs=UTM.to_string(), x0=500_000.0, y0=5_000_000.0,
    )  # fmt: skip


def options(threshold: float, max_gap_m: float = 30.0) -> ExtractOptions:
    bridge = BridgeOptions(max_gap_m=max_gap_m)
    return ExtractOptions(threshold=threshold, clean=CleanOptions(bridge=bridge))


@pytest.mark.parametrize("wanted", [options(0.3), options(0.7), options(0.7, 0.0)])
def test_stored_run_gives_the_network_of_vectorize(
    work: Path, sheet: Path, wanted: ExtractOptions
) -> None:
    run = StoredRun(work, [sheet], None)
    run.network(options(0.7))
    found, expected = run.network(wanted), vectorize_file(work, options=wanted)
    assert len(found) > 3
    assert shapely.equals_exact(found.edges, expected.edges).all()
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    assert found.provenance == expected.provenance
    assert set(found.source) == {"sheet.tif"}


def test_stored_run_reads_the_probability_once(work: Path, sheet: Path) -> None:
    before = vectorize_file(work, options=options(0.3))
    stored_run(work, [sheet], None).network(options(0.7))
    (chunks,) = work.glob("chunks-*")
    shutil.rmtree(chunks)
    found = stored_run(work, [sheet], None).network(options(0.3))
    assert shapely.equals_exact(found.edges, before.edges).all()


def test_stored_run_notices_another_run_in_the_folder(work: Path, sheet: Path) -> None:
    assert len(stored_run(work, [sheet], None).network(options(0.5))) > 3
    shutil.rmtree(work)
    _write(work, road((500, 600), (10, 250, 590, 250, 8)))
    assert len(stored_run(work, [sheet], None).network(options(0.5))) == 1


def test_stored_run_names_a_missing_work_directory(tmp_path: Path, sheet: Path) -> None:
    with pytest.raises(ReadError, match=r"found no mosaic\.json"):
        stored_run(tmp_path / "none", [sheet], None)
