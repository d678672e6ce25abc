"""Architectures: build, train, save, load, geometry."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.errors import InputError, ModelError, ReadError
from roadgis.model import keras_backend
from roadgis.options.training import ARCHITECTURES
from roadgis.train import framework
from roadgis.train.architectures import (
    ArchitectureOptions,
    as_float32,
    build_model,
    fixed_tile,
    freeze_encoder,
    model_stride,
    receptive_margin,
    thaw_encoder,
    with_precision,
)
from roadgis.train.architectures.options import BACKBONES
from roadgis.train.architectures.states import encoder_layers
from roadgis.train.framework import import_keras, import_segmentation_models

# TensorFlow's variables under NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)

# Small models of each architecture: options, stride.
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    "unet": ({"depth": 3, "decoder_filters": (8, 8, 8)}, 8),
    "linknet": ({"depth": 3, "decoder_filters": (8,)}, 8),
    "fpn": ({"decoder_filters": (16, 8)}, 32),
    "pspnet": ({"depth": 2, "decoder_filters": (8,), "crop_px": 48}, 4),
    "plain-unet": ({"decoder_filters": (4, 6, 8)}, 4),
    "canet": ({"depth": 3, "decoder_filters": (16, 8, 4)}, 8),
}


def small(architecture: str, **changes: Any) -> ArchitectureOptions:
    return ArchitectureOptions(architecture=architecture, **{**SMALL[architecture][0], **changes})


def batch(model: Any, seed: int = 0) -> tuple[Any, Any]:
    """Return random images, and one-hot classes for them."""
    rng = np.random.default_rng(seed)
    side, classes = fixed_tile(model) or 64, model.output_shape[-1]
    images = rng.normal(size=(2, side, side, model.input_shape[-1])).astype(np.float32)
    labels = rng.integers(0, max(classes, 2), (2, side, side))
    if classes == 1:
        return images, labels[..., None].astype(np.float32)
    return images, np.eye(classes, dtype=np.float32)[labels]


def step(model: Any) -> float:
    """Compile, take one step of training and return the loss."""
    keras = import_keras()
    loss = "binary_crossentropy" if model.output_shape[-1] == 1 else "categorical_crossentropy"
    # Eager: compiling a graph takes far longer than a single step.
    model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=True)
    return float(model.train_on_batch(*batch(model)))


def predict(model: Any, images: Any) -> Any:
    return np.asarray(model(images, training=False))


@pytest.fixture(
    scope="module",
    params=[(name, classes) for name in ARCHITECTURES for classes in (1, 3)],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return settings, a model after one step, its loss, and the file it was saved to."""
    name, classes = request.param
    options = small(name, classes=classes)
    model = build_model(options)
    loss = step(model)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return options, model, loss, path


def test_build_model_trains_with_finite_loss(trained: Any) -> None:
    _, model, loss, _ = trained
    assert np.isfinite(loss)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_build_model_outputs_probabilities_of_the_image_size(trained: Any) -> None:
    options, model, _, _ = trained
    images, labels = batch(model)
    found = predict(model, images)
    assert found.shape == labels.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    if options.classes > 1:
        np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert model.layers[-1].name == ("sigmoid" if options.classes == 1 else "softmax")
    assert type(model.layers[-1]).__name__ == "Activation"


def test_build_model_saves_and_loads_without_custom_objects(trained: Any) -> None:
    _, model, _, path = trained
    keras = import_keras()
    with keras.saving.custom_object_scope({}):
        loaded = keras.models.load_model(path, compile=False)
    images, _ = batch(model)
    np.testing.assert_array_equal(predict(loaded, images), predict(model, images))


def test_model_stride_receptive_margin_and_fixed_tile_match_the_options(trained: Any) -> None:
    options, model, _, _ = trained
    stride = SMALL[options.architecture][1]
    assert model_stride(options) == model_stride(model) == stride
    assert fixed_tile(model) == (48 if options.architecture == "pspnet" else None)
    if options.classes > 1 or options.architecture == "fpn":
        # equal except for the last layer; and one whose receptive field is slow to measure
        return
    margin = receptive_margin(model, stride, limit_px=256)
    # By hand for the plain one: (2 + 2 * 2 + 2 * 4 + 2 * 2 + 2) px of convolutions, 3 of pooling.
    known = {"plain-unet": 24, "pspnet": None, "canet": None}
    if options.architecture in known:
        assert margin == known[options.architecture]
    else:
        assert margin is not None
        assert margin % stride == 0


@pytest.mark.parametrize(("reach_px", "margin"), [(100, 100), (300, 300), (1000, 1000)])
def test_receptive_margin_is_exact_at_any_reach(reach_px: int, margin: int) -> None:
    layers = import_keras().layers
    image = layers.Input((None, None, 3))
    logits = layers.Conv2D(1, 3, padding="same", dilation_rate=reach_px)(image)
    model = import_keras().Model(image, layers.Activation("sigmoid")(logits))
    assert receptive_margin(model, 1) == margin


def test_freeze_encoder_and_thaw_encoder_control_training(trained: Any) -> None:
    _, _, _, path = trained
    model = import_keras().models.load_model(path, compile=False)
    encoder = [layer for layer in encoder_layers(model) if layer.weights]
    rest = [layer for layer in model.layers if layer.trainable_weights and layer not in encoder]
    assert encoder
    assert rest
    freeze_encoder(model)
    before, others = [layer.get_weights() for layer in encoder], rest[-1].get_weights()
    step(model)
    for layer, weights in zip(encoder, before, strict=True):
        for one, other in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=layer.name)
    assert any((a != b).any() for a, b in zip(rest[-1].get_weights(), others, strict=True))
    thaw_encoder(model)
    step(model)
    assert all(
        any((a != b).any() for a, b in zip(layer.get_weights(), weights, strict=True))
        for layer, weights in list(zip(encoder, before, strict=True))[:3]
    )


def test_encoder_layers_are_exactly_the_encoder() -> None:
    for name in ("unet", "linknet", "fpn", "pspnet", "canet"):
        options = small(name, backbone="mobilenet")
        found = {layer.name for layer in encoder_layers(build_model(options)) if layer.weights}
        whole = framework.import_segmentation_models().Backbones.get_backbone(
            "mobilenet",
            input_shape=(None, None, 3),
            weights=None,
            include_top=False,
            **framework.encoder_modules(),
        )
        assert found <= {layer.name for layer in whole.layers}
        assert "conv1" in found


@pytest.mark.parametrize("name", ["unet", "fpn", "plain-unet", "canet"])
def test_build_model_without_batch_norm(name: str) -> None:
    counts = []
    for batch_norm in (True, False):
        model = build_model(small(name, batch_norm=batch_norm))
        encoder = set() if name == "plain-unet" else {id(x) for x in encoder_layers(model)}
        counts.append(
            sum("batch" in type(x).__name__.lower() for x in model.layers if id(x) not in encoder)
        )
    assert counts[0] > 0
    assert counts[1] == 0


@pytest.mark.parametrize("name", ["unet", "plain-unet", "canet"])
def test_as_float32_keeps_the_weights_of_mixed_precision(name: str, tmp_path: Path) -> None:
    keras = import_keras()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(small(name))
        assert np.isfinite(step(model))
    finally:
        keras.config.set_dtype_policy("float32")
    images, _ = batch(model)
    found = predict(model, images)
    assert found.dtype == np.float32
    copy = as_float32(model)
    assert {layer.compute_dtype for layer in model.layers[1:-1]} == {"bfloat16"}
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    for one, other in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # bfloat16 has 8 bits: probabilities differ by some hundredths, a few pixels by more.
    assert np.abs(predict(copy, images) - found).mean() < 0.03
    model.save(tmp_path / "half.keras")
    loaded = as_float32(keras.models.load_model(tmp_path / "half.keras", compile=False))
    np.testing.assert_array_equal(predict(loaded, images), predict(copy, images))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_with_precision_keeps_weights_and_output(name: str) -> None:
    model = build_model(small(name))
    half = with_precision(model, "mixed_bfloat16")
    assert half.layers[-1].compute_dtype == "float32"
    for one, other in zip(half.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images, _ = batch(model)
    assert np.abs(predict(half, images) - predict(model, images)).mean() < 0.03


# Layers with weights of the depth-4 U-Net of trained models: shapes, or number and length of
# vectors.
_UNET = """
bn_data 3*3, conv0 7x7x3x64, bn0 4*64, stage1_unit1_bn1 4*64, stage1_unit1_conv1 3x3x64x64,
stage1_unit1_bn2 4*64, stage1_unit1_conv2 3x3x64x64, stage1_unit1_sc 1x1x64x64,
stage1_unit2_bn1 4*64, stage1_unit2_conv1 3x3x64x64, stage1_unit2_bn2 4*64,
stage1_unit2_conv2 3x3x64x64, stage2_unit1_bn1 4*64, stage2_unit1_conv1 3x3x64x128,
stage2_unit1_bn2 4*128, stage2_unit1_conv2 3x3x128x128, stage2_unit1_sc 1x1x64x128,
stage2_unit2_bn1 4*128, stage2_unit2_conv1 3x3x128x128, stage2_unit2_bn2 4*128,
stage2_unit2_conv2 3x3x128x128, stage3_unit1_bn1 4*128, stage3_unit1_conv1 3x3x128x256,
stage3_unit1_bn2 4*256, stage3_unit1_conv2 3x3x256x256, stage3_unit1_sc 1x1x128x256,
stage3_unit2_bn1 4*256, stage3_unit2_conv1 3x3x256x256, stage3_unit2_bn2 4*256,
stage3_unit2_conv2 3x3x256x256, stage4_unit1_bn1 4*256, decoder_stage0a_conv 3x3x384x128,
decoder_stage0a_bn 4*128, decoder_stage0b_conv 3x3x128x128, decoder_stage0b_bn 4*128,
decoder_stage1a_conv 3x3x192x64, decoder_stage1a_bn 4*64, decoder_stage1b_conv 3x3x64x64,
decoder_stage1b_bn 4*64, decoder_stage2a_conv 3x3x128x32, decoder_stage2a_bn 4*32,
decoder_stage2b_conv 3x3x32x32, decoder_stage2b_bn 4*32, decoder_stage3a_conv 3x3x32x16,
decoder_stage3a_bn 4*16, decoder_stage3b_conv 3x3x16x16, decoder_stage3b_bn 4*16,
final_conv 3x3x16x1 1
"""


def weight_table(model: Any) -> list[str]:
    lines = []
    for layer in model.layers:
        shapes = ["x".join(map(str, weight.shape)) for weight in layer.weights]
        if len(shapes) > 1 and all("x" not in shape for shape in shapes):
            shapes = [f"{len(shapes)}*{shapes[0]}"]
        if shapes:
            lines.append(f"{layer.name} {' '.join(shapes)}")
    return lines


def test_build_model_unet_weights_are_stable() -> None:
    model = build_model(ArchitectureOptions(depth=4))
    assert model.name == "unet_resnet18_s16"
    assert model.count_params() == 3582426
    assert len(model.layers) == 100
    assert weight_table(model) == " ".join(_UNET.split()).split(", ")


def test_backbones_are_those_of_segmentation_models_and_efficientnet_lite() -> None:
    sm = import_segmentation_models()
    own = {f"efficientnetlite{size}" for size in range(3)}
    assert set(BACKBONES) - own == set(sm.get_available_backbone_names())
    assert own < set(BACKBONES)
    with pytest.raises(InputError, match="expected one of: unet"):
        ArchitectureOptions(architecture="segnet")


def check_backbone(name: str, folder: Path) -> None:
    model = build_model(ArchitectureOptions(backbone=name, decoder_filters=(8,) * 5))
    assert model_stride(model) == 32
    assert np.isfinite(step(model))
    images, _ = batch(model)
    model.save(folder / "model.keras")
    loaded = import_keras().models.load_model(folder / "model.keras", compile=False)
    np.testing.assert_array_equal(predict(loaded, images), predict(model, images))


# One quick model per family; grouped convolutions (ResNeXt, SENet) are slow to build.
FAMILIES = ("vgg16", "seresnet18", "inceptionv3", "mobilenetv2", "efficientnetb0")
# The blocks that the first families lack: bottlenecks, grouped convolutions, dense blocks.
SLOW_FAMILIES = (
    "resnet50", "resnext50", "seresnext50", "inceptionresnetv2", "densenet121", "mobilenet",
)  # fmt: skip
# Larger members of the families: more or wider blocks.
LARGER = [name for name in BACKBONES if name not in FAMILIES + SLOW_FAMILIES]


@pytest.mark.parametrize("name", FAMILIES)
def test_backbone_families_train_save_and_load(name: str, tmp_path: Path) -> None:
    check_backbone(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_FAMILIES)
def test_other_backbone_families_train_save_and_load(name: str, tmp_path: Path) -> None:
    check_backbone(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_larger_backbones_build(name: str) -> None:
    options = ArchitectureOptions(backbone=name, decoder_filters=(8,) * 5)
    model = build_model(options)
    assert model_stride(model) == model_stride(options) == 32
    assert model.output_shape == (None, None, None, 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_options_survive_json(name: str) -> None:
    options = small(name, classes=4, encoder_weights="weights.keras", batch_norm=False)
    text = json.dumps(dataclasses.asdict(options))
    assert ArchitectureOptions(**json.loads(text)) == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "segnet"}, "expected one of: unet"),
        ({"backbone": "resnet19"}, "expected one of: vgg16"),
        ({"depth": 6}, r"expected one of \[3, 4, 5\]"),
        ({"depth": 3, "decoder_filters": (8, 8)}, "one for each of the 3 stages"),
        ({"decoder_filters": (8, 8, 8, 8, 0)}, "above 0"),
        ({"architecture": "fpn", "depth": 4}, r"expected one of \[5\]"),
        ({"architecture": "fpn", "decoder_filters": (8,)}, "the widths of the pyramid"),
        ({"architecture": "pspnet"}, "multiple of 48"),
        ({"architecture": "pspnet", "crop_px": 256}, "multiple of 48"),
        ({"architecture": "plain-unet", "decoder_filters": (8,)}, "2 to 7 resolutions"),
        ({"architecture": "plain-unet", "depth": 3}, "Leave the depth"),
        ({"architecture": "plain-unet", "encoder_weights": "imagenet"}, "no ImageNet weights"),
        ({"bands": 4, "encoder_weights": "imagenet"}, "which are for 3"),
        ({"classes": 0}, "at least 1"),
        ({"depth": 4, "encoder_units": (2, 2)}, r"expected 3 numbers above 0"),
        ({"depth": 3, "encoder_units": (2, 0)}, r"expected 2 numbers above 0"),
        ({"backbone": "vgg16", "encoder_units": (2, 2, 2, 2)}, "for resnet18 and resnet34 only"),
        ({"architecture": "plain-unet", "encoder_units": (2,)}, "units .* for plain-unet"),
        ({"encoder_units": (2,) * 4, "encoder_weights": "imagenet"}, "Choose one of the two"),
        ({"architecture": "linknet", "subpixel": True}, "is for unet only"),
        ({"subpixel": True, "decoder_filters": (8,) * 5}, "but the last"),
    ],
)
def test_architecture_options_reject_impossible_models(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ArchitectureOptions(**options)


@pytest.mark.parametrize("classes", [1, 3])
def test_subpixel_output_lays_out_four_values_as_four_pixels(classes: int) -> None:
    model = build_model(small("unet", subpixel=True, decoder_filters=(8, 8), classes=classes))
    keras = import_keras()
    values = keras.Model(model.input, model.get_layer("subpixel_conv").output)
    logits = keras.Model(model.input, model.get_layer("final_conv").output)
    images, labels = batch(model)
    small_ones, found = predict(values, images), predict(logits, images)
    count, height, width, _ = small_ones.shape
    assert found.shape == labels.shape == (count, 2 * height, 2 * width, classes)
    laid_out = small_ones.reshape(count, height, width, 2, 2, classes).swapaxes(2, 3)
    np.testing.assert_allclose(found, laid_out.reshape(found.shape), rtol=1e-6)
    assert np.isfinite(step(model))
    assert model_stride(model) == 8
    full = [layer.name for layer in model.layers if layer.output.shape[-1] == 8]
    assert "decoder_stage1b_relu" in full
    assert not any("decoder_stage2" in layer.name for layer in model.layers)


def test_encoder_units_change_the_number_of_residual_units() -> None:
    plain = build_model(small("unet"))
    deep = build_model(small("unet", encoder_units=(3, 4)))
    new = {layer.name for layer in deep.layers} - {layer.name for layer in plain.layers}
    assert {name.rsplit("_", 1)[0] for name in new if name.startswith("stage")} == {
        "stage1_unit3",
        "stage2_unit3",
        "stage2_unit4",
    }
    # Two convolutions at 1/4 reach 8 px further, four at 1/8 reach 32 px.
    margins = [receptive_margin(model, 8) for model in (plain, deep)]
    assert margins[1] == margins[0] + 8 + 32
    same = build_model(small("unet", encoder_units=(2, 2)))
    shapes = [
        {x.name: [w.shape for w in x.weights] for x in model.layers if x.weights}
        for model in (same, plain)
    ]
    assert shapes[0] == shapes[1]


def test_build_model_with_other_numbers_of_bands() -> None:
    assert build_model(small("unet", bands=4)).input_shape == (None, None, None, 4)
    assert build_model(small("plain-unet", bands=1)).input_shape == (None, None, None, 1)


def test_encoder_weights_load_from_a_model_or_a_weights_file(tmp_path: Path) -> None:
    source = build_model(small("unet", depth=4, decoder_filters=(8,) * 4))
    source.save(tmp_path / "model.keras")
    options = small("canet", encoder_weights=str(tmp_path / "model.keras"))
    # A depth of 4 leaves out the last stage of the encoder.
    with pytest.raises(ModelError, match=r"do not fit the encoder.*is missing"):
        build_model(options)
    whole = framework.import_segmentation_models().Backbones.get_backbone(
        "resnet18",
        input_shape=(None, None, 3),
        weights=None,
        include_top=False,
        **framework.encoder_modules(),
    )
    whole.save(tmp_path / "encoder.keras")
    whole.save_weights(tmp_path / "encoder.weights.h5")
    wanted = {layer.name: layer.get_weights() for layer in whole.layers}
    for name in ("encoder.keras", "encoder.weights.h5"):
        model = build_model(small("canet", encoder_weights=str(tmp_path / name)))
        for layer in (layer for layer in encoder_layers(model) if layer.weights):
            for one, other in zip(layer.get_weights(), wanted[layer.name], strict=True):
                np.testing.assert_array_equal(one, other)
        with pytest.raises(ModelError, match="do not fit the encoder"):
            build_model(small("unet", backbone="mobilenet", encoder_weights=str(tmp_path / name)))
    with pytest.raises(InputError, match="no file of encoder weights"):
        build_model(small("unet", encoder_weights=str(tmp_path / "none.keras")))
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded as a Keras model"):
        build_model(small("unet", encoder_weights=str(tmp_path / "broken.keras")))


def test_encoder_weights_of_a_plain_unet_load_from_another(tmp_path: Path) -> None:
    source = build_model(small("plain-unet"))
    source.save(tmp_path / "model.keras")
    options = small("plain-unet", classes=3, encoder_weights=str(tmp_path / "model.keras"))
    model = build_model(options)
    for one, other in zip(encoder_layers(model), encoder_layers(source), strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="another plain-unet"):
        build_model(small("plain-unet", encoder_weights=str(tmp_path / "none.keras")))


def test_encoder_weights_download_error_names_url_and_remedy() -> None:
    utils = framework.encoder_modules()["utils"]
    url = "http://127.0.0.1:9/weights.h5"  # nothing listens on the discard port
    with pytest.raises(ReadError, match=r"127\.0\.0\.1:9/weights.h5.*in place of 'imagenet'"):
        utils.get_file("roadgis-test-weights.h5", url, cache_subdir="models")


_BACKEND = """
import sys
from roadgis.model.keras_backend import choose_backend
print(choose_backend(), "keras" in sys.modules, "jax" in sys.modules, "tensorflow" in sys.modules)
"""


def run_python(code: str, **environment: str) -> str:
    ours = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**ours, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_choose_backend_imports_nothing_and_follows_the_environment() -> None:
    assert run_python(_BACKEND, KERAS_BACKEND="jax") == "jax False False False"
    assert run_python(_BACKEND, KERAS_BACKEND="tensorflow") == "tensorflow False False False"


def test_choose_backend_is_jax_if_only_jax_sees_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    for jax_sees, tensorflow_sees, wanted in (
        (False, False, "tensorflow"),
        (True, False, "jax"),
        (True, True, "tensorflow"),
    ):
        monkeypatch.setattr(keras_backend, "_jax_has_gpu", lambda seen=jax_sees: seen)
        monkeypatch.setattr(
            keras_backend, "_tensorflow_sees_gpu", lambda seen=tensorflow_sees: seen
        )
        assert keras_backend.choose_backend() == wanted
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match=r"'torch'.*expected tensorflow or jax"):
        keras_backend.choose_backend()


def test_choose_backend_keeps_that_of_imported_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    running = import_keras().config.backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax" if running == "tensorflow" else "tensorflow")
    assert keras_backend.choose_backend() == running


_JAX_STEP = """
import numpy as np
from roadgis.train.architectures import ArchitectureOptions, build_model
from roadgis.train.framework import import_keras
keras = import_keras()
model = build_model(ArchitectureOptions(depth=3, decoder_filters=(8, 8, 8)))
model.compile("sgd", "binary_crossentropy", run_eagerly=True)
images = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
loss = model.train_on_batch(images, (images[..., :1] > 0).astype("float32"))
print(keras.config.backend(), bool(np.isfinite(loss)))
"""


def test_build_model_trains_under_jax() -> None:
    pytest.importorskip("jax", reason="needs jax (pip install jax)")
    assert run_python(_JAX_STEP, KERAS_BACKEND="jax") == "jax True"
