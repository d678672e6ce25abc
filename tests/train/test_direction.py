"""Road direction as an auxiliary output: truth, loss, model with and without it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

import keras

from roadgis.errors import InputError
from roadgis.train.architectures import (
    ArchitectureOptions,
    build_model,
    freeze_encoder,
    with_precision,
)
from roadgis.train.direction import (
    DirectionLoss,
    direction_error,
    road_directions,
    with_direction,
    without_direction,
)
from roadgis.train.losses import build_loss

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

Floats = npt.NDArray[np.float32]
SIDE = 96
ROWS, COLS = np.mgrid[:SIDE, :SIDE] - 48


def road(degrees: float, width: float = 7) -> Floats:
    """Return a road through the middle, at an angle that grows clockwise from the row."""
    angle = math.radians(degrees)
    off = COLS * math.sin(angle) - ROWS * math.cos(angle)
    return (np.abs(off) <= width / 2).astype(np.float32)[None, ..., None]


def directions(mask: Floats, valid: Floats | None = None) -> tuple[Floats, Floats]:
    found = road_directions(mask, np.ones_like(mask) if valid is None else valid)
    direction, weight = (np.asarray(keras.ops.convert_to_numpy(part))[0] for part in found)
    return direction, weight[..., 0]


@pytest.mark.parametrize(
    ("degrees", "vector"), [(0, (1, 0)), (45, (0, 1)), (90, (-1, 0)), (135, (0, -1))]
)
@pytest.mark.parametrize("width", [3, 7, 15])
def test_road_directions_of_straight_roads(
    degrees: float, vector: tuple[float, float], width: float
) -> None:
    direction, weight = directions(road(degrees, width))
    assert direction[48, 48] == pytest.approx(vector, abs=1e-3)
    assert weight[48, 48] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("degrees", [10, 33, 71, 118, 160])
def test_road_directions_are_within_three_degrees(degrees: float) -> None:
    direction, weight = directions(road(degrees))
    inside = road(degrees)[0, 20:76, 20:76, 0] > 0
    doubled = 2 * math.radians(degrees)
    cosine = direction[20:76, 20:76][inside] @ (math.cos(doubled), math.sin(doubled))
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() / 2 < 3
    assert weight[20:76, 20:76][inside].min() > 0.85


def test_road_directions_rotate_with_the_mask() -> None:
    mask = road(25) * (COLS > -20)[None, ..., None]
    direction, weight = directions(mask)
    turned, turned_weight = directions(np.ascontiguousarray(np.rot90(mask, axes=(1, 2))))
    # A quarter turn is half a turn of the doubled angle.
    np.testing.assert_allclose(np.rot90(weight), turned_weight, atol=1e-5)
    sure = turned_weight > 0.1
    np.testing.assert_allclose(-np.rot90(direction)[sure], turned[sure], atol=1e-3)


def test_road_directions_weight_is_zero_at_crossings_only() -> None:
    _, weight = directions(np.maximum(road(0), road(90)))
    assert weight[48, 48] == pytest.approx(0, abs=1e-5)
    assert weight[48, 70] == pytest.approx(1, abs=1e-3)


def test_road_directions_weight_is_zero_off_valid_roads() -> None:
    valid = np.ones((1, SIDE, SIDE, 1), np.float32)
    valid[:, :, :40] = 0
    direction, weight = directions(road(0), valid)
    assert not weight[:, :40].any()
    assert not weight[road(0)[0, ..., 0] == 0].any()
    # The border of the valid area is not the edge of a road.
    assert direction[48, 41] == pytest.approx((1, 0), abs=1e-3)
    assert not directions(np.ones_like(valid))[1].any()
    assert not directions(np.zeros_like(valid))[1].any()


def error(mask: Floats, predicted: Floats) -> float:
    return float(direction_error(mask, predicted, np.ones_like(mask)))


def test_direction_error_by_hand() -> None:
    mask = road(0)
    right = np.zeros((1, SIDE, SIDE, 2), np.float32)
    right[..., 0] = 1
    assert error(mask, right) == pytest.approx(0, abs=1e-4)
    assert error(mask, 0 * right) == pytest.approx(0.5, abs=2e-3)
    assert error(mask, -right) == pytest.approx(2, abs=1e-2)
    # Off roads it has no effect.
    assert error(mask, right * mask) == pytest.approx(0, abs=1e-4)
    assert error(0 * mask, right) == 0


def test_direction_loss_adds_the_weighted_error() -> None:
    mask = road(30)
    valid = np.ones((1, SIDE, SIDE), np.float32)
    valid[:, :30] = 0
    rng = np.random.default_rng(1)
    predicted = rng.uniform(0.1, 0.9, (1, SIDE, SIDE, 3)).astype(np.float32)
    base = build_loss("bce_jaccard")
    loss = DirectionLoss(base, 0.25)
    off = float(direction_error(mask, predicted[..., 1:], valid[..., None]))
    expected = float(base(mask, predicted[..., :1], valid)) + 0.25 * off
    assert float(loss(mask, predicted, valid)) == pytest.approx(expected, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(mask, predicted, valid)) == pytest.approx(expected, rel=1e-5)


NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"depth": 3, "decoder_filters": (8, 8, 8)},
    "subpixel": {"depth": 3, "decoder_filters": (8, 8), "subpixel": True},
    "plain-unet": {"architecture": "plain-unet", "decoder_filters": (8, 16)},
    "fpn": {"architecture": "fpn"},
    "canet": {"architecture": "canet"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_with_direction_and_without_direction_keep_the_probability(name: str) -> None:
    model = build_model(ArchitectureOptions(**NETWORKS[name]))
    image = np.random.default_rng(1).normal(size=(1, 64, 96, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(image))
    helped = with_direction(model)
    found = keras.ops.convert_to_numpy(helped(image))
    assert found.shape == (1, 64, 96, 3)
    np.testing.assert_array_equal(found[..., :1], wanted)
    assert np.abs(found[..., 1:]).max() > 0
    plain = without_direction(helped)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(plain(image)), wanted)
    assert plain.output_shape == model.output_shape
    assert len(plain.weights) == len(model.weights)


def test_without_direction_returns_other_models_unchanged() -> None:
    model = build_model(ArchitectureOptions(**NETWORKS["unet"]))
    assert without_direction(model) is model


def test_with_direction_trains_with_frozen_encoder_in_half_precision() -> None:
    model = with_direction(
        with_precision(build_model(ArchitectureOptions(**NETWORKS["subpixel"])), "mixed_bfloat16")
    )
    freeze_encoder(model)
    assert model.get_layer("direction_conv").trainable
    assert not model.get_layer("stage1_unit1_conv1").trainable
    assert model(np.zeros((1, 32, 32, 3), np.float32)).dtype == "float32"


def test_direction_loss_is_saved_and_loaded(tmp_path: Path) -> None:
    model = with_direction(build_model(ArchitectureOptions(**NETWORKS["subpixel"])))
    model.compile(optimizer="sgd", loss=DirectionLoss(build_loss("bce_dice"), 0.5))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.weight == 0.5
    assert loaded.loss.segmentation.loss == "bce_dice"
    image = np.ones((1, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(without_direction(loaded)(image)),
        keras.ops.convert_to_numpy(without_direction(model)(image)),
    )


def test_with_direction_rejects_several_classes() -> None:
    model = build_model(ArchitectureOptions(**NETWORKS["unet"], classes=3))
    with pytest.raises(InputError, match=r"model of 3 classes.*Leave --direction-weight out"):
        with_direction(model)
