"""Amount of labelled road: lengths and areas of masks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("skimage", reason="needs the train extra")

from roadgis.options.training_data import DataSettings
from roadgis.train.data.amount import LabelledAmount, amount_of, centreline_px, labelled_amount
from roadgis.train.data.data_checks import check_labels, count_labels
from roadgis.train.data.training_data import TrainingData
from tests.factories.pairs import ArrayScene


def scene(*rows: int, side: int = 600, width: int = 8) -> ArrayScene:
    """Return a scene with level roads of one width across it."""
    labels = np.zeros((side, side), np.uint8)
    for row in rows:
        labels[row : row + width] = 1
    return ArrayScene("s", np.zeros((side, side, 3), np.uint8), labels)


def test_centreline_px_is_the_length_of_lines() -> None:
    level = np.zeros((50, 100), np.bool_)
    level[20] = True
    assert centreline_px(level) == 99
    assert centreline_px(level.T) == 99
    assert centreline_px(np.eye(100, dtype=np.bool_)) == pytest.approx(99 * np.sqrt(2))
    assert centreline_px(np.eye(100, dtype=np.bool_)[::-1]) == pytest.approx(99 * np.sqrt(2))
    assert centreline_px(np.zeros((9, 9), np.bool_)) == 0


def test_labelled_amount_adds_up_scenes_of_different_pixel_sizes() -> None:
    scenes = [scene(100, 300), scene(500), scene()]
    found = labelled_amount(scenes, count_labels(scenes, 2, 1), [1.0, 0.5, 1.0])
    # Two roads of 600 m, one of 300 m; widths of 8 and 4 m are averaged by their area.
    assert found.road_km == pytest.approx(1.5, rel=0.15)
    assert found.area_km2 == pytest.approx(0.36 + 0.09 + 0.36)


def test_labelled_amount_without_road_is_zero() -> None:
    empty = [scene()]
    assert labelled_amount(empty, count_labels(empty, 2, 1), [1.0]) == LabelledAmount(0.0, 0.36)


def test_labelled_amount_text() -> None:
    assert str(LabelledAmount(12.34, 3.14)) == "about 12 km of road on 3.1 km²"
    assert str(LabelledAmount(1234.5, 0.0314)) == "about 1,234 km of road on 0.031 km²"


def test_amount_of_pairs_uses_the_pixel_size_of_the_settings() -> None:
    scenes = [scene(100)]
    data = TrainingData(scenes, (), check_labels(scenes), "")
    found = amount_of(data, DataSettings(gsd_m=0.5))
    assert found.road_km == pytest.approx(0.3, rel=0.03)
    assert found.area_km2 == pytest.approx(0.09)
