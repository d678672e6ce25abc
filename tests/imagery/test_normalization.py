"""Normalized scenes: equal mean and deviation of each band, independent of windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadgis.errors import ModelError
from roadgis.imagery.grid import Window
from roadgis.imagery.sample_blocks import blocks_of_inputs, spread_blocks
from roadgis.imagery.scene import INVALID_FILL, open_scene
from roadgis.imagery.values.normalization import measure
from roadgis.model.card import ModelCard
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import X0, write_raster

TARGET = (110.0, 50.0)


def test_measure_maps_mean_and_deviation_to_the_target() -> None:
    # Mean 60 and deviation 20; mean 200 and deviation 5.
    pixels = np.array([[40, 195], [80, 205]], np.uint8)
    found = measure([pixels], 2, TARGET)
    assert (found.mean, found.std) == ((60.0, 200.0), (20.0, 5.0))
    image = np.array([[[40, 195], [60, 200], [80, 205]]], np.uint8)
    assert found.apply(image).tolist() == [[[60, 60], [110, 110], [160, 160]]]
    assert found.apply(np.array([[[0, 255]]], np.uint8)).tolist() == [[[0, 255]]]  # clipped


def test_measure_of_flat_or_no_pixels_keeps_contrast() -> None:
    flat = measure([np.full((9, 1), 7, np.uint8)], 1, TARGET)
    assert flat.apply(np.array([[[7]]], np.uint8)).item() == 110
    assert measure([], 1, TARGET).std == (1.0,)


def test_scene_is_normalized_by_its_valid_pixels(tmp_path: Path) -> None:
    values = np.full((3, 80, 80), 40, np.uint8)
    values[:, 40:] = 80
    values[:, :, 60:] = 0  # nodata, not part of the statistics
    path = write_raster(tmp_path / "a.tif", values, pixel=1.0)
    options = SceneOptions(nodata=0)
    with open_scene(path, normalize_to=TARGET, options=options) as scene:
        assert scene.normalization is not None
        assert scene.normalization.mean == (60.0, 60.0, 60.0)
        image, valid = scene.read(scene.covered)
        assert np.unique(image[valid]).tolist() == [60, 160]
        assert (image[~valid] == INVALID_FILL).all()
        whole = scene.read(scene.grid.window)[0]
        part = scene.read(Window(10, 20, 30, 40))[0]
        np.testing.assert_array_equal(part, whole[10:40, 20:60])


def test_scene_normalization_is_the_same_in_an_area_of_interest(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = write_raster(tmp_path / "a.tif", rng.integers(0, 90, (3, 90, 90), np.uint8), pixel=1.0)
    with open_scene(path) as scene:
        bounds = scene.grid.bounds
    x0, y0, x1, y1 = bounds
    area = tmp_path / "area.geojson"
    import geopandas as gpd
    import shapely

    with open_scene(path, normalize_to=TARGET) as scene:
        gpd.GeoDataFrame(
            geometry=[shapely.box(x0, y0, (x0 + x1) / 2, (y0 + y1) / 2)], crs=scene.grid.crs
        ).to_crs(4326).to_file(area)
        with open_scene(path, normalize_to=TARGET, options=SceneOptions(aoi=area)) as part:
            assert part.normalization == scene.normalization


def test_scene_fingerprint_and_record_know_the_normalization(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.full((3, 80, 80), 40, np.uint8), pixel=1.0)
    with open_scene(path) as plain, open_scene(path, normalize_to=TARGET) as other:
        assert plain.fingerprint != other.fingerprint
        assert plain.record().reading != other.record().reading
        assert other.describe()["normalization"] == {
            "mean": [40.0] * 3, "std": [1.0] * 3, "target": [110.0, 50.0]
        }  # fmt: skip


@pytest.mark.parametrize("wrong", [(300.0, 50.0), (110.0, 0.0)])
def test_model_card_rejects_a_target_out_of_range(wrong: tuple[float, float]) -> None:
    with pytest.raises(ModelError, match="normalize_to"):
        ModelCard("m", "1", normalize_to=wrong)


def test_scenes_of_sheets_far_apart_are_normalized_by_the_sheets(tmp_path: Path) -> None:
    # Blocks spread over the whole extent would miss both sheets.
    for number, value in enumerate((40, 80)):
        values = np.full((3, 300, 300), value, np.uint8)
        write_raster(tmp_path / f"{number}.tif", values, pixel=1.0, x0=X0 + 30_000 * number)
    with open_scene(tmp_path, normalize_to=TARGET) as scene:
        assert scene.normalization is not None
        assert scene.normalization.mean == (60.0, 60.0, 60.0)
        assert scene.look is not None


@pytest.mark.parametrize("count", [9, 64])
def test_blocks_of_inputs_do_not_depend_on_how_inputs_are_cut(count: int) -> None:
    extent = Window(0, 0, 8000, 8000)
    whole = np.array([[0, 0, 8000, 2000], [6000, 7000, 8000, 8000]])
    cut = np.array([[0, 0, 2500, 2000], [2500, 0, 8000, 900], [2500, 900, 8000, 2000]])
    found = blocks_of_inputs(extent, [whole], count)
    assert found == blocks_of_inputs(extent, [cut, whole[1:]], count)
    assert len(set(found)) == count
    assert {block.row > 5000 for block in found} == {True, False}
    assert blocks_of_inputs(extent, [whole, np.array([[0, 0, 8000, 8000]])], count) == (
        spread_blocks(extent, count)
    )
