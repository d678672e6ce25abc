"""Extraction with foreign models, with models of a fixed tile size, and with flips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import rasterio
import shapely
from onnx import helper, numpy_helper

from roadgis.errors import InputError, ResumeError
from roadgis.imagery.scene import INVALID_FILL
from roadgis.model.card import ModelCard
from roadgis.model.runtime import OnnxSegmenter, load_model
from roadgis.network.network import RoadNetwork
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import ModelDescription
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads, predict_to_file
from tests.factories.models import foreign_model, save_model, tiny_card, tiny_model
from tests.factories.rasters import X0, Y0, write_raster
from tests.factories.roads import NET, write_net
from tests.model.test_foreign import DEEPNESS, TWO

CHUNK = 64


def cut(block_px: int = 128, **options: Any) -> ExtractOptions:
    return ExtractOptions(
        predict=PredictOptions(block_px=block_px, workers=2, chunk_px=CHUNK, **options)
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("scene") / "net.tif")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("scene") / "noisy.tif", seed=5)


def assert_is_net(network: RoadNetwork) -> None:
    lines = shapely.union_all(network.edges)
    truth = shapely.union_all(
        [shapely.LineString([(X0 + a, Y0 - b), (X0 + c, Y0 - d)]) for a, b, c, d, _ in NET]
    )
    # The slanting road and the lane share a surface near their junction.
    meeting = shapely.Point(X0 + 56, Y0 - 470).buffer(40)
    elsewhere = shapely.box(X0, Y0 - 500, X0 + 600, Y0) - meeting
    assert shapely.difference(lines & elsewhere, truth.buffer(1.5)).length == 0
    assert shapely.difference(truth & elsewhere, lines.buffer(1.5)).length < 2


@pytest.mark.parametrize(
    ("keywords", "description"),
    [
        ({"head": "logits"}, {}),
        ({"head": "sigmoid", "layout": "NHWC"}, {}),
        ({"head": "softmax"}, {"classes": TWO}),
        ({"head": "argmax", "sides": (160, 160), "batch": 1}, {"classes": TWO}),
        ({"head": "two logits", "stride": 64, "dtype": "uint8"}, {"classes": TWO}),
    ],
    ids=["nchw-logits", "nhwc-sigmoid", "softmax", "argmax-fixed", "stride-64"],
)
def test_extract_with_a_foreign_model_finds_the_painted_roads(
    tmp_path: Path, scene: Path, keywords: dict[str, Any], description: dict[str, Any]
) -> None:
    path = foreign_model(tmp_path / "m.onnx", **keywords)
    model = load_model(path, description=ModelDescription(gsd_m=1.0, **description))
    assert_is_net(extract_roads(scene, model=model, options=cut(256)))


def test_extract_with_a_deepness_model_needs_no_options(tmp_path: Path, scene: Path) -> None:
    path = foreign_model(
        tmp_path / "m.onnx", batch=1, sides=(512, 512), mean=0.5, std=0.25, metadata=DEEPNESS
    )
    output = tmp_path / "roads.geojson"
    network = extract_roads(scene, output, model=path)
    assert_is_net(network)
    made_by = json.loads(output.read_text())["roadgis"]
    assert made_by["grid"]["gsd_m"] == pytest.approx(0.5)
    assert made_by["threshold"] == 0.4


def test_extract_with_a_multi_class_model(tmp_path: Path, noisy: Path) -> None:
    one = extract_roads(noisy, model=tiny_model(tmp_path / "one.onnx"), options=cut())
    card = tiny_card(classes=("other", "road"), road_class=1)
    # The same probability, as the second of two channels.
    model = onnx.load(str(tmp_path / "one.onnx"))
    nodes = [_to(node, "road", "single") for node in model.graph.node]
    nodes += [
        helper.make_node("Neg", ["single"], ["negative"]),
        helper.make_node("Constant", [], ["unit"], value_float=1.0),
        helper.make_node("Add", ["negative", "unit"], ["rest"]),
        helper.make_node("Concat", ["rest", "single"], ["road"], axis=3),
    ]
    save_model(tmp_path / "two.onnx", nodes, card)
    two = extract_roads(noisy, model=tmp_path / "two.onnx", options=cut())
    assert [g.wkb for g in one.edges] == [g.wkb for g in two.edges]


def _to(node: Any, old: str, new: str) -> Any:
    node.output[:] = [new if name == old else name for name in node.output]
    return node


def probability(scene: Path, model: Any, path: Path, options: ExtractOptions) -> Any:
    predict_to_file(scene, path, model=model, options=options, overwrite=True)
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize("tile_px", [16, 64, 300])
def test_predict_with_a_fixed_tile_size_gives_the_probability_of_other_tiles(
    tmp_path: Path, noisy: Path, tile_px: int
) -> None:
    free = tiny_model(tmp_path / "free.onnx")
    fixed = tiny_model(tmp_path / "fixed.onnx", tile_px=tile_px)
    other = tiny_model(tmp_path / "other.onnx", tile_px=128)
    given = probability(noisy, fixed, tmp_path / "b.tif", cut())
    np.testing.assert_array_equal(given, probability(noisy, other, tmp_path / "c.tif", cut()))
    # Tiles of a fixed size reach beyond the imagery, others end with it (decision 0022), so along
    # its border the inputs differ.
    with rasterio.open(noisy) as image, rasterio.open(tmp_path / "b.tif") as dataset:
        assert dataset.bounds == image.bounds
    wanted = probability(noisy, free, tmp_path / "a.tif", cut())
    inside = slice(4, -4), slice(4, -4)
    np.testing.assert_array_equal(given[inside], wanted[inside])
    assert np.unique(wanted[inside]).size > 100


def test_predict_rejects_a_tile_size_other_than_the_fixed_one(tmp_path: Path, noisy: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx", tile_px=64)
    with pytest.raises(InputError, match="--tile-px is 128; model tiny takes tiles of 64 px only"):
        extract_roads(noisy, model=model, options=cut(tile_px=128))
    extract_roads(noisy, model=model, options=cut(tile_px=64))


class Recorder:
    """A segmenter that records its tiles."""

    device = "nothing"
    fingerprint = "0"

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.tiles: list[npt.NDArray[np.uint8]] = []

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.tiles.append(images[0].copy())
        return np.zeros(images.shape[:3], np.float32)

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.predict(images)[..., None]

    def release(self) -> None:
        """Nothing to release."""


def test_predict_with_a_fixed_tile_size_reads_the_scene_around_tiles(tmp_path: Path) -> None:
    # Red and green are row and column, blue marks the scene.
    rows, cols = np.indices((300, 420))
    blue = np.full_like(rows, 200)
    path = write_raster(tmp_path / "s.tif", np.stack([rows % 256, cols % 256, blue]).astype("u1"))
    card = tiny_card(tile_px=100, stride=1, margin_px=9, local=False)
    recorder = Recorder(card)
    extract_roads(path, model=recorder, options=cut(128))
    # 100 - 2 * 9 px of a tile are kept, whatever the blocks of 128 px: no tile is computed
    # for the remainder of a block. The scene starts some pixels inside its grid.
    assert len(recorder.tiles) == -(-(300 + 64) // 82) * -(-(420 + 64) // 82)
    for tile in recorder.tiles:
        assert tile.shape == (100, 100, 3)
        there = tile[..., 2] == 200
        assert (tile[~there] == INVALID_FILL).all()
        for axis, size in ((0, 300), (1, 420)):
            inside = np.flatnonzero(there.any(axis=1 - axis))
            position = tile[..., axis][there.any(axis=1)][:, there.any(axis=0)].max(axis=1 - axis)
            # Pixels outside the scene start exactly at its border.
            assert inside[0] == 0 or position[0] == 0
            assert inside[-1] == 99 or position[-1] == (size - 1) % 256


def lopsided_model(path: Path, stride: int = 4) -> Path:
    """Write the tiny model with a box that gives its right columns and lower rows more weight.

    It is as exact as the tiny model, and its output differs for mirrored images.
    """
    model = onnx.load(str(tiny_model(path, stride=stride)))
    (node,) = (node for node in model.graph.node if "box_sum" in node.output)
    box = numpy_helper.to_array(node.attribute[0].t)
    weight = np.array([0, 1, 1, 1, 2], np.float32)
    box = box * weight * weight[:, None]
    node.attribute[0].t.CopyFrom(numpy_helper.from_array(box, "box_sum"))
    path.write_bytes(model.SerializeToString())
    return path


def test_flips_average_mirrored_images(tmp_path: Path, noisy: Path) -> None:
    path = lopsided_model(tmp_path / "m.onnx")
    segmenter = OnnxSegmenter(path)
    plain = probability(noisy, path, tmp_path / "a.tif", cut(512))
    flipped = probability(noisy, path, tmp_path / "b.tif", cut(512, flips=True))
    assert (plain != flipped).mean() > 0.01
    with rasterio.open(noisy) as dataset, rasterio.open(tmp_path / "b.tif") as result:
        top, left = round(result.transform.f - Y0), round(X0 - result.transform.c)
        image = np.full((*flipped.shape, 3), INVALID_FILL, np.uint8)
        image[top : top + 500, left : left + 600] = np.moveaxis(dataset.read(), 0, -1)
    # On the stride grid, which starts where the result starts.
    window = np.s_[100:228, 200:360]
    image = image[window]
    total = np.zeros(image.shape[:2])
    for rows in (1, -1):
        for cols in (1, -1):
            mirrored = np.ascontiguousarray(image[::rows, ::cols])
            total += segmenter.predict(mirrored[None])[0][::rows, ::cols]
    inside = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(flipped[window][inside], (total / 4 * 254)[inside], atol=0.51)


@pytest.mark.parametrize("stride", [4, 8])
def test_flips_do_not_depend_on_tiles_and_blocks(tmp_path: Path, noisy: Path, stride: int) -> None:
    model = lopsided_model(tmp_path / "m.onnx", stride)
    wanted = probability(noisy, model, tmp_path / "a.tif", cut(640, flips=True))
    for options in (cut(64, flips=True), cut(192, tile_px=40, flips=True)):
        found = probability(noisy, model, tmp_path / "b.tif", options)
        np.testing.assert_array_equal(found, wanted)


def test_flips_are_logged_and_prevent_resuming_a_run_without_them(
    tmp_path: Path, noisy: Path
) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    work = tmp_path / "work"
    plain = ExtractOptions(predict=cut().predict, work_dir=work, keep_work=True)
    extract_roads(noisy, tmp_path / "plain.geojson", model=model, options=plain)
    both = ExtractOptions(predict=cut(flips=True).predict, work_dir=work)
    with pytest.raises(ResumeError, match="flips"):
        extract_roads(noisy, model=model, options=both)
    fresh = cut(flips=True)
    extract_roads(noisy, tmp_path / "flips.geojson", model=model, options=fresh)
    settings = {
        name: json.loads((tmp_path / f"{name}.geojson").read_text())["roadgis"]["settings"]
        for name in ("plain", "flips")
    }
    assert "predict" not in settings["plain"]
    assert settings["flips"]["predict"] == {"flips": True}
