"""Masks and probability rasters of other programs: meaning of values, and roads."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio.shutil
import shapely
from rasterio.enums import ColorInterp
from scipy.ndimage import gaussian_filter

from roadgis.errors import InputError, SceneError
from roadgis.imagery.values.statistics import ValueStatistics
from roadgis.network.from_lines.clean_lines import clean_lines
from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.extraction import ExtractOptions
from roadgis.options.probability_raster import RasterOptions
from roadgis.probability.encoding import Stored, detect_encoding
from roadgis.probability.raster import open_probability
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize_file
from tests.factories.rasters import X0, Y0, cut_into_sheets, write_raster
from tests.factories.roads import assert_networks_equal

INT_MIN = -(2**31)


def cross(on: float = 1, off: float = 0, dtype: str = "uint8") -> npt.NDArray[Any]:
    """Draw two roads 7 m wide that cross once, 720 m in all; (1, 400, 400)."""
    mask = np.full((1, 400, 400), off, dtype)
    mask[0, 197:204, 20:380] = on
    mask[0, 20:380, 117:124] = on
    return mask


def length_m(path: Any, raster: RasterOptions | None = None) -> float:
    return float(vectorize_file(path, raster=raster).length_m.sum())


def assert_cross(path: Any, raster: RasterOptions | None = None) -> None:
    network = vectorize_file(path, raster=raster)
    assert len(network) == 4
    assert network.length_m.sum() == pytest.approx(720, abs=1)
    assert network.width_m == pytest.approx(7, abs=0.3)


def counted(*counts: tuple[float, int], missing: int = 0, many: bool = False) -> ValueStatistics:
    values = np.array([value for value, _ in counts], np.float64)
    count = np.array([count for _, count in counts], np.int64)
    return ValueStatistics(
        valid=int(count.sum()),
        missing=missing,
        low=float(values.min()),
        high=float(values.max()),
        many=many,
        values=np.empty(0) if many else values,
        counts=np.empty(0, np.int64) if many else count,
    )


MASKS: dict[str, tuple[npt.NDArray[Any], dict[str, Any]]] = {
    "0 and 1": (cross(), {}),
    "0 and 255": (cross(255), {}),
    "0 and 255 in 16 bits": (cross(255, dtype="uint16"), {}),
    "0 and 65535": (cross(65535, dtype="uint16"), {}),
    "0 and 1 in 32 bits": (cross(dtype="int32"), {}),
    "0 and 1 in 8 signed bits": (cross(dtype="int8"), {}),
    "0 and 1 in float64": (cross(dtype="float64"), {}),
    "one bit": (cross(), {"nbits": 1}),
    "one class": (cross(2), {}),
    "one percentage": (cross(95), {}),
    "background 0 is nodata": (cross(), {"nodata": 0}),
    "background 0 is nodata, 255": (cross(255), {"nodata": 0}),
    "background is 255, nodata": (cross(1, 255), {"nodata": 255}),
    "background is -9999": (cross(1, -9999, "float32"), {"nodata": -9999}),
    "background of ArcGIS": (cross(1, INT_MIN, "int32"), {"nodata": INT_MIN}),
    "background is NaN": (cross(1, np.nan, "float32"), {}),
    "background is NaN, declared": (cross(1, np.nan, "float64"), {"nodata": np.nan}),
    "burned value": (cross(42, -1, "int16"), {"nodata": -1}),
}


@pytest.mark.parametrize("kind", MASKS)
def test_vectorize_of_masks_of_other_programs_finds_all_roads(tmp_path: Path, kind: str) -> None:
    values, profile = MASKS[kind]
    assert_cross(write_raster(tmp_path / "m.tif", values, **profile))


def test_vectorize_of_a_mask_with_nodata_background_equals_one_with_zeros(
    tmp_path: Path,
) -> None:
    plain = vectorize_file(write_raster(tmp_path / "a.tif", cross()))
    assert_networks_equal(
        plain, vectorize_file(write_raster(tmp_path / "b.tif", cross(), nodata=0))
    )


def test_vectorize_of_a_mask_keeps_roads_along_nodata(tmp_path: Path) -> None:
    mask = np.zeros((1, 200, 300), np.uint8)
    mask[0, 100:107] = 1
    # Nodata starts two pixels from the road.
    mask[0, 109:] = 255
    path = write_raster(tmp_path / "m.tif", mask, nodata=255)
    assert length_m(path) == pytest.approx(300, abs=1)
    with open_probability(path) as source:
        assert (source.read(source.grid.window)[109:] == NO_DATA).all()


@pytest.mark.parametrize("origin", [(0, 0), (10, 10), (3, 61)])
def test_vectorize_of_a_mask_keeps_roads_along_the_edge(
    tmp_path: Path, origin: tuple[int, int]
) -> None:
    mask = np.zeros((1, 200, 300), np.uint8)
    mask[0, 2:9] = 1
    path = write_raster(tmp_path / "m.tif", mask, x0=X0 + origin[0], y0=Y0 - origin[1])
    assert length_m(path) == pytest.approx(300, abs=1)


PICTURES: dict[str, tuple[npt.NDArray[Any], dict[str, Any]]] = {
    "black and white": (np.concatenate([cross(255)] * 3), {"driver": "PNG"}),
    "with intermediate values": (
        np.concatenate([gaussian_filter(cross(255), (0, 0.7, 0.7))] * 3),
        {"driver": "PNG"},
    ),
    "red on black": (np.concatenate([cross(255), cross(0), cross(0)]), {"driver": "PNG"}),
    "red on white": (
        np.concatenate([cross(255, 255), cross(0, 255), cross(0, 255)]),
        {"driver": "PNG"},
    ),
    "dark red on black": (np.concatenate([cross(130), cross(0), cross(0)]), {"driver": "PNG"}),
    "roads are opaque": (np.concatenate([cross(255)] * 4), {"driver": "PNG"}),
    "all is opaque": (
        np.concatenate([*[cross(255)] * 3, cross(255, 255)]),
        {"driver": "PNG"},
    ),
    "grey and alpha": (np.concatenate([cross(255)] * 2), {"driver": "PNG"}),
    "JPEG": (np.concatenate([cross(255)] * 3), {"driver": "JPEG", "quality": 60}),
    "grey JPEG": (cross(255), {"driver": "JPEG", "quality": 60}),
    "JPEG in TIFF": (cross(255), {"compress": "JPEG", "jpeg_quality": 50}),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_vectorize_of_png_and_jpeg_masks_finds_all_roads(tmp_path: Path, kind: str) -> None:
    values, profile = PICTURES[kind]
    path = tmp_path / "m.tif"
    if profile.get("driver", "GTiff") == "GTiff":
        write_raster(path, values, **profile)
    else:
        # PNG and JPEG are written by copying.
        alpha = [ColorInterp.alpha] if len(values) in (2, 4) else []
        colours = [ColorInterp.gray, *[ColorInterp.undefined] * (len(values) - 1)]
        if len(values) >= 3:
            colours[:3] = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        colours[len(values) - len(alpha) :] = alpha
        whole = write_raster(path, values, colorinterp=colours)
        path = tmp_path / f"m.{profile['driver'].lower()}"
        rasterio.shutil.copy(str(whole), str(path), **profile)
    assert_cross(path)


def test_vectorize_of_a_palette_mask_uses_the_indices(tmp_path: Path) -> None:
    colours = {0: (255, 255, 255, 255), 1: (128, 0, 0, 255)}
    assert_cross(write_raster(tmp_path / "m.tif", cross(), colormap=colours))


def test_vectorize_applies_scale_and_offset_of_the_band(tmp_path: Path) -> None:
    values = cross(190, 100)
    path = write_raster(tmp_path / "p.tif", values)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01,), (-1.0,)
    network = vectorize_file(path)
    assert network.length_m.sum() == pytest.approx(720, abs=1)
    assert network.confidence == pytest.approx(0.9, abs=0.003)


def noisy(full: float, dtype: str) -> npt.NDArray[Any]:
    """Return probabilities of the cross with many values, `full` for 1, in a data type."""
    steps = np.linspace(0, 0.05, 400)[None, None]
    values = np.rint((cross(1, 0, "float64") * 0.9 + steps) * full)
    values[0, 200, 200] = full
    return values.astype(dtype)


SCALED: dict[str, tuple[npt.NDArray[Any], RasterOptions, float]] = {
    "bytes": (noisy(255, "uint8"), RasterOptions(), 255),
    "16 bits": (noisy(65535, "uint16"), RasterOptions(), 65535),
    "percent": (noisy(100, "uint8"), RasterOptions(), 100),
    "bytes in 16 bits": (noisy(255, "int16"), RasterOptions(), 255),
    "per mille, given": (noisy(1000, "int16"), RasterOptions(scale=0.001), 1000),
}


@pytest.mark.parametrize("kind", SCALED)
def test_probability_of_any_scale_is_read_to_the_nearest_254th(tmp_path: Path, kind: str) -> None:
    values, options, full = SCALED[kind]
    path = write_raster(tmp_path / "p.tif", values)
    with open_probability(path, options=options) as source:
        found = source.read(source.grid.window)
        assert not source.is_mask
    assert np.array_equal(found, np.rint(values[0] / full * 254).astype(np.uint8))


UNCLEAR: dict[str, tuple[npt.NDArray[Any], str]] = {
    "percent below 100": (
        noisy(95, "uint8"),
        r"largest value is 95 of 255; is this percent\? Use --scale 0\.01",
    ),
    "per mille": (
        noisy(1000, "uint16"),
        r"If 1000 means a probability of 1, use --scale 0\.001",
    ),
    "classes": (cross(2) + (np.arange(400) % 9 == 0).astype(np.uint8), "look like class numbers"),
    "ignore label": (
        np.where(np.arange(400) < 9, np.uint8(255), cross()),
        "the values 0, 1 and 255.* --road-value 1 and --nodata 255",
    ),
    "inverted": (cross(0, 1), "97% of the pixels have the value 1.*--road-value 0"),
    "nodata not declared": (cross(1, INT_MIN, "int32"), f"--nodata {INT_MIN}"),
    "logits": (noisy(9, "float32") - 4, "apply the sigmoid"),
    "colours": (
        np.random.default_rng(0).integers(0, 255, (3, 400, 400), np.uint8),
        "found 3 bands, expected one.*roadgis extract",
    ),
    "red and blue roads": (
        np.concatenate(
            [cross(255), cross(0), 255 * (np.arange(400) < 9).astype(np.uint8) * cross(0, 1)]
        ),
        "found 3 bands, expected one",
    ),
    "four bands": (np.concatenate([cross(9)] * 4).astype(np.int16), "found 4 bands.*--band"),
    "two classes": (cross(2, 1), "the values 1 and 2.*--road-value 2"),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_vectorize_rejects_unclear_values_and_names_the_option(tmp_path: Path, kind: str) -> None:
    values, message = UNCLEAR[kind]
    path = write_raster(tmp_path / "m.tif", values)
    with pytest.raises(SceneError, match=message):
        vectorize_file(path, tmp_path / "out.gpkg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tif"]


GIVEN: dict[str, tuple[npt.NDArray[Any], RasterOptions]] = {
    "class numbers": (
        cross(2) + (np.arange(400) % 9 == 0).astype(np.uint8),
        RasterOptions(road_values=(2, 3)),
    ),
    "inverted": (cross(0, 1), RasterOptions(road_values=(0,))),
    "nodata": (cross(1, INT_MIN, "int32"), RasterOptions(nodata=INT_MIN)),
    "scale": (cross(94), RasterOptions(scale=0.01)),
    "band": (np.concatenate([cross(0), cross(), cross(0)]), RasterOptions(band=2)),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_raster_options_set_the_meaning_of_values(tmp_path: Path, kind: str) -> None:
    values, options = GIVEN[kind]
    assert_cross(write_raster(tmp_path / "m.tif", values), options)


def test_nodata_of_a_probability_raster_is_unknown_unless_low_values_are_nodata(
    tmp_path: Path,
) -> None:
    values = np.where(np.arange(400) < 5, np.float32(-1), noisy(250, "float32") / 255)
    collar = write_raster(tmp_path / "a.tif", values, nodata=-1)
    with open_probability(collar) as source:
        assert (source.read(source.grid.window)[:, :5] == NO_DATA).all()
    with open_probability(collar, options=RasterOptions(nodata_is="background")) as source:
        assert (source.read(source.grid.window)[:, :5] == 0).all()
    cut = np.where(values < 0.3, np.float32(-1), values)
    assert_cross(write_raster(tmp_path / "b.tif", cut, nodata=-1))


def test_vectorize_logs_the_detected_encoding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raster(tmp_path / "m.tif", cross(), nodata=0)
    with caplog.at_level(logging.WARNING, "roadgis"), open_probability(path) as source:
        assert source.provenance["values"] == "a mask, road is 1, nodata is not road"
    assert caplog.messages == [
        f"{path}: read as a mask, road is 1, nodata is not road. If that is wrong, use "
        "--road-value, --scale or --nodata-is."
    ]


def test_vectorize_of_mask_sheets_gives_one_network(tmp_path: Path) -> None:
    whole = write_raster(tmp_path / "m.tif", cross(), nodata=0)
    sheets = cut_into_sheets(whole, tmp_path / "sheets", [150, 201], [118, 300])
    network = vectorize_file(whole)
    assert_networks_equal(network, vectorize_file(sheets))
    assert_networks_equal(network, vectorize_file(sorted(sheets.iterdir())))


def test_vectorize_of_overlapping_masks_finds_the_roads_of_all(tmp_path: Path) -> None:
    one, two = cross(), cross()
    one[0, 197:204] = 0
    two[0, :197] = two[0, 204:] = 0
    paths = [write_raster(tmp_path / f"{i}.tif", m) for i, m in enumerate((one, two))]
    assert_cross(paths)


def test_vectorize_bridges_a_gap_in_a_mask_like_clean(tmp_path: Path) -> None:
    mask = np.zeros((1, 200, 400), np.uint8)
    mask[0, 100:107] = 1
    for begin, gap in ((60, 4), (150, 10), (240, 18), (330, 40)):
        mask[0, :, begin : begin + gap] = 0
    path = write_raster(tmp_path / "m.tif", mask)
    bridged = vectorize_file(path)
    open_ = ExtractOptions(clean=CleanOptions(min_component_m=0, bridge=BridgeOptions(max_gap_m=0)))
    vectorize_file(path, tmp_path / "open.gpkg", options=open_)
    cleaned = clean_lines(tmp_path / "open.gpkg")
    assert [bridged.bridged.sum(), cleaned.bridged.sum()] == [3, 3]
    # The part beyond the last gap is too short to be kept.
    assert bridged.length_m.sum() == pytest.approx(330, abs=1)
    assert cleaned.length_m.sum() == pytest.approx(float(bridged.length_m.sum()), abs=0.01)
    drawn = [shapely.union_all(network.edges) for network in (bridged, cleaned)]
    assert shapely.hausdorff_distance(*drawn, densify=0.01) < 0.1
    assert bridged.confidence[bridged.bridged].tolist() == [0, 0, 0]


def test_clean_bridges_by_shape_where_the_evidence_is_a_mask(tmp_path: Path) -> None:
    mask = np.zeros((1, 200, 400), np.uint8)
    mask[0, 100:107] = 1
    mask[0, :, 200:212] = 0
    path = write_raster(tmp_path / "m.tif", mask)
    open_ = ExtractOptions(clean=CleanOptions(bridge=BridgeOptions(max_gap_m=0)))
    vectorize_file(path, tmp_path / "open.gpkg", options=open_)
    network = clean_lines(tmp_path / "open.gpkg", probability=path)
    assert network.bridged.sum() == 1


def test_value_statistics_include_a_single_pixel(tmp_path: Path) -> None:
    values = cross()
    values[0, 399, 399] = 7
    path = write_raster(tmp_path / "m.tif", values)
    with pytest.raises(SceneError, match="the values 0, 1 and 7"):
        vectorize_file(path)


@pytest.mark.parametrize(
    ("counts", "dtype", "scale"),
    [
        (((0, 90), (230, 10)), "uint8", 1 / 255),
        (((0, 90), (0.9, 10)), "float32", 1.0),
        (((0, 50), (50, 30), (100, 20)), "int32", 1 / 100),
        (((0, 50), (128, 30), (255, 20)), "uint8", 1 / 255),
    ],
)
def test_detect_encoding_reads_few_values_as_probability(
    counts: tuple[tuple[float, int], ...], dtype: str, scale: float
) -> None:
    found = detect_encoding(Stored("m.tif", dtype), counted(*counts), RasterOptions())
    assert found.scale == scale
    assert found.is_mask == (len(counts) == 2)


def test_detect_encoding_of_a_roadgis_raster_without_its_tag() -> None:
    found = detect_encoding(
        Stored("p.tif", "uint8", nodata=(255.0,)),
        counted((0, 5), (60, 3), (200, 3), missing=4),
        RasterOptions(),
    )
    assert (found.scale, found.background) == (1 / 254, False)


def test_raster_scale_that_gives_more_than_1_is_rejected(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "p.tif", noisy(255, "uint8"))
    with pytest.raises(SceneError, match=r"times 0\.01 they are 0 to 2\.55"):
        vectorize_file(path, raster=RasterOptions(scale=0.01))


@pytest.mark.parametrize(
    "options",
    [{"band": 0}, {"scale": 0.0}, {"scale": 1.0, "road_values": (1,)}, {"nodata_is": "x"}],
)
def test_raster_options_reject_impossible_values(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RasterOptions(**options)


def test_vectorize_ignores_damaged_tags_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raster(tmp_path / "p.tif", noisy(255, "uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ROADGIS_PROBABILITY="many", ROADGIS_PROVENANCE='{"threshold": ')
    with open_probability(path) as source:
        assert source.threshold == 0.5
    assert [text.split(": ")[1][:9] for text in caplog.messages] == ["the tag R", "the tag R"]
