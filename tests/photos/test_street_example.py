"""The drawn streets of the examples, and the small model that was trained on them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
import street  # noqa: E402  (a script, not a package)

from roadgis.model.runtime import load_model  # noqa: E402
from roadgis.photos.frame_labels import FrameSegmenter  # noqa: E402


def test_street_is_the_same_for_the_same_seed() -> None:
    image, labels = street.street(3, at=5.0, seconds=1.0)
    again, labels_again = street.street(3, at=5.0, seconds=1.0)
    assert image.shape == (360, 640, 3)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(labels, labels_again)


def test_street_has_the_road_below_and_the_sky_above() -> None:
    _, labels = street.street(3)
    assert (labels[-1, 200:440] == street.ROAD).all()
    assert labels[0, 320] == street.OTHER
    assert set(np.unique(labels)) == set(range(len(street.CLASSES)))


def test_view_puts_a_place_at_eye_level_on_the_horizon() -> None:
    view = street.View(at=0.0, bend=0.0, light=1.0)
    assert view.pixels([(0.0, street.CAMERA, 50.0)]).tolist() == [[320, 162]]
    assert view.pixels([(5.0, 0.0, 10.0)]).tolist() == [[482, 207]]


def test_example_model_finds_the_classes_of_streets_it_has_not_seen() -> None:
    model = FrameSegmenter(load_model(str(EXAMPLES / "street.onnx")))
    both, either = np.zeros(6), np.zeros(6)
    for seed in range(1000, 1008):
        image, truth = street.street(seed, at=20.0, seconds=2.0)
        found = model.labels(image)
        for label in range(6):
            both[label] += ((found == label) & (truth == label)).sum()
            either[label] += ((found == label) | (truth == label)).sum()
    iou = dict(zip(street.CLASSES, both / either, strict=True))
    assert iou["road"] > 0.94, iou
    assert min(iou.values()) > 0.65, iou


def test_data_set_has_a_mask_for_each_picture(tmp_path: Path) -> None:
    import cv2

    street.write_data_set(tmp_path, range(2), 64)
    names = ["0000.png", "0001.png"]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == names
    mask = cv2.imread(str(tmp_path / "masks" / "0001.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (64, 114)
    assert mask[-1, 57] == street.ROAD
