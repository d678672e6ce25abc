"""Rasterized road layers: widths, CRSs, geometries, invalid layers, masks of scenes."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp
from shapely.geometry import (
    GeometryCollection,
    LineString,
    MultiLineString,
    MultiPolygon,
    Point,
    Polygon,
    box,
)

from roadgis.affine import composed
from roadgis.errors import Cancelled, DataError, InputError, OutputError, SceneError
from roadgis.labels.masks import burn_like, burn_like_each
from roadgis.labels.surfaces import road_surfaces
from roadgis.labels.vector import BurnLayer, RoadLayer
from tests.factories.rasters import METRIC, X0, Y0, write_raster

NORTH_UP = Affine(1.0, 0.0, X0, 0.0, -1.0, Y0)


def write_layer(
    path: Path, shapes: list[Any], crs: str | None = METRIC, layer: str | None = None, **fields: Any
) -> Path:
    frame = geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs)
    frame.to_file(path, **({"layer": layer} if layer else {}))
    return path


def at(*points: tuple[float, float]) -> LineString:
    """Return a line through pixel positions (x, y) of NORTH_UP."""
    return LineString([(X0 + x, Y0 - y) for x, y in points])


def burn(path: Path, size: int = 60, crs: str = METRIC, **options: Any) -> npt.NDArray[np.uint8]:
    layer = RoadLayer.open(path, **options)
    return layer.on(CRS.from_user_input(crs)).burn(NORTH_UP, size, size)


@pytest.mark.parametrize(("y", "rows"), [(30.5, (27, 33)), (30.25, (27, 33)), (30.0, (26, 32))])
def test_burn_line_of_7_m_is_7_px_wide(tmp_path: Path, y: float, rows: tuple[int, int]) -> None:
    pixels = burn(write_layer(tmp_path / "a.gpkg", [at((-9, y), (99, y))]), width_m=7)
    assert pixels.dtype == np.uint8
    expected = np.zeros((60, 60), np.uint8)
    expected[rows[0] : rows[1] + 1] = 1
    if y == 30.0:  # both edges lie on pixel centres: one of them is included
        expected = expected if pixels[26, 0] else np.roll(expected, 1, axis=0)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_road_layer_does_not_depend_on_the_format(tmp_path: Path, suffix: str) -> None:
    crs = "EPSG:4326"
    to = Transformer.from_crs(METRIC, crs, always_xy=True)
    line = shapely.transform(
        at((-50, 30.4), (110, 30.4)), lambda xy: np.stack(to.transform(*xy.T), axis=-1)
    )
    pixels = burn(write_layer(tmp_path / f"a.{suffix}", [line], crs), width_m=7)
    assert (pixels.sum(axis=0) == 7).all()
    assert pixels[27:34].all()


def test_burn_has_round_ends_and_corners(tmp_path: Path) -> None:
    pixels = burn(write_layer(tmp_path / "a.gpkg", [at((20.5, 30.5), (40.5, 30.5))]), width_m=11)
    assert pixels[30, 15:46].all()
    assert pixels[30].sum() == 31
    assert not pixels[25, 15]
    yy, xx = np.mgrid[:60, :60]
    distance = np.hypot(np.maximum(np.maximum(20 - xx, xx - 40), 0), yy - 30)
    np.testing.assert_array_equal(pixels[distance < 5.4], 1)
    np.testing.assert_array_equal(pixels[distance > 5.5], 0)


def test_road_layer_uses_width_fields_then_the_default_width(tmp_path: Path) -> None:
    lines = [at((-99, y), (99, y)) for y in (10.5, 25.5, 40.5, 52.5)]
    path = write_layer(
        tmp_path / "a.gpkg", lines,
        width=["9", "5 m", None, None], lanes=[1.0, 1.0, 2.0, None],
    )  # fmt: skip
    pixels = burn(path, width_m=3, width_field=["width", "lanes*3.5"])
    for row, px in ((10, 9), (25, 5), (40, 7), (52, 3)):
        assert pixels[row - px // 2 : row + px // 2 + 1].all()
        assert not pixels[[row - px // 2 - 1, row + px // 2 + 1]].any()


def test_burn_fills_polygons_except_holes(tmp_path: Path) -> None:
    ring = box(X0 + 10, Y0 - 50, X0 + 50, Y0 - 10).difference(
        box(X0 + 20, Y0 - 40, X0 + 40, Y0 - 20)
    )
    pixels = burn(write_layer(tmp_path / "a.gpkg", [ring]))
    expected = np.zeros((60, 60), np.uint8)
    expected[10:50, 10:50] = 1
    expected[20:40, 20:40] = 0
    np.testing.assert_array_equal(pixels, expected)


def test_road_layer_reads_mixed_multipart_and_nested_geometries(tmp_path: Path) -> None:
    shapes = [
        MultiLineString([at((5, 5.5), (20, 5.5)), at((30, 5.5), (50, 5.5))]),
        LineString([(X0 + 5, Y0 - 15.5, 100.0), (X0 + 50, Y0 - 15.5, 120.0)]),
        GeometryCollection(
            [MultiPolygon([box(X0 + 5, Y0 - 30, X0 + 9, Y0 - 25)]), at((20, 27.5), (40, 27.5))]
        ),
    ]
    layer = RoadLayer.open(write_layer(tmp_path / "a.geojson", shapes), width_m=3)
    assert layer.count == 3
    pixels = layer.on(METRIC).burn(NORTH_UP, 60, 60)
    assert pixels[5, [6, 18, 32, 48]].all()
    assert not pixels[5, 25]
    assert pixels[14:17, 6:49].all()
    assert pixels[25:30, 5:9].all()
    assert pixels[27, 21:39].all()
    assert not pixels[32:].any()


def test_road_layer_skips_features_without_geometry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shapes = [at((0, 9.5), (60, 9.5)), None, LineString()]
    path = write_layer(tmp_path / "a.gpkg", shapes, width=[5, -1, None])
    layer = RoadLayer.open(path, width_field="width")
    assert layer.count == 1
    assert "2 features without a geometry" in caplog.text


def geographic_transform(crs: str, px_m: float = 1.0) -> Affine:
    """Return a transform in degrees whose pixels are 1 m on the ground near X0, Y0."""
    to = Transformer.from_crs(METRIC, crs, always_xy=True)
    (x, x1), (y, _) = to.transform([X0, X0 + 1000], [Y0, Y0])
    _, (_, y1) = to.transform([X0, X0], [Y0, Y0 - 1000])
    return Affine((x1 - x) / 1000 * px_m, 0.0, x, 0.0, (y1 - y) / 1000 * px_m, y)


@pytest.mark.parametrize("source", ["EPSG:4326", "EPSG:3857", "EPSG:2263"], ids=str)
@pytest.mark.parametrize("target", ["EPSG:4326", "EPSG:3857", METRIC, "ESRI:102734"], ids=str)
def test_burn_width_is_ground_metres_in_any_crs(source: str, target: str) -> None:
    feet = {"EPSG:2263", "ESRI:102734"} & {source, target}
    lon, lat = (-75.0, 40.8) if feet else (9.0, 47.85)
    local = f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84"
    to_source = Transformer.from_crs(local, source, always_xy=True)
    to_target = Transformer.from_crs(local, target, always_xy=True)
    if target == METRIC and feet:
        target = "EPSG:32618"
        to_target = Transformer.from_crs(local, target, always_xy=True)
    lines = [LineString(list(zip(*to_source.transform([-400, 400], [dy, dy]), strict=True)))
             for dy in (-0.0,)]  # fmt: skip
    surfaces = road_surfaces(
        np.array(lines, object), np.array([40.0]), np.empty(0, object),
        CRS.from_user_input(source), CRS.from_user_input(target),
    )  # fmt: skip
    assert surfaces is not None
    back = [
        shapely.transform(
            s, lambda xy: np.stack(to_target.transform(*xy.T, direction="INVERSE"), axis=-1)
        )
        for s in surfaces
    ]
    road = shapely.union_all(back)
    assert road.area == pytest.approx(800 * 40 + np.pi * 400, rel=0.004)
    across = road.intersection(LineString([(100, -99), (100, 99)]))
    assert across.length == pytest.approx(40, rel=0.004)


def test_burn_line_across_the_antimeridian(tmp_path: Path) -> None:
    line = LineString([(179.9990, -16.5), (179.99999, -16.5)])
    path = write_layer(tmp_path / "a.gpkg", [line], "EPSG:4326")
    surfaces = RoadLayer.open(path, width_m=20).on("EPSG:4326")
    west, _, east, _ = surfaces.bounds
    assert (west, east) == pytest.approx((179.999, 180.0), abs=2e-4)


def test_burn_long_edges_follow_the_curve_in_another_crs() -> None:
    to = Transformer.from_crs("EPSG:4326", METRIC, always_xy=True)
    line = LineString([(8.0, 47.85), (10.0, 47.85)])  # 150 km along a parallel
    surfaces = road_surfaces(
        np.array([line], object), np.array([10.0]), np.empty(0, object),
        CRS.from_epsg(4326), CRS.from_user_input(METRIC),
    )  # fmt: skip
    assert surfaces is not None
    for lon in (8.3, 8.77, 9.0, 9.61):
        point = Point(to.transform(lon, 47.85))
        assert shapely.intersects(surfaces, point).any()
        assert shapely.distance(shapely.boundary(shapely.union_all(surfaces)), point) > 4.9


def test_burn_like_of_rotated_and_south_up_scenes(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a.gpkg", [at((10, 10), (50, 10), (50, 45))])
    layer = RoadLayer.open(path, width_m=6).on(METRIC)
    plain = layer.burn(NORTH_UP, 60, 60)
    south_up = Affine(1.0, 0.0, X0, 0.0, 1.0, Y0 - 60)
    np.testing.assert_array_equal(layer.burn(south_up, 60, 60), plain[::-1])
    quarter = Affine(0.0, -1.0, X0 + 60, -1.0, 0.0, Y0)  # rows run west, columns run south
    np.testing.assert_array_equal(layer.burn(quarter, 60, 60), plain.T[::-1])


def tangled() -> tuple[LineString, Polygon]:
    """Return a long wiggling line and a polygon of many vertices."""
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.normal(0, 6, (600, 2)), axis=0) % 300
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    radius = 60 + 30 * np.sin(31 * angle)
    star = np.stack([150 + np.cos(angle) * radius, 150 + np.sin(angle) * radius], axis=-1)
    return at(*walk), Polygon(at(*star).coords)


@pytest.fixture(scope="module")
def tangle() -> BurnLayer:
    line, star = tangled()
    surfaces = road_surfaces(
        np.array([line], object), np.array([3.3]),
        np.array([star], object),
        CRS.from_user_input(METRIC), CRS.from_user_input(METRIC),
    )  # fmt: skip
    assert surfaces is not None
    assert max(shapely.get_num_coordinates(surfaces)) < 800
    return BurnLayer(CRS.from_user_input(METRIC), surfaces)


def test_road_surfaces_of_small_pieces_equal_the_whole(tangle: BurnLayer) -> None:
    line, star = tangled()
    whole = line.buffer(3.3 / 2).union(star)
    yy, xx = np.mgrid[:300, :300]
    inside = shapely.contains_xy(whole, X0 + xx + 0.5, Y0 - yy - 0.5)
    assert (tangle.burn(NORTH_UP, 300, 300) != inside).mean() < 2e-4


@given(
    row=st.integers(-40, 300), col=st.integers(-40, 300),
    height=st.integers(1, 90), width=st.integers(1, 90),
)  # fmt: skip
def test_burn_windows_equal_parts_of_the_whole(
    tangle: BurnLayer, row: int, col: int, height: int, width: int
) -> None:
    whole = tangle.burn(composed(NORTH_UP, Affine.translation(-50, -50)), 450, 450)
    part = tangle.burn(composed(NORTH_UP, Affine.translation(col, row)), height, width)
    np.testing.assert_array_equal(
        part, whole[row + 50 : row + 50 + height, col + 50 : col + 50 + width]
    )


def test_burn_is_thread_safe(tangle: BurnLayer) -> None:
    places = [composed(NORTH_UP, Affine.translation(7 * i, 5 * i)) for i in range(40)]
    alone = [tangle.burn(place, 64, 64) for place in places]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda place: tangle.burn(place, 64, 64), places))
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4326", "EPSG:3857"])
def test_road_layer_on_bounds_drops_only_distant_roads(tmp_path: Path, crs: str) -> None:
    rng = np.random.default_rng(1)
    lines = [at(*rng.uniform(-3000, 3000, (2, 2))) for _ in range(400)]
    to = Transformer.from_crs(METRIC, crs, always_xy=True)
    path = write_layer(tmp_path / "a.gpkg", lines)
    layer = RoadLayer.open(path, width_m=25)
    transform = geographic_transform(crs)
    (x, x1), (y, y1) = to.transform([X0, X0 + 60], [Y0, Y0 - 60])
    everything = layer.on(crs)
    near = layer.on(crs, bounds=(x, y1, x1, y))
    expected = everything.burn(transform, 60, 60)
    assert expected.any()
    np.testing.assert_array_equal(near.burn(transform, 60, 60), expected)
    assert near.bounds != everything.bounds


@pytest.mark.parametrize(
    ("shapes", "fields", "options", "message"),
    [
        ([Point(X0, Y0)], {}, {"width_m": 7}, "1 features are points"),
        ([at((0, 0), (9, 9))], {}, {}, "no width of their own.*--width.*--width-field"),
        ([at((0, 0), (9, 9))], {"w": [None]}, {"width_field": "w"}, "no value in 'w'.*--width"),
        ([at((0, 0), (9, 9))], {"w": [1]}, {"width_field": "weite"}, "no field 'weite'.*'w'"),
        ([at((0, 0), (9, 9))], {"w": ["wide"]}, {"width_field": "w"}, "'w'.*'wide' in feature 1"),
        ([at((0, 0), (9, 9))], {"w": [0.0]}, {"width_field": "w"}, r"0\.0 in feature 1"),
        ([at((0, 0), (9, 9))], {"w": [-4]}, {"width_field": "w"}, "-4 in feature 1"),
        ([at((0, 0), (9, 9))], {"w": [4]}, {"width_field": "w*x"}, "'x' is not a factor"),
        ([at((0, 0), (9, 9))], {}, {"width_m": 0.0}, "width is 0.0 m; expected a positive"),
        ([at((0, 0), (9, 9))], {}, {"width_m": float("nan")}, "expected a positive"),
        ([LineString()], {"w": [4]}, {"width_m": 7}, "holds no geometries"),
    ],
)  # fmt: skip
def test_road_layer_rejects_invalid_layers(
    tmp_path: Path, shapes: list[Any], fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = write_layer(tmp_path / "roads.gpkg", shapes, **fields)
    with pytest.raises(DataError, match=message):
        RoadLayer.open(path, **options)


def test_road_layer_without_crs_names_the_remedy(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "roads.shp", [at((0, 0), (9, 9))])
    path.with_suffix(".prj").unlink()
    with pytest.raises(DataError, match=r"no coordinate reference system.*\.prj"):
        RoadLayer.open(path, width_m=7)


def test_road_layer_needs_a_layer_name_if_there_are_several(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a.gpkg", [at((0, 9.5), (60, 9.5))], layer="roads")
    write_layer(path, [box(X0, Y0 - 60, X0 + 60, Y0)], layer="towns")
    with pytest.raises(DataError, match=r"2 layers: 'roads', 'towns'.*--layer"):
        RoadLayer.open(path, width_m=3)
    with pytest.raises(DataError, match="no layer 'rivers'; it has 'roads', 'towns'"):
        RoadLayer.open(path, layer="rivers", width_m=3)
    assert burn(path, layer="roads", width_m=3).sum() == 3 * 60


@pytest.mark.parametrize("content", [None, b"no vector file at all"])
def test_road_layer_names_files_that_are_not_vector_layers(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "roads.gpkg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"roads\.gpkg: (found no such file|cannot be read)"):
        RoadLayer.open(path, width_m=7)


def test_road_layer_on_rejects_a_crs_that_fits_no_road(
    tmp_path: Path,
) -> None:
    nonsense = LineString([(2e9, 2e9), (2e9 + 50, 2e9)])
    lost = RoadLayer.open(write_layer(tmp_path / "a.gpkg", [nonsense]), width_m=5)
    with pytest.raises(DataError, match="none of it"):
        lost.on(METRIC if lost.crs != CRS.from_user_input(METRIC) else "EPSG:4326")
    both = write_layer(tmp_path / "b.gpkg", [nonsense, at((0, 0), (9, 9))])
    west, _, east, _ = RoadLayer.open(both, width_m=5).on("EPSG:4326").bounds
    assert 8.9 < west < east < 9.1


# Masks of scenes


def roads(tmp_path: Path, **options: Any) -> RoadLayer:
    path = write_layer(tmp_path / "roads.gpkg", [at((-50, 30.5), (2000, 30.5))])
    return RoadLayer.open(path, width_m=7, **options)


def grey(height: int = 60, width: int = 80, bands: int = 3) -> npt.NDArray[np.uint8]:
    return np.full((bands, height, width), 90, np.uint8)


@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        Affine(0.5, 0.0, X0, 0.0, 0.5, Y0 - 45),
        Affine(0.8, 0.6, X0, 0.6, -0.8, Y0 - 10),
    ],
    ids=["north-up", "south-up", "rotated"],
)
def test_burn_like_has_the_grid_of_the_scene(tmp_path: Path, transform: Affine) -> None:
    scene = write_raster(tmp_path / "scene.tif", grey(), transform=transform)
    made = burn_like(roads(tmp_path), scene, tmp_path / "mask.tif")
    with rasterio.open(scene) as a, rasterio.open(made.path) as b:
        assert (a.shape, a.transform, a.crs) == (b.shape, b.transform, b.crs)
        assert (b.count, b.dtypes, b.nodata) == (1, ("uint8",), 255)
        assert b.compression is not None
        assert b.profile["tiled"]
        pixels = b.read(1)
    rows, cols = np.mgrid[:60, :80] + 0.5
    y = transform.d * cols + transform.e * rows + transform.f
    np.testing.assert_array_equal(pixels, np.abs(y - (Y0 - 30.5)) < 3.5)
    assert (made.road_px, made.other_px, made.invalid_px) == (
        (pixels == 1).sum(), (pixels == 0).sum(), 0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["alpha", "nodata", "mask", "nan"])
def test_burn_like_is_255_where_the_scene_is_invalid(tmp_path: Path, kind: str) -> None:
    valid = np.ones((60, 80), bool)
    valid[20:40, 10:30] = False
    image: Any = grey(bands=4 if kind == "alpha" else 3)
    keywords: dict[str, Any] = {}
    if kind == "alpha":
        image[3] = np.where(valid, 255, 0)
        keywords["colorinterp"] = (
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha,
        )  # fmt: skip
    elif kind == "nodata":
        image[:, ~valid] = 7
        image[0, 50:] = 7  # one band may have that value
        keywords["nodata"] = 7
    elif kind == "mask":
        keywords["mask"] = valid
    else:
        image = np.where(valid, image / 90.0, np.nan).astype(np.float32)
    scene = write_raster(tmp_path / "scene.tif", image, **keywords)
    burn_like(roads(tmp_path), scene, tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as mask:
        pixels = mask.read(1)
    expected = np.zeros((60, 80), np.uint8)
    expected[27:34] = 1
    expected[~valid] = 255
    np.testing.assert_array_equal(pixels, expected)


def test_burn_like_blocks_have_no_seam(tmp_path: Path) -> None:
    scene = write_raster(tmp_path / "scene.tif", np.full((1, 1100, 2100), 9, np.uint8))
    lines = [at((0, 0), (2100, 1100)), at((1024, 0), (1024, 1100)), at((0, 1024), (2100, 1024))]
    layer = RoadLayer.open(write_layer(tmp_path / "a.gpkg", lines), width_m=9)
    burn_like(layer, scene, tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as mask:
        pixels = mask.read(1)
    np.testing.assert_array_equal(pixels, layer.on(METRIC).burn(NORTH_UP, 1100, 2100))


def test_burn_like_each_names_masks_as_scenes(tmp_path: Path) -> None:
    layer = roads(tmp_path)
    scenes = [
        write_raster(tmp_path / "in" / "a.tif", grey()),
        write_raster(tmp_path / "in" / "b.tif", grey(), x0=X0 + 500),
        write_raster(
            tmp_path / "in" / "c.tif", grey(),
            crs="EPSG:4326", transform=geographic_transform("EPSG:4326"),
        ),
    ]  # fmt: skip
    seen: list[float] = []
    made = burn_like_each(
        layer, scenes, tmp_path / "out", progress=lambda share, text: seen.append(share)
    )
    assert [mask.path.name for mask in made] == ["a.tif", "b.tif", "c.tif"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    for mask in made:
        assert mask.road_px == pytest.approx(7 * 80, rel=0.02)


def test_burn_like_warns_of_a_distant_scene(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = write_raster(tmp_path / "scene.tif", grey(), y0=Y0 + 9000)
    with caplog.at_level(logging.WARNING):
        made = burn_like(roads(tmp_path), scene, tmp_path / "mask.tif")
    assert made.road_px == 0
    assert "contains no road" in caplog.text


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_burn_like_rejects_scenes_without_crs_or_position(tmp_path: Path) -> None:
    layer = roads(tmp_path)
    scene = write_raster(tmp_path / "a.tif", grey(), crs=None)
    with pytest.raises(SceneError, match="no coordinate reference system"):
        burn_like(layer, scene, tmp_path / "mask.tif")
    scene = write_raster(tmp_path / "b.tif", grey(), transform=Affine.identity())
    with pytest.raises(SceneError, match="no position"):
        burn_like(layer, scene, tmp_path / "mask.tif")
    (tmp_path / "c.tif").write_bytes(b"II*\0 nothing more")
    with pytest.raises(SceneError, match=r"c\.tif: is not a raster"):
        burn_like(layer, tmp_path / "c.tif", tmp_path / "mask.tif")
    assert not (tmp_path / "mask.tif").exists()


def test_burn_like_keeps_existing_outputs(tmp_path: Path) -> None:
    layer = roads(tmp_path)
    scene = write_raster(tmp_path / "scene.tif", grey())
    target = tmp_path / "mask.tif"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        burn_like(layer, scene, target)
    assert target.read_bytes() == b"mine"
    assert burn_like(layer, scene, target, overwrite=True).road_px == 7 * 80
    with pytest.raises(InputError, match="is an input as well"):
        burn_like(layer, scene, scene, overwrite=True)
    with pytest.raises(InputError, match="is an input as well"):
        burn_like_each(layer, [scene], tmp_path, overwrite=True)
    other = write_raster(tmp_path / "more" / "scene.tif", grey())
    with pytest.raises(InputError, match="would both give"):
        burn_like_each(layer, [scene, other], tmp_path / "out")
    with pytest.raises(InputError, match=r"expected \.tif"):
        burn_like(layer, scene, tmp_path / "mask.png")


def test_burn_like_leaves_no_mask_after_errors_or_cancel(tmp_path: Path) -> None:
    layer = roads(tmp_path)
    whole = write_raster(
        tmp_path / "scene.tif", np.random.default_rng(0).integers(0, 9, (3, 900, 900), np.uint8),
        nodata=0,
    )  # fmt: skip
    broken = tmp_path / "broken.tif"
    broken.write_bytes(whole.read_bytes()[:900_000])
    with pytest.raises(SceneError, match=r"broken\.tif: reading rows 0\.\.899 failed"):
        burn_like(layer, broken, tmp_path / "mask.tif")

    def stop(share: float, text: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        burn_like(layer, whole, tmp_path / "mask.tif", progress=stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.tif", "roads.gpkg", "scene.tif"]


@pytest.mark.real_data
def test_burn_like_real_centrelines_lie_on_real_roads(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "spacenet"
    layer = RoadLayer.open(folder / "vegas_img0_roads.geojson", width_m=8)
    made = burn_like(layer, folder / "vegas_img0.tif", tmp_path / "mask.tif")
    assert layer.count == 38
    with rasterio.open(folder / "vegas_img0.tif") as scene, rasterio.open(made.path) as mask:
        image, road = scene.read([1, 2, 3]).astype(float), mask.read(1)
    assert 0.2 < (road == 1).mean() < 0.35
    # Asphalt is darker than the desert and roofs around it.
    assert np.median(image[:, road == 1]) < 0.7 * np.median(image[:, road == 0])
