"""Choosing the threshold: the highest IoU, the same for stored and for exact probability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from roadgis.errors import DataError
from roadgis.model.catalog import read_card
from roadgis.model.runtime import OnnxSegmenter, load_model
from roadgis.train.dataset import Sample
from roadgis.train.threshold import (
    choose_threshold,
    histograms,
    iou_curve,
    predict_scene,
    set_threshold,
)
from tests.models import GROUND, ROAD, tiny_model
from tests.test_train_dataset import write_image

counts = hnp.arrays(np.int64, 255, elements=st.integers(0, 50))


def levels(**pixels: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = np.zeros(255, np.int64)
    for name, count in pixels.items():
        found[int(name[1:])] = count
    return found


def test_the_threshold_falls_between_what_is_road_and_what_is_not() -> None:
    choice = choose_threshold(levels(_200=10, _201=5), levels(_99=70, _100=30))
    assert choice.iou == 1.0
    assert 100 / 254 < choice.threshold < 200 / 254
    assert choice.threshold == pytest.approx(150.5 / 254, abs=0.003)  # the middle of the best


def test_the_iou_is_worked_out_by_hand() -> None:
    # Road from level 150: 6 of 10 road pixels found, with 2 others: 6 / 12.
    curve = iou_curve(levels(_150=6, _50=4), levels(_160=2, _10=100))
    assert curve[150] == pytest.approx(6 / 12)
    assert curve[151] == pytest.approx(0 / 12)
    assert curve[11] == pytest.approx(10 / 12)
    assert curve[0] == pytest.approx(10 / 112)


@given(road=counts, other=counts)
def test_no_other_threshold_does_better(
    road: np.ndarray[tuple[int], np.dtype[np.int64]],
    other: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    if road.sum() == 0:
        road[7] = 1
    choice = choose_threshold(road, other)
    stored = np.arange(255)
    for threshold, iou in choice.curve:
        taken = stored / 254 >= threshold
        hit = road[taken].sum()
        assert iou == pytest.approx(hit / (road.sum() + other[taken].sum()))
        assert iou <= choice.iou
        # As a number and as stored, the same pixels are road.
        np.testing.assert_array_equal(taken, stored >= threshold * 254)


def test_scenes_without_road_and_wrong_histograms_are_refused() -> None:
    with pytest.raises(DataError, match="hold no road pixel"):
        choose_threshold(levels(), levels(_3=5))
    with pytest.raises(DataError, match=r"expected \(255,\)"):
        choose_threshold(np.ones(256, np.int64), np.ones(256, np.int64))


def road_scene(height: int = 70, width: int = 90) -> Sample:
    image = np.full((height, width, 3), GROUND, np.uint8)
    image[30:38] = ROAD
    road = (image == ROAD).all(axis=2)
    return Sample("scene", image, road, np.ones_like(road))


def test_scenes_of_any_size_are_predicted_alike_for_any_tile(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx"))
    image = np.random.default_rng(0).integers(0, 256, (53, 70, 3), np.uint8)
    whole = predict_scene(segmenter, image, tile_px=256)
    assert whole.shape == (53, 70)
    for tile_px in (1, 12, 20, 44):
        np.testing.assert_array_equal(predict_scene(segmenter, image, tile_px=tile_px), whole)


def test_histograms_count_each_valid_pixel_once(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx"))
    scene = road_scene()
    scene.valid[:, :11] = False
    road, other = histograms(segmenter, [scene, scene])
    assert road.sum() == 2 * (scene.road & scene.valid).sum()
    assert road.sum() + other.sum() == 2 * scene.valid.sum()
    assert choose_threshold(road, other).iou > 0.95


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_chosen_threshold_and_its_score_go_into_the_card(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx", threshold=0.9)
    scene = road_scene()
    write_image(tmp_path / "valid" / "images" / "a.tif", np.moveaxis(scene.image, -1, 0))
    write_image(tmp_path / "valid" / "masks" / "a.tif", scene.road[None].astype(np.uint8))
    before = load_model(path).predict(scene.image[None, :68, :88])
    card = set_threshold(path, [tmp_path / "valid"])
    assert read_card(path) == card
    assert 0.1 < card.threshold < 0.9
    assert card.scores["iou"] > 0.95
    assert card.scores["validation"] == "valid: 1 scenes"
    np.testing.assert_array_equal(load_model(path).predict(scene.image[None, :68, :88]), before)
