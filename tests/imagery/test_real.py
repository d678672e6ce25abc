"""Real imagery opens and reads equally through windows and sheets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadgis.errors import SceneError
from roadgis.imagery.grid import Window
from roadgis.imagery.scene import open_scene
from roadgis.options.imagery import SceneOptions
from tests.factories.rasters import cut_into_sheets

pytestmark = pytest.mark.real_data

#: File, CRS of the grid, valid pixels at 1 m in thousands.
SCENES: list[tuple[str, int, float]] = [
    ("orthophotos/CH_zurich_1091-322_0p5m_2056.tif", 2056, 131.4),
    ("orthophotos/FR_test_image_georef_0p61m_3857.tif", 32631, 176.6),
    ("orthophotos/NL_0p25m_28992.tif", 28992, 62.5),
    ("orthophotos/pix4d_alpha_nodata_0p35m_32750.tif", 32750, 56.6),
    ("orthophotos/drone_market_0p06m_32632.tif", 32632, 1.84),
    ("spacenet/vegas_img0.tif", 32611, 122.9),
    ("spacenet/vegas_pan_uint16.tif", 32611, 123.0),
    ("massachusetts/valid/images/10978795_15.tif", 26986, 2250.0),
]


@pytest.mark.parametrize(("name", "epsg", "valid_thousands"), SCENES)
def test_read_of_real_sheets_equals_the_uncut_scene(
    tmp_path: Path, real_data: Path, name: str, epsg: int, valid_thousands: float
) -> None:
    path = real_data / name
    sheets = cut_into_sheets(path, tmp_path / "sheets", [111, 402], [200, 201])
    with open_scene(path, gsd_m=1.0) as one, open_scene(sheets, gsd_m=1.0) as many:
        assert one.grid.crs.to_epsg() == epsg
        assert many.grid == one.grid
        image, valid = one.read(one.grid.window)
        found, seen = many.read(many.grid.window)
        np.testing.assert_array_equal(found, image)
        np.testing.assert_array_equal(seen, valid)
        part = Window(17, 23, 90, 31)
        np.testing.assert_array_equal(one.read(part)[0], image[17:107, 23:54])
    assert valid.sum() / 1000 == pytest.approx(valid_thousands, rel=0.01)


def test_open_scene_rejects_real_imagery_that_is_too_coarse(real_data: Path) -> None:
    path = real_data / "orthophotos/US_ND_naip_downsampled_5m_26914.tif"
    options: dict[str, Any] = {"bands": (1, 2, 3)}
    with pytest.raises(SceneError, match="far too coarse"):
        open_scene(path, gsd_m=1.0, options=SceneOptions(**options))
    with open_scene(path, gsd_m=1.0, options=SceneOptions(**options, force_gsd=True)) as scene:
        assert not scene.is_blank(scene.grid.window)


def test_read_of_real_neighbouring_sheets_has_no_gap(real_data: Path) -> None:
    folder = real_data / "massachusetts/labels_only"
    left, right = folder / "10528705_15.tif", folder / "10678705_15.tif"
    if not (left.exists() and right.exists()):
        pytest.skip("this copy of the labels lacks the two neighbours")
    with open_scene([left, right], gsd_m=1.0, band_count=1) as scene:
        assert scene.read(scene.grid.window)[1].sum() == 2 * 1500 * 1500
        assert len(scene._plan.layers) == 1
