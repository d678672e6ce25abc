"""Polygon JSON drawn as class indices: order, edges, classes, folders, broken annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from roadgis.errors import Cancelled, DataError, InputError, OutputError
from roadgis.photos.annotations import MASK_PALETTE, polygons_to_masks, write_index_png
from roadgis.photos.label_classes import parse_classes
from roadgis.photos.polygon_json import PolygonDocument, draw_polygons, is_polygon_json
from tests.factories.rasters import write_raster

pytestmark = pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}."
                                        f"{NotGeoreferencedWarning.__name__}")  # fmt: skip

WHOLE = [[0, 0], [39, 0], [39, 29], [0, 29]]


def thing(label: str, polygon: Any, **more: Any) -> dict[str, Any]:
    return {"label": label, "polygon": polygon, **more}


def write_json(path: Path, *objects: Any, height: Any = 30, width: Any = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": list(objects)}))
    return path


def draw(tmp_path: Path, classes: str, *objects: Any, ignore: str = "") -> npt.NDArray[np.uint8]:
    document = PolygonDocument.read(write_json(tmp_path / "a.json", *objects))
    return draw_polygons(document, parse_classes(classes, ignore))


def pixels_of(path: Path) -> npt.NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        assert dataset.count == 1
        return np.asarray(dataset.read(1))


def rectangle(x0: int, y0: int, x1: int, y1: int) -> list[list[int]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def test_draw_polygons_includes_the_outline(
    tmp_path: Path,
) -> None:
    assert (draw(tmp_path, "road", thing("road", WHOLE)) == 1).all()
    expected = np.zeros((30, 40), np.uint8)
    expected[3:8, 2:6] = 1
    np.testing.assert_array_equal(
        draw(tmp_path, "road", thing("road", rectangle(2, 3, 5, 7))), expected
    )


def test_draw_polygons_draws_in_order_and_unnamed_labels_as_0(
    tmp_path: Path,
) -> None:
    drawn = draw(
        tmp_path, "car,road",
        thing("road", WHOLE),
        thing("car", rectangle(5, 5, 14, 14)),
        thing("pole", rectangle(10, 0, 11, 29)),
        thing("car", rectangle(0, 20, 39, 24)),
    )  # fmt: skip
    expected = np.full((30, 40), 2, np.uint8)
    expected[5:15, 5:15] = 1
    expected[:, 10:12] = 0
    expected[20:25] = 1
    np.testing.assert_array_equal(drawn, expected)


def test_draw_polygons_groups_labels_and_ignores_as_255(tmp_path: Path) -> None:
    drawn = draw(
        tmp_path, "road, vehicle = car + truck",
        thing("road", rectangle(0, 0, 39, 9)),
        thing("car", rectangle(0, 10, 9, 19)),
        thing("truck", rectangle(10, 10, 19, 19)),
        thing("out of roi", rectangle(20, 10, 39, 19)),
        ignore="out of roi",
    )  # fmt: skip
    expected = np.zeros((30, 40), np.uint8)
    expected[:10] = 1
    expected[10:20, :20] = 2
    expected[10:20, 20:] = 255
    np.testing.assert_array_equal(drawn, expected)


def test_polygon_document_skips_deleted_and_degenerate_objects(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "a.json",
        thing("road", rectangle(0, 0, 9, 9), deleted=0),
        thing("road", WHOLE, deleted=1),
        thing("road", []),
        thing("road", [[3, 3], [30, 3]]),
        thing("road", [[3, 3], [30, 3], [3, 3]]),
    )  # fmt: skip
    document = PolygonDocument.read(path)
    assert (len(document.objects), document.skipped) == (1, 3)
    assert draw_polygons(document, parse_classes("road")).sum() == 100


def test_draw_polygons_clips_at_the_image(tmp_path: Path) -> None:
    far = 5e8
    band = [[-far, 10], [far, 10], [far, 14], [-far, 14]]
    outside = rectangle(100, 100, 200, 200)
    wedge = [[20, 20], [20 + far, 20 + far], [20 - far, 20 + far]]
    drawn = draw(
        tmp_path, "road,car,sky", thing("sky", wedge), thing("road", band), thing("car", outside)
    )
    yy, xx = np.mgrid[:30, :40]
    expected = np.where(np.abs(xx - 20) <= yy - 20, 3, 0)
    expected[10:15] = 1
    np.testing.assert_array_equal(drawn, expected)


coordinates = st.floats(-30, 60, allow_nan=False).map(lambda v: round(v, 2))


@given(points=st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9))
def test_draw_polygons_clipping_keeps_the_inside(
    tmp_path: Path, points: list[tuple[float, float]]
) -> None:
    # In a large enough image the same ring is not clipped.
    shifted = [[x + 40, y + 40] for x, y in points]
    classes = parse_classes("road")
    large = PolygonDocument.read(
        write_json(tmp_path / "l.json", thing("road", shifted), height=110, width=110)
    )
    small = PolygonDocument.read(write_json(tmp_path / "s.json", thing("road", points)))
    whole = draw_polygons(large, classes)[40:70, 40:80]
    cut = draw_polygons(small, classes)
    # Clipped edges are rasterized from another starting point: outlines may differ by a pixel.
    differing = np.argwhere(whole != cut)
    ring = np.array([*points, points[0]])
    for y, x in differing:
        a, b = ring[:-1], ring[1:]
        along = ((np.array([x, y]) - a) * (b - a)).sum(axis=1)
        t = np.clip(along / np.maximum(((b - a) ** 2).sum(axis=1), 1e-12), 0, 1)
        assert np.hypot(*(a + t[:, None] * (b - a) - [x, y]).T).min() < 1.5


@pytest.mark.parametrize(
    ("classes", "ignore", "message"),
    [
        ("", "", "found no class"),
        ("road,road", "", "'road' is named more than once"),
        ("road,other", "", "'other' is named more than once"),
        ("road,vehicle=car+road", "", "label 'road' is named more than once"),
        ("road", "road", "label 'road' is named more than once"),
        ("vehicle=", "", "'vehicle=' is not a class"),
        ("vehicle=car++bus", "", "is not a class"),
        ("=car", "", "is not a class"),
        (",".join(f"c{i}" for i in range(255)), "", "255 classes; a mask holds 254"),
    ],
)
def test_parse_classes_rejects_wrong_classes(classes: str, ignore: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_classes(classes, ignore)


def idd(tmp_path: Path, suffix: str = "png") -> Path:
    """Write three annotations in IDD's layout, one with its image, and return the folder."""
    root = tmp_path / "idd" / "gtFine"
    for drive, name, label in (("0", "005", "car"), ("0", "006", "truck"), ("1", "005", "car")):
        write_json(
            root / "train" / drive / f"{name}_gtFine_polygons.json",
            thing("road", WHOLE), thing(label, rectangle(0, 0, 9, 9)),
        )  # fmt: skip
    image = tmp_path / "idd" / "leftImg8bit" / "train" / "1" / f"005_leftImg8bit.{suffix}"
    driver = {"png": "PNG", "jpg": "JPEG"}[suffix]
    write_raster(image, np.zeros((3, 30, 40), np.uint8), driver=driver, crs=None)
    for sidecar in image.parent.glob("*.aux.xml"):
        sidecar.unlink()
    return root


def test_polygons_to_masks_keeps_folders_and_writes_classes(tmp_path: Path) -> None:
    seen: list[float] = []
    out = tmp_path / "masks"
    made = polygons_to_masks(
        idd(tmp_path), out, "road,vehicle=car+truck", progress=lambda share, _: seen.append(share)
    )
    assert [path.relative_to(out).as_posix() for path in made.paths] == [
        "train/0/005_mask.png", "train/0/006_mask.png", "train/1/005_mask.png",
    ]  # fmt: skip
    assert made.pixels == {"other": 0, "road": 3 * 1100, "vehicle": 300, "ignored": 0}
    expected = np.ones((30, 40), np.uint8)
    expected[:10, :10] = 2
    for path in made.paths:
        np.testing.assert_array_equal(pixels_of(path), expected)
    classes = json.loads((out / "classes.json").read_text())
    assert classes["classes"] == ["other", "road", "vehicle"]
    assert classes["labels"]["vehicle"] == ["car", "truck"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_polygons_to_masks_does_not_depend_on_threads(tmp_path: Path) -> None:
    root = tmp_path / "gtFine"
    rng = np.random.default_rng(0)
    for i in range(24):
        things = [thing("ab"[k % 2], rng.integers(-5, 45, (6, 2)).tolist()) for k in range(12)]
        write_json(root / f"{i:02}_gtFine_polygons.json", *things)
    one = polygons_to_masks(root, tmp_path / "one", "a,b", workers=1)
    many = polygons_to_masks(root, tmp_path / "many", "a,b", workers=8)
    assert one.pixels == many.pixels
    for a, b in zip(one.paths, many.paths, strict=True):
        assert a.read_bytes() == b.read_bytes()


@given(seed=st.integers(0, 99), height=st.integers(1, 40), width=st.integers(1, 40))
def test_write_index_png_round_trip_with_palette(
    tmp_path: Path, seed: int, height: int, width: int
) -> None:
    mask = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    write_index_png(mask, tmp_path / "mask.png")
    with rasterio.open(tmp_path / "mask.png") as dataset:
        np.testing.assert_array_equal(dataset.read(1), mask)
        colours = dataset.colormap(1)
    assert colours[0][:3] == (0, 0, 0)
    assert [colours[i][:3] for i in range(256)] == [tuple(c) for c in MASK_PALETTE.tolist()]


def test_mask_palette_colours_differ() -> None:
    assert len({tuple(colour) for colour in MASK_PALETTE[:40].tolist()}) == 40


def test_polygons_to_masks_lists_present_labels(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"label 'sidewalk', 'sky'\. .*road \(3\), car \(2\), truck \(1\)"
    ):
        polygons_to_masks(idd(tmp_path), tmp_path / "masks", "road,sidewalk", ignore="sky")
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_polygons_to_masks_rejects_images_of_another_size(tmp_path: Path, suffix: str) -> None:
    root = idd(tmp_path, suffix)
    write_json(root / "train" / "1" / "005_gtFine_polygons.json", thing("road", WHOLE), height=31)
    with pytest.raises(
        DataError, match=rf"40 x 31 px, but .*005_leftImg8bit\.{suffix} has 40 x 30"
    ):
        polygons_to_masks(root, tmp_path / "masks", "road")
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"imgHeight": 30, "imgWi', "is not JSON"),
        ("[]", "holds a list"),
        ('{"imgWidth": 40, "objects": []}', "has no 'imgHeight'"),
        ('{"imgHeight": 30, "imgWidth": "40", "objects": []}', "has '40' as 'imgWidth'"),
        ('{"imgHeight": 0, "imgWidth": 40, "objects": []}', "has 0 as 'imgHeight'"),
        ('{"imgHeight": NaN, "imgWidth": 40, "objects": []}', "has nan as 'imgHeight'"),
        ('{"imgHeight": 30, "imgWidth": 9e9, "objects": []}', "as 'imgWidth'"),
        ('{"imgHeight": 30, "imgWidth": 40}', "no list 'objects'"),
        ('{"imgHeight": 30, "imgWidth": 40, "objects": [7]}', "object 1 is a int"),
        ('{"imgHeight": 30, "imgWidth": 40, "objects": [{"polygon": []}]}', "has no 'label'"),
        ('{"imgHeight": 30, "imgWidth": 40, "objects": [{"label": "a"}]}', "no 'polygon'"),
        (
            '{"imgHeight": 30, "imgWidth": 40, "objects": [{"label": "a", "polygon": [[1]]}]}',
            r"has the point \[1\]",
        ),
        (
            '{"imgHeight": 9, "imgWidth": 9, "objects": [{"label": "a", "polygon": [[1, NaN]]}]}',
            r"has the point \[1, nan\]",
        ),
    ],
)
def test_polygons_to_masks_names_broken_annotations_first(
    tmp_path: Path, text: str, message: str
) -> None:
    root = idd(tmp_path)
    broken = root / "train" / "1" / "007_gtFine_polygons.json"
    broken.write_text(text)
    with pytest.raises(DataError, match=rf"007_gtFine_polygons\.json: .*{message}"):
        polygons_to_masks(root, tmp_path / "masks", "road")
    assert not (tmp_path / "masks").exists()


def test_polygons_to_masks_rejects_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no \*_polygons\.json"):
        polygons_to_masks(tmp_path, tmp_path / "masks", "road")
    with pytest.raises(DataError, match="does not exist"):
        polygons_to_masks(tmp_path / "gone", tmp_path / "masks", "road")


def test_polygons_to_masks_keeps_existing_masks(tmp_path: Path) -> None:
    root, out = idd(tmp_path), tmp_path / "masks"
    mine = out / "train" / "1" / "005_mask.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"exists \(1 of 3"):
        polygons_to_masks(root, out, "road")
    assert mine.read_bytes() == b"mine"
    polygons_to_masks(root, out, "road", overwrite=True)
    assert (pixels_of(mine) == 1).sum() == 1100


def test_polygons_to_masks_rejects_equal_names(tmp_path: Path) -> None:
    for kind in ("gtFine", "gtCoarse"):
        write_json(tmp_path / "in" / f"a_{kind}_polygons.json", thing("road", WHOLE))
    with pytest.raises(DataError, match=r"would both give .*a_mask\.png"):
        polygons_to_masks(tmp_path / "in", tmp_path / "masks", "road")


def test_polygons_to_masks_cancelled_leaves_complete_masks(tmp_path: Path) -> None:
    def stop(share: float, text: str) -> None:
        if text.startswith("drawing masks: 1"):
            raise Cancelled

    with pytest.raises(Cancelled):
        polygons_to_masks(idd(tmp_path), tmp_path / "masks", "road", workers=1, progress=stop)
    left = [path for path in (tmp_path / "masks").rglob("*") if path.is_file()]
    assert {path.suffix for path in left} <= {".png", ".json"}
    for path in left:
        if path.suffix == ".png":
            assert pixels_of(path).shape == (30, 40)


def test_is_polygon_json_rejects_geojson(tmp_path: Path) -> None:
    assert is_polygon_json(write_json(tmp_path / "a.json"))
    geojson = tmp_path / "b.json"
    geojson.write_text('{"type": "FeatureCollection", "features": []}')
    assert not is_polygon_json(geojson)
    assert not is_polygon_json(tmp_path / "gone.json")
