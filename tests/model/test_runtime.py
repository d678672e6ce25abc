"""Running models: exact output of a small model, agreement of tiles, error messages."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from roadgis.errors import InputError, MissingExtraError, ModelError
from roadgis.model.card import ModelCard, write_card_file
from roadgis.model.runtime import (
    Device,
    OnnxSegmenter,
    available_threads,
    load_model,
    preferred_provider,
)
from tests.factories.models import (
    GROUND,
    MAGENTA,
    ROAD,
    failing_model,
    save_model,
    tiny_card,
    tiny_model,
)

Image = npt.NDArray[np.uint8]


def painted(height: int, width: int) -> Image:
    """Return ground with a cross of roads, 6 and 5 px wide."""
    image = np.full((height, width, 3), GROUND, np.uint8)
    image[20:26] = ROAD
    image[:, 31:36] = ROAD
    return image


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> OnnxSegmenter:
    return OnnxSegmenter(tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


@pytest.mark.parametrize("along", ["rows", "columns"])
def test_predict_finds_painted_roads_pixel_by_pixel(tiny: OnnxSegmenter, along: str) -> None:
    image = np.full((64, 80, 3), GROUND, np.uint8)
    road = np.s_[20:26] if along == "rows" else np.s_[:, 31:36]
    image[road] = ROAD
    probability = tiny.predict(image[None])
    assert probability.shape == (1, 64, 80)
    assert probability.dtype == np.float32
    is_road = (image == ROAD).all(axis=2)
    inside = np.s_[4:-4, 4:-4]
    np.testing.assert_array_equal(probability[0][inside] >= 0.5, is_road[inside])
    assert probability[0, 8, 8] == 0.0
    assert probability[0][road].max() == 1.0


def test_load_model_returns_card_device_and_fingerprint(tmp_path: Path) -> None:
    import hashlib

    path = tiny_model(tmp_path / "m.onnx", gsd_m=0.5)
    segmenter = load_model(path, threads=1, device="cpu")
    assert segmenter.card == tiny_card(gsd_m=0.5)
    assert segmenter.device == "ONNX Runtime, CPU"
    assert segmenter.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()


def test_load_model_logs_the_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="roadgis"):
        load_model(tiny_model(tmp_path / "m.onnx"), device="cpu")
    assert "model tiny 1 (m.onnx) on ONNX Runtime, CPU" in caplog.text


def test_predict_scales_each_band_by_the_card(tmp_path: Path) -> None:
    card = tiny_card(mean=(0.2, 0.4, 0.6), std=(0.5, 0.25, 0.1), stride=1, margin_px=0)
    nodes = [helper.make_node("Identity", ["image"], ["road"])]
    for index in range(3):
        # An identity model returns its input, one "class" for each band; only values that
        # stay within 0..1 are valid probabilities, and the pixel is chosen accordingly.
        path = tmp_path / f"{index}.onnx"
        three = ("a", "b", "c")
        save_model(path, nodes, tiny_card(**_fields(card, classes=three, road_class=index)))
        pixel = np.array([102, 127, 160], np.uint8).reshape(1, 1, 1, 3)
        wanted = (pixel[0, 0, 0, index] / 255 - card.mean[index]) / card.std[index]
        assert OnnxSegmenter(path).predict(pixel)[0, 0, 0] == pytest.approx(wanted, abs=1e-6)


def _fields(card: ModelCard, **changes: object) -> dict[str, object]:
    kept = ("mean", "std", "stride", "margin_px")
    return {name: getattr(card, name) for name in kept} | changes


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_predict_of_tiles_on_the_stride_grid_agrees_inside_the_margins(
    tiny: OnnxSegmenter, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**16))
    image = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    whole = tiny.predict(image[None])[0]
    margin = tiny.card.margin_px
    row, col = (4 * data.draw(st.integers(0, 9)) for _ in range(2))
    height, width = (4 * data.draw(st.integers(3, 6)) for _ in range(2))
    tile = tiny.predict(image[None, row : row + height, col : col + width])[0]
    inside = np.s_[margin:-margin, margin:-margin]
    np.testing.assert_array_equal(
        tile[inside], whole[row : row + height, col : col + width][inside]
    )


def test_predict_of_tiles_off_the_stride_grid_differs(tiny: OnnxSegmenter) -> None:
    image = painted(64, 64)
    whole = tiny.predict(image[None])[0]
    shifted = tiny.predict(image[None, 2:62, 2:62])[0]
    assert np.abs(shifted[4:-4, 4:-4] - whole[6:-6, 6:-6]).max() > 0.01


def test_predict_of_a_batch_equals_its_images_alone(tiny: OnnxSegmenter) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    together = tiny.predict(images)
    for image, probability in zip(images, together, strict=True):
        np.testing.assert_array_equal(tiny.predict(image[None])[0], probability)


def test_predict_classes_of_one_class_equals_predict(tiny: OnnxSegmenter) -> None:
    image = painted(64, 64)[None]
    classes = tiny.predict_classes(image)
    assert classes.shape == (1, 64, 64, 1)
    np.testing.assert_array_equal(classes[..., 0], tiny.predict(image))


def test_predict_classes_of_a_softmax_sum_to_one(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["image"], ["road"])]
    card = tiny_card(
        classes=("other", "road", "water"), road_class=1, activation="softmax", stride=1,
        margin_px=0, std=(0.1,) * 3,
    )  # fmt: skip
    save_model(tmp_path / "m.onnx", nodes, card)
    segmenter = OnnxSegmenter(tmp_path / "m.onnx")
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    classes = segmenter.predict_classes(image)
    assert classes.shape == (2, 5, 7, 3)
    np.testing.assert_allclose(classes.sum(axis=-1), 1, atol=1e-6)
    powers = np.exp(image / 25.5)
    wanted = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(classes, wanted, atol=1e-6)
    np.testing.assert_array_equal(segmenter.predict(image), classes[..., 1])


def test_predict_with_a_fixed_tile_size_rejects_others(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(tiny_model(tmp_path / "m.onnx", tile_px=32))
    assert segmenter.predict(painted(64, 64)[None, :32, :32]).shape == (1, 32, 32)
    with pytest.raises(InputError, match="expects tiles of 32 x 32 px only"):
        segmenter.predict(painted(64, 64)[None])


def test_load_model_rejects_a_card_with_another_tile_size(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["image"], ["road"])]
    for fields in ({}, {"tile_px": 64}):
        save_model(tmp_path / "m.onnx", nodes, tiny_card(**fields), inputs=("N", 32, 32, 3))
        with pytest.raises(ModelError, match=r"expected one float tensor.*as its card says"):
            OnnxSegmenter(tmp_path / "m.onnx")


def test_predict_is_thread_safe(tiny: OnnxSegmenter) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 64, 64, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(tiny.predict, images))
    for image, probability in zip(images, found, strict=True):
        np.testing.assert_array_equal(tiny.predict(image), probability)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((1, 8, 8, 3), np.uint16), "uint16"),
        (np.zeros((1, 8, 8, 4), np.uint8), r"expects \(N, H, W, 3\)"),
        (np.zeros((8, 8, 3), np.uint8), r"expects \(N, H, W, 3\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "0 images of 8 x 8 px"),
        (np.zeros((1, 8, 10, 3), np.uint8), "1 images of 10 x 8 px.*multiples of its stride, 4 px"),
    ],
)
def test_predict_rejects_images_that_do_not_match_the_card(
    tiny: OnnxSegmenter, image: Image, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        tiny.predict(image)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("error", "the model failed on images of shape"),
        ("nan", "not numbers"),
        ("shape", r"output of shape \(1, 16, 16, 1\).*expected \(1, 32, 32, 1\)"),
        ("range", "values from -9 to -9, expected probabilities"),
    ],
)
def test_predict_error_names_the_kind_of_failure(tmp_path: Path, kind: str, said: str) -> None:
    segmenter = OnnxSegmenter(failing_model(tmp_path / "m.onnx", kind))  # type: ignore[arg-type]
    image = np.full((1, 32, 32, 3), GROUND, np.uint8)
    if kind in ("error", "nan"):
        assert segmenter.predict(image).max() == 0.0
    image[0, 7, 9] = MAGENTA
    with pytest.raises(ModelError, match=said):
        segmenter.predict(image)


def test_load_model_rejects_channels_first_and_wrong_bands(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["image"], ["road"])]
    for inputs in (("N", 3, "H", "W"), ("N", "H", "W", 4), ("N", "H", "W")):
        save_model(tmp_path / "m.onnx", nodes, tiny_card(), inputs=inputs)
        with pytest.raises(ModelError, match=r"expected one float tensor \(N, H, W, 3\)"):
            load_model(tmp_path / "m.onnx")


def test_device_cuda_without_a_gpu_is_an_error_and_auto_uses_the_cpu(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    path = tiny_model(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="onnxruntime-gpu"):
        load_model(path, device="cuda")
    assert load_model(path, device="auto").device == "ONNX Runtime, CPU"


@pytest.mark.parametrize(
    ("device", "offered", "chosen"),
    [
        ("auto", ["CPUExecutionProvider"], "CPUExecutionProvider"),
        ("auto", ["CoreMLExecutionProvider", "CPUExecutionProvider"], "CoreMLExecutionProvider"),
        ("auto", ["DmlExecutionProvider", "CUDAExecutionProvider"], "CUDAExecutionProvider"),
        ("auto", ["AzureExecutionProvider", "CPUExecutionProvider"], "CPUExecutionProvider"),
        ("cpu", ["CUDAExecutionProvider", "CPUExecutionProvider"], "CPUExecutionProvider"),
    ],
)
def test_preferred_provider_is_a_gpu_where_one_is_offered(
    device: Device, offered: list[str], chosen: str
) -> None:
    assert preferred_provider(device, offered) == chosen


def test_runtime_options_reject_values_out_of_range(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="threads is 0"):
        load_model(path, threads=0)
    with pytest.raises(InputError, match="device is 'gpu'"):
        load_model(path, device="gpu")  # type: ignore[arg-type]
    assert available_threads() >= 1


def test_load_model_of_keras_without_tensorflow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"anything")
    write_card_file(tiny_card(), path)
    for name in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[train\]'"):
        load_model(path)


def test_load_model_of_keras_without_card_fails_before_loading_tensorflow(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"no model card; expected it at .*m\.keras\.json"):
        load_model(path)


def test_runtime_import_loads_no_framework() -> None:
    code = (
        "import sys, roadgis.model.runtime, roadgis.model.catalog\n"
        "heavy = {'onnxruntime', 'onnx', 'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
