"""Choosing the threshold: the highest score, equal for stored and exact probability."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.errors import NotGeoreferencedWarning

from roadgis.errors import DataError, InputError, ModelError
from roadgis.model.catalog import read_card, resolve_model
from roadgis.model.runtime import OnnxSegmenter, load_model
from roadgis.options.scoring import ThresholdOptions
from roadgis.train.data.labelled_scene import IGNORE
from roadgis.train.scoring.curves import LevelCounts
from roadgis.train.scoring.evaluation import evaluate_scenes
from roadgis.train.scoring.scene_prediction import predict_scene
from roadgis.train.scoring.threshold import (
    choose_threshold,
    set_threshold,
    write_curve,
)
from tests.factories.models import GROUND, ROAD, tiny_model
from tests.factories.pairs import ArrayScene, write_scene

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)

counts = hnp.arrays(np.int64, 255, elements=st.integers(0, 50))
Counts = np.ndarray[tuple[int], np.dtype[np.int64]]


def levels(**pixels: int) -> Counts:
    found = np.zeros(255, np.int64)
    for name, count in pixels.items():
        found[int(name[1:])] = count
    return found


def road_scene(height: int = 70, width: int = 90) -> ArrayScene:
    image = np.full((height, width, 3), GROUND, np.uint8)
    image[30:38] = ROAD
    return ArrayScene("scene", image, (image == ROAD).all(axis=2).astype(np.uint8))


def write_pairs(folder: Path, scene: ArrayScene, names: tuple[str, ...] = ("a",)) -> Path:
    """Write a scene as image and mask under several names, and return the folder."""
    for name in names:
        write_scene(folder, name, scene)
    return folder


def test_choose_threshold_separates_road_and_other() -> None:
    choice = choose_threshold(levels(_200=10, _201=5), levels(_99=70, _100=30))
    assert choice.iou == 1.0
    assert 100 / 254 < choice.threshold < 200 / 254
    assert choice.threshold == pytest.approx(150.5 / 254, abs=0.003)  # the middle of the best


def test_level_counts_curve_iou_by_hand() -> None:
    # Road from level 150: 6 of 10 road pixels found, with 2 others: 6 / 12.
    road, other = levels(_150=6, _50=4), levels(_160=2, _10=100)
    iou = LevelCounts(road, other, 0 * road, 0 * road).curve().iou
    assert iou[150 - 1] == pytest.approx(6 / 12)
    assert iou[151 - 1] == pytest.approx(0 / 12)
    assert iou[11 - 1] == pytest.approx(10 / 12)


@given(road=counts, other=counts)
def test_choose_threshold_maximizes_iou(road: Counts, other: Counts) -> None:
    if road.sum() == 0:
        road[7] = 1
    choice = choose_threshold(road, other)
    stored = np.arange(255)
    assert len(choice.curve.threshold) == 254
    for threshold, iou, f1 in zip(
        choice.curve.threshold, choice.curve.iou, choice.curve.f1, strict=True
    ):
        taken = stored / 254 >= threshold
        hit = road[taken].sum()
        assert iou == pytest.approx(hit / (road.sum() + other[taken].sum()))
        assert f1 == pytest.approx(2 * iou / (1 + iou))
        assert iou <= choice.iou
        # Exact and stored probability give the same road pixels.
        np.testing.assert_array_equal(taken, stored >= threshold * 254)
    assert choose_threshold(road, other, criterion="f1").threshold == choice.threshold


@given(road=counts, other=counts, near=counts, reached=counts)
def test_choose_threshold_maximizes_relaxed_f1(
    road: Counts, other: Counts, near: Counts, reached: Counts
) -> None:
    # As in images: road pixels are near road, and reach themselves.
    near = road + np.minimum(near, other)
    reached = np.sort(np.repeat(np.arange(255), road))
    reached = np.bincount(np.minimum(reached + 20, 254), minlength=255)
    if road.sum() == 0:
        return
    choice = choose_threshold(road, other, near=near, reached=reached, criterion="relaxed-f1")
    best = 0.0
    for level in range(1, 255):
        found = road[level:].sum() + other[level:].sum()
        p = near[level:].sum() / found if found else 0.0
        r = reached[level:].sum() / road.sum()
        best = max(best, 2 * p * r / (p + r) if p + r else 0.0)
    assert choice.curve.at(choice.threshold).relaxed_f1 == pytest.approx(best)
    assert choice.criterion == "relaxed-f1"


def test_choose_threshold_rejects_missing_road_and_wrong_histograms() -> None:
    with pytest.raises(DataError, match="hold no road pixel"):
        choose_threshold(levels(), levels(_3=5))
    with pytest.raises(DataError, match=r"expected \(255,\)"):
        choose_threshold(np.ones(256, np.int64), np.ones(256, np.int64))
    with pytest.raises(InputError, match="within the buffer"):
        choose_threshold(levels(_9=1), levels(), criterion="relaxed-f1")


def test_threshold_options_reject_wrong_values() -> None:
    with pytest.raises(InputError, match="expected one of iou"):
        ThresholdOptions(criterion="best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"ends in \.svg"):
        ThresholdOptions(plot=Path("curve.jpg"))
    with pytest.raises(InputError, match=r"ends in \.csv"):
        ThresholdOptions(table=Path("curve.xlsx"))


def test_predict_scene_does_not_depend_on_tiles(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx"))
    image = np.random.default_rng(0).integers(0, 256, (53, 70, 3), np.uint8)
    whole = predict_scene(segmenter, image, tile_px=256)
    assert whole.shape == (53, 70)
    for tile_px in (1, 12, 20, 44):
        np.testing.assert_array_equal(predict_scene(segmenter, image, tile_px=tile_px), whole)


def test_evaluate_scenes_counts_each_valid_pixel_once(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx"))
    scene = road_scene()
    scene.labels[:, :11] = IGNORE
    found = evaluate_scenes(segmenter, [scene, scene]).counts
    road, other = found.road, found.other
    assert road.sum() == 2 * (scene.labels == 1).sum()
    assert road.sum() + other.sum() == 2 * (scene.labels != IGNORE).sum()
    assert choose_threshold(road, other).iou > 0.95


def test_level_counts_empty_adds_nothing() -> None:
    some = LevelCounts(*(levels(_3=5) for _ in range(4)))
    np.testing.assert_array_equal((some + LevelCounts.empty()).near, some.near)


def test_set_threshold_writes_threshold_and_scores_into_the_card(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx", threshold=0.9)
    scene = road_scene()
    folder = write_pairs(tmp_path / "valid", scene)
    before = load_model(path).predict(scene.image[None, :68, :88])
    card = set_threshold(path, [folder])
    assert read_card(path) == card
    assert 0.1 < card.threshold < 0.9
    assert card.scores["iou"] > 0.95
    assert card.scores["iou_at_half"] <= card.scores["iou"]
    assert card.scores["relaxed_f1_3px"] > 0.99
    assert card.scores["validation"] == "valid: 1 scenes"
    np.testing.assert_array_equal(load_model(path).predict(scene.image[None, :68, :88]), before)


def test_write_curve_as_csv_and_json(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    folder = write_pairs(tmp_path / "valid", road_scene())
    card = set_threshold(path, [folder], ThresholdOptions(table=tmp_path / "curve.csv"))
    with (tmp_path / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 254
    assert list(rows[0])[:5] == ["threshold", "iou", "precision", "recall", "f1"]
    best = max(rows, key=lambda row: float(row["iou"] or 0))
    assert float(best["iou"]) == pytest.approx(card.scores["iou"], abs=1e-4)
    set_threshold(path, [folder], ThresholdOptions(table=tmp_path / "curve.json"))
    values = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))
    assert values["threshold"] == card.threshold
    assert len(values["curve"]["relaxed_recall"]) == 254


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_set_threshold_plots_the_curve(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    path = tiny_model(tmp_path / "m.onnx")
    folder = write_pairs(tmp_path / "valid", road_scene())
    plot = tmp_path / f"curve.{kind}"
    set_threshold(path, [folder], ThresholdOptions(plot=plot, criterion="relaxed-f1"))
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind]
    assert plot.read_bytes().startswith(start)


def test_set_threshold_rejects_the_bundled_model(tmp_path: Path) -> None:
    before = resolve_model("default").read_bytes()
    with pytest.raises(ModelError, match="bundled model"):
        set_threshold(Path("default"), [tmp_path])
    assert resolve_model("default").read_bytes() == before


# From Keras under NumPy 2, on saving.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_set_threshold_of_a_run_changes_both_models(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    pytest.importorskip("matplotlib")
    from roadgis.model.card import read_card_file, write_card_file

    run = tmp_path / "run"
    run.mkdir()
    image = keras.Input((None, None, 3))
    # Red minus green, so that the grey road is 0.5 and the green ground is below.
    difference = keras.layers.Conv2D(1, 1, activation="sigmoid")
    network = keras.Model(image, difference(image))
    difference.set_weights([np.array([[[[4.0], [-4.0], [0.0]]]]), np.zeros(1)])
    network.save(run / "model.keras")
    tiny_model(run / "model.onnx", threshold=0.9, name="exported")
    onnx_card = read_card(run / "model.onnx")
    write_card_file(
        type(onnx_card)(name="trained", version="1", stride=1, threshold=0.9), run / "model.keras"
    )
    folder = write_pairs(tmp_path / "valid", road_scene())
    card = set_threshold(run, [folder])
    assert card.name == "trained"
    assert card.scores["iou"] == 1.0
    assert 0.31 < card.threshold < 0.5  # ground is sigmoid(4 * (60 - 110) / 255) = 0.313
    assert read_card_file(run / "model.keras") == card
    exported = read_card(run / "model.onnx")
    assert exported.name == "exported"
    assert exported.threshold == card.threshold
    assert (run / "threshold.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (run / "threshold.csv").is_file()
    # Again, with existing outputs, and without an exported model.
    (run / "model.onnx").unlink()
    assert set_threshold(run, [folder]).threshold == card.threshold
    shutil.rmtree(run)


def test_write_curve_leaves_undefined_scores_empty(tmp_path: Path) -> None:
    # At high thresholds nothing is predicted, so precision is undefined.
    choice = choose_threshold(levels(_10=5), levels(_20=1))
    write_curve(choice, tmp_path / "curve.csv")
    lines = (tmp_path / "curve.csv").read_text(encoding="utf-8").splitlines()
    assert lines[10].startswith("0.0374,0.833333,0.833333,1.0,")
    assert lines[254].startswith("0.998,0.0,,0.0,0.0,")
    write_curve(choice, tmp_path / "curve.json")
    values = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))
    assert values["curve"]["precision"][253] is None
