"""Training on georeferenced imagery with a road layer or a mask of another grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from roadgis.errors import DataError, InputError, ReadError, SceneError
from roadgis.labels.vector import RoadLayer
from roadgis.options.imagery import SceneOptions
from roadgis.train.data.data_checks import check_labels
from roadgis.train.data.georeferenced import open_labelled
from roadgis.train.data.holdout import hold_out
from roadgis.train.data.labelled_scene import FILL, IGNORE, known_gsd_m
from roadgis.train.data.mask_layer import MaskLayer
from roadgis.train.data.sampling import CropSampler
from roadgis.train.data.training_data import scenes_fingerprint
from tests.factories.rasters import METRIC, X0, Y0, texture, write_raster

SIDE = 128


def write_roads(path: Path, *shapes: Any, crs: str = METRIC) -> RoadLayer:
    """Write shapes given in METRIC as a layer in another CRS, and open it."""
    geopandas.GeoDataFrame(geometry=list(shapes), crs=METRIC).to_crs(crs).to_file(path)
    return RoadLayer.open(path, width_m=8)


def across(row: float, x0: float = X0, length: float = SIDE) -> Any:
    """Return a line along the middle of a row of the image."""
    return shapely.LineString([(x0 - 20, Y0 - row), (x0 + length + 20, Y0 - row)])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", texture(SIDE, SIDE))


def whole(scene: Any) -> tuple[Any, Any]:
    image, labels = scene.read(0, 0, scene.height, scene.width)
    np.testing.assert_array_equal(scene.read_labels(0, 0, scene.height, scene.width), labels)
    return image, labels


def seen(scene: Any) -> tuple[Any, Any]:
    """Return image and labels of the valid part; the grid is larger than the image."""
    image, labels = whole(scene)
    rows, cols = (np.flatnonzero((labels != IGNORE).any(axis=axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return image[part], labels[part]


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4326", "EPSG:3857"])
def test_open_labelled_burns_lines_of_any_crs(tmp_path: Path, image: Path, crs: str) -> None:
    (scene,) = open_labelled(
        [image], write_roads(tmp_path / "r.gpkg", across(40), crs=crs), gsd_m=1
    )
    values, labels = seen(scene)
    np.testing.assert_array_equal(values, np.moveaxis(texture(SIDE, SIDE), 0, -1))
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[36:44] = 1
    np.testing.assert_array_equal(labels, expected)
    assert scene.name == "scene"


def test_open_labelled_labels_follow_the_resolution(tmp_path: Path, image: Path) -> None:
    (scene,) = open_labelled([image], write_roads(tmp_path / "r.gpkg", across(40)), gsd_m=2)
    labels = seen(scene)[1]
    assert labels.shape == (SIDE // 2, SIDE // 2)
    np.testing.assert_array_equal(np.flatnonzero(labels.any(axis=1)), range(18, 22))


def test_open_labelled_scales_16_bit_imagery_as_prediction_does(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", texture(SIDE, SIDE, bands=4, dtype="uint16"))
    options = SceneOptions(bands=(4, 3, 2), value_range=(0, 4000))
    (scene,) = open_labelled(
        [path], write_roads(tmp_path / "r.gpkg", across(40)), gsd_m=1, options=options
    )
    expected = texture(SIDE, SIDE, bands=4, dtype="uint16")[[3, 2, 1]] / 4000 * 255
    assert np.abs(seen(scene)[0] - np.moveaxis(expected, 0, -1)).max() <= 1


def test_open_labelled_ignores_pixels_without_image(tmp_path: Path) -> None:
    mask = np.ones((SIDE, SIDE), bool)
    mask[:, :50] = False
    path = write_raster(tmp_path / "s.tif", texture(SIDE, SIDE), mask=mask)
    (scene,) = open_labelled([path], write_roads(tmp_path / "r.gpkg", across(40)), gsd_m=1)
    values, labels = whole(scene)
    assert (labels != IGNORE).sum() == SIDE * (SIDE - 50)
    assert (labels == 1).sum() == 8 * (SIDE - 50)
    assert (values[labels == IGNORE] == FILL).all()


def test_open_labelled_restricts_labels_and_images_to_the_area(
    tmp_path: Path, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = write_raster(tmp_path / "west.tif", texture(SIDE, SIDE), x0=X0 - 1000)
    roads = write_roads(tmp_path / "r.gpkg", across(40), across(40, x0=X0 - 1000))
    box = shapely.box(X0 + 10, Y0 - 60, X0 + 40, Y0 - 20)
    area = tmp_path / "area.geojson"
    geopandas.GeoSeries([box], crs=METRIC).to_crs("EPSG:4326").to_file(area)
    (scene,) = open_labelled([image, far], roads, gsd_m=1, area=area)
    values, labels = whole(scene)
    assert (labels != IGNORE).sum() == 30 * 40
    assert (labels == 1).sum() == 30 * 8
    assert (values[labels == IGNORE] != FILL).any()  # the model still sees the surroundings
    assert "west.tif: lies outside the area" in caplog.text
    with pytest.raises(DataError, match="None of the 1 images touches the area"):
        open_labelled([far], roads, gsd_m=1, area=area)
    with pytest.raises(InputError, match=r"area and options\.aoi"):
        open_labelled([far], roads, gsd_m=1, area=area, options=SceneOptions(aoi=area))


def test_open_labelled_rejects_a_distant_layer(tmp_path: Path, image: Path) -> None:
    roads = write_roads(tmp_path / "r.gpkg", across(40, x0=X0 + 5000), crs="EPSG:4326")
    with pytest.raises(
        DataError,
        match=r"r\.gpkg: does not touch .*scene\.tif.* 5049\d\d .*the image (499\d|5000)\d\d ",
    ):
        open_labelled([image], roads, gsd_m=1)


def test_check_labels_warns_of_a_scene_without_road(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = [
        write_raster(tmp_path / f"{name}.tif", texture(SIDE, SIDE), x0=X0 + shift)
        for name, shift in (("with", 0), ("without", 1000))
    ]
    # A road around the second image: the extents touch.
    x = X0 + 1000
    ring = shapely.LinearRing(
        [(x - 99, Y0 + 99), (x + 299, Y0 + 99), (x + 299, Y0 - 299), (x - 99, Y0 - 299)]
    )
    roads = write_roads(tmp_path / "r.gpkg", across(40), shapely.LineString(ring))
    found = check_labels(open_labelled(images, roads, gsd_m=1))
    assert [s.class_px[1] for s in found.scenes] == [8 * SIDE, 0]
    assert "1 of 2 scenes have no pixel labelled road, first without." in caplog.text


def test_open_labelled_rejects_other_files(tmp_path: Path, image: Path) -> None:
    roads = write_roads(tmp_path / "r.gpkg", across(40))
    image.write_bytes(b"no image")
    with pytest.raises(SceneError, match=r"scene\.tif"):
        open_labelled([image], roads, gsd_m=1)


def test_scenes_fingerprint_changes_with_resolution_and_layer(tmp_path: Path, image: Path) -> None:
    roads = write_roads(tmp_path / "r.gpkg", across(40))
    found = {scenes_fingerprint(open_labelled([image], roads, gsd_m=g)) for g in (1, 1, 2)}
    other = write_roads(tmp_path / "other.gpkg", across(40), across(90))
    found.add(scenes_fingerprint(open_labelled([image], other, gsd_m=1)))
    assert len(found) == 3


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """Return scenes of several label blocks, with all, some and none of them cached."""
    folder = tmp_path_factory.mktemp("large")
    mask = np.ones((700, 900), bool)
    mask[300:350] = False
    path = write_raster(folder / "s.tif", texture(700, 900), mask=mask, pixel=0.7)
    lines = [shapely.LineString([(X0, Y0 - 77 * i), (X0 + 630, Y0 - 490 + 70 * i)])
             for i in range(7)]  # fmt: skip
    roads = write_roads(folder / "r.gpkg", *lines, crs="EPSG:4326")
    return {
        size: open_labelled([path], roads, gsd_m=0.5, cache_bytes=size)[0] for size in (0, 2**30)
    }


@settings(max_examples=25)
@given(st.data())
def test_open_labelled_windows_equal_parts_of_the_whole(large: dict[int, Any], data: Any) -> None:
    scene = large[2**30]
    image, labels = whole(scene)
    height, width = data.draw(st.integers(1, 600)), data.draw(st.integers(1, 600))
    row = data.draw(st.integers(0, scene.height - height))
    col = data.draw(st.integers(0, scene.width - width))
    part = np.s_[row : row + height, col : col + width]
    for found in large.values():
        image_there, labels_there = found.read(row, col, height, width)
        np.testing.assert_array_equal(image_there, image[part])
        np.testing.assert_array_equal(labels_there, labels[part])
        np.testing.assert_array_equal(found.read_labels(row, col, height, width), labels[part])


def test_crop_sampler_of_georeferenced_scenes_has_road(large: dict[int, Any]) -> None:
    sampler = CropSampler([large[2**30]], crop_px=128, seed=0)
    crops = [sampler.crop(number)[1] for number in range(20)]
    assert np.mean([(labels == 1).mean() >= 0.02 for labels in crops]) >= 0.5
    assert all((labels != IGNORE).mean() >= 0.5 for labels in crops)


class TestMaskLayer:
    def write(self, tmp_path: Path, values: Any, **options: Any) -> Path:
        return write_raster(tmp_path / "mask.tif", np.asarray(values, np.uint8)[None], **options)

    def test_mask_layer_reads_the_nearest_pixel_of_finer_masks(
        self, tmp_path: Path, image: Path
    ) -> None:
        values = np.zeros((2 * SIDE, 2 * SIDE))
        values[60:80, 30:] = 255
        # nodata of a mask is a class like others, mostly other than road
        path = self.write(tmp_path, values, pixel=0.5, nodata=0)
        (scene,) = open_labelled([image], MaskLayer.open(path), gsd_m=1)
        expected = np.zeros((SIDE, SIDE), np.uint8)
        expected[30:40, 15:] = 1
        np.testing.assert_array_equal(seen(scene)[1], expected)

    def test_mask_layer_is_ignored_outside(self, tmp_path: Path, image: Path) -> None:
        path = self.write(tmp_path, np.ones((40, 50)), x0=X0 + 20, y0=Y0 - 30)
        (scene,) = open_labelled([image], MaskLayer.open(path), gsd_m=1)
        labels = whole(scene)[1]
        assert (labels == 1).sum() == (labels != IGNORE).sum() == 40 * 50

    def test_mask_layer_in_another_crs_keeps_its_classes(self, tmp_path: Path, image: Path) -> None:
        # About 0.6 m per pixel in degrees around the image.
        corner = geopandas.GeoSeries([shapely.Point(X0 - 20, Y0 + 20)], crs=METRIC)
        point = corner.to_crs("EPSG:4326")[0]
        values = np.zeros((400, 400))
        values[200:] = 2
        values[:20] = IGNORE
        path = self.write(tmp_path, values, crs="EPSG:4326", x0=point.x, y0=point.y, pixel=6e-6)
        layer = MaskLayer.open(path, classes=("other", "road", "roof"))
        (scene,) = open_labelled([image], layer, gsd_m=1)
        labels = whole(scene)[1]
        assert set(np.unique(labels)) == {0, 2, IGNORE}
        share = (labels == 2).sum() / (labels != IGNORE).sum()
        # 200 rows of 6e-6 degrees are 133 m, 20 m of them lie north of the image.
        assert share == pytest.approx((SIDE - 113.4) / SIDE, abs=0.03)

    def test_mask_layer_rejects_values_beyond_the_classes(
        self, tmp_path: Path, image: Path
    ) -> None:
        path = self.write(tmp_path, np.full((SIDE, SIDE), 7))
        layer = MaskLayer.open(path, classes=("other", "road"))
        (scene,) = open_labelled([image], layer, gsd_m=1)
        with pytest.raises(DataError, match=r"mask\.tif: found mask values \[7\]; .* 0 to 1"):
            check_labels([scene], ("other", "road"))

    def test_mask_layer_rejects_masks_without_crs_or_of_several_bands(self, tmp_path: Path) -> None:
        path = write_raster(tmp_path / "m.tif", texture(8, 8)[:1], crs=None)
        with pytest.raises(DataError, match="no coordinate reference system"):
            MaskLayer.open(path)
        with pytest.raises(DataError, match="has 3 bands of uint8"):
            MaskLayer.open(write_raster(path, texture(8, 8)))
        path.write_bytes(b"no raster")
        with pytest.raises(DataError, match="cannot be read as a raster mask"):
            MaskLayer.open(path)

    def test_mask_layer_rejects_a_truncated_file(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, np.ones((SIDE, SIDE)))
        path.write_bytes(path.read_bytes()[:-SIDE])
        with pytest.raises(ReadError, match=r"mask\.tif: the file is not whole"):
            MaskLayer.open(path)

    def test_open_labelled_rejects_a_distant_mask(self, tmp_path: Path, image: Path) -> None:
        path = self.write(tmp_path, np.ones((9, 9)), x0=X0 + 5000)
        with pytest.raises(DataError, match="does not touch"):
            open_labelled([image], MaskLayer.open(path), gsd_m=1)


@pytest.mark.parametrize(
    ("bounds", "gsd_m"), [((0.4, 1.2), 1.0), ((1.5, 2.0), 1.5), ((0.25, 0.5), 0.5)]
)
def test_open_labelled_keeps_pixel_sizes_within_the_range(
    tmp_path: Path, image: Path, bounds: tuple[float, float], gsd_m: float
) -> None:
    roads = write_roads(tmp_path / "roads.gpkg", across(64))
    (scene,) = open_labelled([image], roads, gsd_m=bounds)
    assert known_gsd_m(scene) == pytest.approx(gsd_m)
    # The road is 8 m wide.
    assert (whole(scene)[1] == 1).sum(axis=0).max() == pytest.approx(8 / gsd_m, abs=1)
    (part, *_), _ = hold_out([scene], share=0.3, block_px=32, seed=1)
    assert known_gsd_m(part) == known_gsd_m(scene)
