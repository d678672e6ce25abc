"""The pixel size of a scene: that of the imagery within the range of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadgis.errors import ModelError, SceneError
from roadgis.imagery.scene import open_scene
from roadgis.model.card import ModelCard
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import write_raster

RANGE = (0.4, 1.2)


def scene_of(path: Path, pixel_m: float) -> Path:
    return write_raster(path, np.full((3, 90, 90), 80, np.uint8), pixel=pixel_m)


@pytest.mark.parametrize(
    ("pixel_m", "expected"), [(0.2, 0.4), (0.4, 0.4), (0.76, 0.76), (1.2, 1.2), (2.0, 1.2)]
)
def test_open_scene_keeps_the_pixel_size_of_the_imagery_within_the_range(
    tmp_path: Path, pixel_m: float, expected: float
) -> None:
    with open_scene(scene_of(tmp_path / "a.tif", pixel_m), gsd_m=RANGE) as scene:
        assert scene.grid.gsd_m == expected


def test_open_scene_uses_the_pixel_size_of_most_inputs(tmp_path: Path) -> None:
    sizes = (1.0, 0.5, 0.5)
    names = [scene_of(tmp_path / f"{n}.tif", size) for n, size in enumerate(sizes)]
    with open_scene(names, gsd_m=RANGE) as scene:
        assert scene.grid.gsd_m == 0.5


def test_open_scene_at_a_given_pixel_size(tmp_path: Path) -> None:
    options = SceneOptions(gsd_m=0.8)
    with open_scene(scene_of(tmp_path / "a.tif", 0.5), gsd_m=RANGE, options=options) as scene:
        assert scene.grid.gsd_m == 0.8


def test_open_scene_rejects_imagery_far_coarser_than_the_range(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"pixels of 4 m on the ground, far too coarse"):
        open_scene(scene_of(tmp_path / "a.tif", 4.0), gsd_m=RANGE)


@pytest.mark.parametrize("wrong", [(1.2, 0.4), (0.0, 1.0), (1.0,)])
def test_model_card_rejects_a_range_in_descending_order(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="gsd_range_m"):
        ModelCard("m", "1", gsd_range_m=wrong)  # type: ignore[arg-type]


def test_model_card_keeps_its_range_in_json() -> None:
    card = ModelCard("m", "1", gsd_range_m=RANGE)
    assert ModelCard.from_json(card.to_json(), "m") == card
    assert card.working_gsd_m == RANGE
    assert ModelCard("m", "1", gsd_m=0.5).working_gsd_m == 0.5
