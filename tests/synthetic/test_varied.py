"""Varied scenes: drawn from a seed alone, with masks that agree with their lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import shapely
from shapely import LineString

from roadgis.errors import InputError, OutputError
from roadgis.options.synthetic import TrainingSetOptions, VariedOptions
from roadgis.synthetic import VariedScene, write_town, write_training_set
from roadgis.synthetic.varied import IGNORE
from roadgis.synthetic.varied.canvas import Box, Canvas
from roadgis.synthetic.varied.climate import PLACES, World, draw_world
from roadgis.synthetic.varied.land import Land
from roadgis.synthetic.varied.light import shaded
from roadgis.synthetic.varied.linear import MAKERS
from roadgis.synthetic.varied.networks import Street
from roadgis.synthetic.varied.pavement import surface_of
from roadgis.synthetic.varied.roofs import draw_hall
from roadgis.synthetic.varied.sites import draw_car_park
from roadgis.train.data.pairs import find_pairs

SIZE = 160
FILLET_M = 4.0
SMALL = TrainingSetOptions(scenes=3, size_px=96, seed=3)


def scene(number: int, gsd_m: float = 0.7) -> VariedScene:
    return VariedScene(VariedOptions(SIZE, gsd_m, seed=1, number=number))


@pytest.fixture(scope="module")
def scenes() -> list[VariedScene]:
    return [scene(number) for number in range(16)]


@pytest.fixture
def canvas() -> Canvas:
    return Canvas(128, 0.5, 0, np.random.default_rng(1))


@pytest.fixture
def world() -> World:
    return draw_world(np.random.default_rng(1))


def centres(gsd_m: float) -> npt.NDArray[np.object_]:
    """Return the pixels' centres as points, (SIZE, SIZE)."""
    place = (np.arange(SIZE) + 0.5) * gsd_m
    x, y = np.meshgrid(place, place)
    return shapely.points(x, y)


def excess(drawn: VariedScene, widths: list[float]) -> npt.NDArray[np.float64]:
    """Return each pixel's distance from the nearest road's edge, negative inside."""
    points = centres(drawn.options.gsd_m)
    found = np.full((SIZE, SIZE), np.inf)
    for street, width in zip(drawn.streets, widths, strict=True):
        found = np.minimum(found, shapely.distance(points, street.line) - width / 2)
        if street.bulb is not None and width == street.width_m:
            found = np.minimum(found, shapely.distance(points, street.bulb) - 8.5)
    return found


def test_varied_scene_is_reproducible() -> None:
    a, b = scene(3), scene(3)
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.mask(), b.mask())
    assert (shapely.to_wkb(a.centerlines.edges) == shapely.to_wkb(b.centerlines.edges)).all()


def test_varied_scene_varies_in_place_brightness_contrast_and_colour(
    scenes: list[VariedScene],
) -> None:
    assert len({drawn.world.place for drawn in scenes}) >= 5
    assert len({drawn.world.climate for drawn in scenes}) >= 5
    means = np.array([drawn.image.mean((0, 1)) for drawn in scenes])
    deviations = np.array([drawn.image.mean(2).std() for drawn in scenes])
    assert np.ptp(means.mean(1)) > 60
    assert np.ptp(means[:, 0] - means[:, 2]) > 30
    assert deviations.max() > 2.5 * deviations.min()


def test_varied_scene_roads_vary_in_width_and_brightness(
    scenes: list[VariedScene],
) -> None:
    widths = [street.width_m for drawn in scenes for street in drawn.streets]
    assert min(widths) < 5
    assert max(widths) > 15
    contrast = []
    for drawn in scenes:
        grey, mask = drawn.image.mean(2), drawn.mask()
        if (mask == 1).sum() > 200:
            contrast.append(grey[mask == 1].mean() - grey[mask == 0].mean())
    assert min(contrast) < -10
    assert max(contrast) > 10


def test_varied_scene_image_has_no_pure_black_or_white(scenes: list[VariedScene]) -> None:
    """Training takes blocks of pure black or white as collars."""
    assert min(drawn.image.min() for drawn in scenes) > 2
    assert max(drawn.image.max() for drawn in scenes) < 253


def test_varied_scene_mask_is_road_within_half_the_width(scenes: list[VariedScene]) -> None:
    for drawn in scenes[:8]:
        distance = excess(drawn, [street.width_m for street in drawn.streets])
        mask = drawn.mask()
        # Buffers are polygons: slightly narrower in bends than the true distance.
        assert (mask[distance < -0.15] == 1).all()
        # Only rounded kerbs at junctions reach further out.
        assert (mask[distance > FILLET_M] != 1).all()
        beyond = (distance > 0.01) & (mask == 1)
        assert beyond.sum() <= 0.15 * (mask == 1).sum()
        assert set(np.unique(mask)) <= {0, 1, IGNORE}


def test_varied_scene_mask_of_lines_ignores_the_rest_of_the_road() -> None:
    drawn = next(s for s in map(scene, range(50)) if s.road_mask.mean() > 0.1)
    distance = excess(drawn, [2.0] * len(drawn.streets))
    mask = drawn.mask(2.0)
    assert (mask[distance < -0.05] == 1).all()
    assert (mask[distance > 0.01] != 1).all()
    assert (mask[drawn.road_mask & (distance > 0.01)] == IGNORE).all()


def test_varied_scene_centerlines_lie_on_the_mask(
    scenes: list[VariedScene],
) -> None:
    for drawn in scenes[:8]:
        network, grid = drawn.centerlines, drawn.grid
        widths = {street.width_m for street in drawn.streets}
        assert set(network.width_m.tolist()) <= widths
        points = shapely.get_coordinates(shapely.segmentize(network.edges, 1.0))
        cols, rows = ((points - [grid.x0, grid.y0]) * [1, -1] / grid.gsd_m).T
        inside = (np.minimum(cols, rows) > 0.5) & (np.maximum(cols, rows) < SIZE - 0.5)
        mask = drawn.mask()
        assert (mask[rows[inside].astype(int), cols[inside].astype(int)] == 1).all()


def test_varied_scene_medians_are_not_road() -> None:
    line = LineString([(0, 50), (100, 50)])
    pair = [Street(shapely.offset_curve(line, d), 8.0, "carriageway") for d in (-5.5, 5.5)]
    assert surface_of(pair).intersection(line).is_empty
    assert surface_of(pair).area == pytest.approx(2 * (800 + np.pi * 16), rel=0.01)


def test_varied_scene_without_roads() -> None:
    drawn = next(s for s in map(scene, range(200)) if s.world.place == "roadless")
    assert not drawn.streets
    assert not (drawn.mask() == 1).any()
    assert len(drawn.centerlines) == 0


def test_draw_world_draws_every_place() -> None:
    assert {scene(number).world.place for number in range(120)} == set(PLACES)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_draw_linear_changes_the_picture_not_the_mask(
    name: str, canvas: Canvas, world: World
) -> None:
    """Only faint tracks are ignored; everything else is not road."""
    canvas.colour[:] = 100
    land = Land([], np.zeros((canvas.side, canvas.side), np.uint8), np.ones_like(canvas.height))
    for _ in range(4):
        MAKERS[name](canvas, world, land).done()
    assert (np.abs(canvas.colour - 100).max(2) > 3).any()
    assert canvas.ignore.any() == (name == "track")


def test_varied_scene_halls_are_not_road(canvas: Canvas, world: World) -> None:
    canvas.ignore[:] = True
    box = Box(32, 32, 0.3, 30, 20)
    level = np.array([0.0, 0.0])
    draw_hall(canvas, World(**{**vars(world), "lean": tuple(level)}), box, 8.0)
    local = canvas.local(box)
    assert local is not None
    assert not canvas.ignore[local.at][local.inside].any()
    assert (canvas.height[local.at][local.inside] >= 8).all()


def test_draw_car_park_ignores_aisles_only(canvas: Canvas) -> None:
    draw_car_park(canvas, Box(32, 32, 0.0, 40, 16), 1)
    middle, stall = canvas.index(32), canvas.index(38.5)
    assert canvas.ignore[middle, middle]
    assert not canvas.ignore[stall, middle]
    assert canvas.ignore.sum() == pytest.approx(40 * 6 / canvas.step**2, rel=0.05)


@pytest.mark.parametrize(
    ("sun", "row", "col"), [((1.0, 0.0), 0, 8), ((0.0, -1.0), -8, 0), ((0.6, 0.8), 6, 5)]
)
def test_light_scene_shadows_fall_away_from_the_sun(
    sun: tuple[float, float], row: int, col: int
) -> None:
    """A mast of 10 m casts a shadow of 10 m at a solar elevation of 45 degrees."""
    height = np.zeros((41, 41), np.float32)
    height[20, 20] = 10
    top = shaded(height, sun, step=1.0)
    assert top[20 + row, 20 + col] > 0
    assert top[20 - row, 20 - col] == 0
    reach = np.hypot(*(np.argwhere(top > 0) - 20).T)
    assert 8 <= reach.max() <= 11


def test_write_town_of_a_varied_scene_is_georeferenced_and_equal(tmp_path: Path) -> None:
    drawn = VariedScene(VariedOptions(SIZE, 0.5, seed=2, jpeg_quality=0))
    write_town(drawn, tmp_path / "scene.tif", tmp_path / "roads.geojson")
    with rasterio.open(tmp_path / "scene.tif") as dataset:
        assert dataset.transform == drawn.grid.transform
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, 2), drawn.image)
    assert (tmp_path / "roads.geojson").exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_training_set(SMALL, folder)
    return folder


def test_write_training_set_writes_pairs(written: Path) -> None:
    pairs = find_pairs(written)
    assert [pair.name for pair in pairs] == ["000000", "000001", "000002"]
    sizes = set()
    for pair in pairs:
        with rasterio.open(pair.image) as image, rasterio.open(pair.mask) as mask:
            assert image.shape == mask.shape == (96, 96)
            assert image.transform == mask.transform
            assert image.compression.name == "jpeg"
            assert set(np.unique(mask.read())) <= {0, 1, IGNORE}
            sizes.add(image.res[0])
    assert len(sizes) == 3
    assert all(0.3 <= size <= 1.2 for size in sizes)


def test_write_training_set_in_parts_is_equal(written: Path, tmp_path: Path) -> None:
    write_training_set(TrainingSetOptions(scenes=1, first=2, size_px=96, seed=3), tmp_path)
    for name in ("images", "masks"):
        assert [path.name for path in (tmp_path / name).iterdir()] == ["000002.tif"]
        part = (tmp_path / name / "000002.tif").read_bytes()
        assert part == (written / name / "000002.tif").read_bytes()


def test_write_training_set_keeps_existing_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000001.tif").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_training_set(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    assert (tmp_path / "images" / "000001.tif").read_text() == "mine"


def test_write_training_set_cancelled_leaves_complete_pairs(tmp_path: Path) -> None:
    class Stop(RuntimeError):
        pass

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise Stop

    with pytest.raises(Stop):
        write_training_set(SMALL, tmp_path, progress=stop)
    assert [pair.name for pair in find_pairs(tmp_path)] == ["000000"]


@pytest.mark.parametrize(
    ("name", "value"), [("scenes", 0), ("min_gsd_m", 0.01), ("max_gsd_m", 0.1), ("size_px", 5000)]
)
def test_training_set_options_name_values_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        TrainingSetOptions(**{name: value})
