"""Export: the ONNX file agrees with Keras, holds its card, and is complete or absent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner

pytest.importorskip("tensorflow", reason="needs the train extra")

from roadgis.cli.commands.export import command
from roadgis.errors import DataError, InputError, ModelError
from roadgis.model.card import ModelCard, write_card_file
from roadgis.model.catalog import read_card
from roadgis.model.runtime import KerasSegmenter, OnnxSegmenter, load_model
from roadgis.options.export import ExportOptions, Precision
from roadgis.options.training import TrainSettings
from roadgis.options.training_data import DataSettings
from roadgis.train.architectures import (
    ArchitectureOptions,
    build_model,
    fixed_tile,
    model_stride,
    receptive_margin,
)
from roadgis.train.export.export import chosen_precision, export_onnx
from roadgis.train.framework import import_keras
from roadgis.train.settings import write_settings
from tests.factories.models import noise, tiny_model
from tests.factories.rasters import METRIC, X0, Y0, write_raster

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    # TensorFlow's variables under NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

#: All precisions of a file.
WRITTEN: tuple[Precision, ...] = ("float32", "float16-weights", "int8")
DEPTH = 3
STRIDE = 2**DEPTH


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


def unsettle(model: Any) -> None:
    """Give the normalizations of a model random statistics, as training would."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.weights:
            if "moving_mean" in variable.name or "beta" in variable.name:
                variable.assign(rng.normal(0, 0.2, variable.shape))
            elif "moving_variance" in variable.name or "gamma" in variable.name:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))


@pytest.fixture(scope="module")
def keras_file(folder: Path) -> Path:
    """Return a small U-Net with random weights and random statistics in its normalizations."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    model = build_model(ArchitectureOptions(depth=DEPTH, decoder_filters=(16, 16, 8)))
    unsettle(model)
    margin = receptive_margin(model, STRIDE, limit_px=200)
    assert margin is not None
    path = folder / "model.keras"
    model.save(path)
    card = ModelCard(
        name="small",
        version="1",
        mean=(0.4, 0.45, 0.5),
        std=(0.2, 0.25, 0.3),
        stride=STRIDE,
        margin_px=margin,
        recipe={"seed": 0},
    )
    write_card_file(card, path)
    return path


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.integers(1, 255, (3, 80, 80)).astype(np.uint8)
        mask = np.zeros((1, 80, 80), np.uint8)
        mask[:, 30:44] = 255
        write_raster(folder / "data" / "images" / f"scene{number}.tif", image)
        write_raster(folder / "data" / "masks" / f"scene{number}.tif", mask)
    return folder / "data"


@pytest.fixture(scope="module")
def exported(folder: Path, keras_file: Path, data: Path) -> dict[Precision, Path]:
    found: dict[Precision, Path] = {}
    for precision in WRITTEN:
        found[precision] = folder / f"{precision}.onnx"
        export_onnx(
            keras_file,
            found[precision],
            ExportOptions(
                precision=precision,
                calibration=(data,) if precision == "int8" else (),
                calibration_crops=4,
                crop_px=64,
            ),
        )
    return found


def test_export_onnx_agrees_with_keras(keras_file: Path, exported: dict[Precision, Path]) -> None:
    image = noise(96, 136)
    wanted = KerasSegmenter(keras_file, device="cpu").predict(image)
    assert wanted.std() > 0.01, "a flat answer would compare nothing"
    bounds: dict[Precision, float] = {"float32": 1e-4, "float16-weights": 1e-2, "int8": 0.35}
    for precision, bound in bounds.items():
        found = OnnxSegmenter(exported[precision]).predict(image)
        assert np.abs(found - wanted).max() <= bound, precision


def test_export_onnx_precision_reduces_the_size(exported: dict[Precision, Path]) -> None:
    whole, half, quarter = (
        exported[precision].stat().st_size for precision in ("float32", "float16-weights", "int8")
    )
    assert half < 0.55 * whole
    assert quarter < 0.35 * whole


def test_export_onnx_card_holds_the_precision(exported: dict[Precision, Path]) -> None:
    for precision, path in exported.items():
        card = read_card(path)
        assert (card.name, card.stride, card.recipe["seed"]) == ("small", STRIDE, 0)
        assert card.recipe["export"]["precision"] == precision
    assert read_card(exported["int8"]).recipe["export"]["crops"] == 4


def test_export_onnx_graph_has_no_input_scaling_and_constant_upsampling(
    exported: dict[Precision, Path],
) -> None:
    import onnx

    graph = onnx.load(str(exported["float32"])).graph
    constants = {tensor.name for tensor in graph.initializer}
    kinds = [node.op_type for node in graph.node]
    assert "Mul" not in kinds
    assert "Shape" not in kinds
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == DEPTH
    assert all(node.input[2] in constants for node in resizes)
    assert [node.name for node in graph.input] == ["image", "window"]
    assert [node.name for node in graph.output] == ["road"]


@pytest.mark.parametrize("precision", ["float32", "float16-weights", "int8"])
def test_export_onnx_tiles_agree_inside_the_margin(
    exported: dict[Precision, Path], precision: Precision
) -> None:
    segmenter = OnnxSegmenter(exported[precision])
    margin = segmenter.card.margin_px
    side = 2 * margin + 12 * STRIDE
    image = noise(side, side)
    whole = segmenter.predict(image)[0]
    inside = np.s_[margin:-margin, margin:-margin]
    for row, col, height, width in (
        (0, 0, side - STRIDE, side - 4 * STRIDE),
        (3 * STRIDE, STRIDE, 2 * margin + 7 * STRIDE, 2 * margin + 5 * STRIDE),
        (5 * STRIDE, 7 * STRIDE, 2 * margin + STRIDE, 2 * margin + 5 * STRIDE),
    ):
        tile = segmenter.predict(image[:, row : row + height, col : col + width])[0]
        wanted = whole[row : row + height, col : col + width]
        np.testing.assert_array_equal(tile[inside], wanted[inside])


def test_quantize_weights_fit_sums_in_16_bits(
    exported: dict[Precision, Path],
) -> None:
    import onnx
    from onnx import TensorProto, numpy_helper

    graph = onnx.load(str(exported["int8"])).graph
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) > DEPTH
    largest = max(int(np.abs(each.astype(int)).max()) for each in weights)
    # Of unsigned activations, two products of the largest fit: 2 * 255 * 64 < 2**15.
    assert 60 <= largest <= 64


def test_quantize_is_reproducible(
    tmp_path: Path, keras_file: Path, data: Path, exported: dict[Precision, Path]
) -> None:
    again = tmp_path / "again.onnx"
    settings = ExportOptions(calibration=(data,), calibration_crops=4, crop_px=64)
    export_onnx(keras_file, again, settings)
    image = noise(64, 64)
    np.testing.assert_array_equal(
        OnnxSegmenter(again).predict(image), OnnxSegmenter(exported["int8"]).predict(image)
    )


def test_export_onnx_replaces_card_fields(tmp_path: Path, keras_file: Path) -> None:
    output = tmp_path / "m.onnx"
    updates = {"threshold": 0.4, "version": "2"}
    export_onnx(keras_file, output, ExportOptions(precision="float32", card_updates=updates))
    card = read_card(output)
    assert (card.threshold, card.version) == (0.4, "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


def test_export_onnx_int8_without_data_names_the_remedy(tmp_path: Path, keras_file: Path) -> None:
    with pytest.raises(DataError, match=r"--data.*float16-weights"):
        export_onnx(keras_file, tmp_path / "m.onnx", ExportOptions(precision="int8"))
    with pytest.raises(DataError, match="--validation"):
        chosen_precision(ExportOptions(precision="auto", calibration=(tmp_path,)), None)


def test_export_onnx_rejects_wrong_names_and_files(tmp_path: Path, keras_file: Path) -> None:
    plain = ExportOptions(precision="float32")
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export_onnx(keras_file, tmp_path / "m.bin", plain)
    with pytest.raises(InputError, match="precision is 'int4'"):
        ExportOptions(precision="int4")  # type: ignore[arg-type]
    alone = tmp_path / "alone.keras"
    alone.write_bytes(keras_file.read_bytes())
    with pytest.raises(ModelError, match="no model card"):
        export_onnx(alone, tmp_path / "m.onnx", plain)
    with pytest.raises(InputError, match=r"expected a \.keras file"):
        export_onnx(tiny_model(tmp_path / "tiny.onnx"), tmp_path / "m.onnx", plain)
    with pytest.raises(InputError, match="threshold is 7"):
        export_onnx(keras_file, tmp_path / "m.onnx", ExportOptions(card_updates={"threshold": 7}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.keras", "tiny.onnx"]


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_load_keras_names_damaged_files(
    tmp_path: Path, keras_file: Path, content: bytes | None
) -> None:
    path = tmp_path / "broken.keras"
    path.write_bytes(keras_file.read_bytes()[:5000] if content is None else content)
    write_card_file(ModelCard(name="broken", version="1"), path)
    with pytest.raises(ModelError, match=r"broken\.keras: cannot be loaded as a Keras model"):
        load_model(path)
    with pytest.raises(ModelError, match=r"broken\.keras: cannot be loaded as a Keras model"):
        export_onnx(path, tmp_path / "m.onnx")


def test_load_model_of_keras_checks_the_output(tmp_path: Path, keras_file: Path) -> None:
    segmenter = load_model(keras_file, device="cpu")
    assert segmenter.device == "Keras, CPU"
    image = noise(64, 64)
    probability = segmenter.predict(image)
    assert probability.shape == (1, 64, 64)
    assert probability.dtype == np.float32
    two = tmp_path / "two.keras"
    two.write_bytes(keras_file.read_bytes())
    card = dataclasses.replace(segmenter.card, classes=("other", "road"), road_class=1)
    write_card_file(card, two)
    with pytest.raises(ModelError, match=r"output of shape \(1, 64, 64, 1\).*\(1, 64, 64, 2\)"):
        load_model(two).predict(image)
    # The scaling in the card changes the output, so it is part of the fingerprint.
    assert load_model(two).fingerprint != segmenter.fingerprint


def plain_keras_file(folder: Path, interpolation: str) -> Path:
    keras = import_keras()
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(image)
    x = layers.UpSampling2D(4, interpolation=interpolation)(x)
    path = folder / "plain.keras"
    keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x)).save(path)
    write_card_file(ModelCard(name="plain", version="1", stride=4, margin_px=8), path)
    return path


def test_export_onnx_rejects_unsupported_models(tmp_path: Path) -> None:
    path = plain_keras_file(tmp_path, "bicubic")
    with pytest.raises(ModelError, match="cannot be exported for images of any size"):
        export_onnx(path, tmp_path / "plain.onnx")
    assert not (tmp_path / "plain.onnx").exists()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_export_onnx_of_other_models(tmp_path: Path, interpolation: str) -> None:
    path = plain_keras_file(tmp_path, interpolation)
    export_onnx(path, tmp_path / "plain.onnx", ExportOptions(precision="float32"))
    image = noise(32, 48)
    np.testing.assert_allclose(
        load_model(tmp_path / "plain.onnx").predict(image),
        load_model(path).predict(image),
        atol=1e-4,
    )


def test_fix_upsampling_leaves_other_resizes_alone() -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from roadgis.train.export.onnx_graph import fix_upsampling

    values = ["image", "x", "y", "road"]
    names = ("net/upsampling_2x2_a/mul", "net/upsampling_3x4_b/mul__7", "net/other/mul")
    factors = numpy_helper.from_array(np.array([1, 1, 2, 2]), "factors")
    nodes = []
    for number, (name, source, target) in enumerate(zip(names, values, values[1:], strict=False)):
        shape, size = f"shape{number}", f"size{number}"
        nodes += [
            helper.make_node("Shape", [source], [shape]),
            helper.make_node("Mul", [shape, "factors"], [size], name=name),
            helper.make_node("Resize", [source, "", "", size], [target]),
        ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None])
        for name in ("image", "road")
    ]
    graph = helper.make_graph(nodes, "resizes", ends[:1], ends[1:], [factors])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    fix_upsampling(model)
    onnx.checker.check_model(model)
    constants = {t.name: numpy_helper.to_array(t).tolist() for t in model.graph.initializer}
    resizes = [[*node.input] for node in model.graph.node if node.op_type == "Resize"]
    assert constants[resizes[0][2]] == [1, 1, 2, 2]
    assert constants[resizes[1][2]] == [1, 1, 3, 4]
    assert resizes[2] == ["y", "", "", "size2"]
    assert [node.name for node in model.graph.node if node.op_type == "Mul"] == ["net/other/mul"]


@pytest.mark.parametrize("squeezed", [True, False])
def test_plain_output_replaces_a_reshape_by_a_transposition(squeezed: bool) -> None:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from roadgis.train.export.onnx_graph import plain_output

    target = "five" if squeezed else "road"
    nodes = [
        helper.make_node("Sigmoid", ["image"], ["planes"]),
        helper.make_node("Reshape", ["planes", "shape"], [target]),
    ]
    if squeezed:
        nodes.append(helper.make_node("Squeeze", ["five", "first"], ["road"]))
    constants = [
        numpy_helper.from_array(np.array([1, -1, 0, 0, 1]), "shape"),
        numpy_helper.from_array(np.array([0]), "first"),
    ]
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [helper.make_tensor_value_info("road", TensorProto.FLOAT, ["n", "h", "w", "c"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    plain_output(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Sigmoid", "Transpose"]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"image": np.zeros((2, 1, 3, 5), np.float32)})[0].shape == (2, 3, 5, 1)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"architecture": "unet", "backbone": "efficientnetb0"}, marks=SLOW),
        pytest.param({"architecture": "unet", "backbone": "seresnet18"}, marks=SLOW),
        pytest.param({"architecture": "unet", "backbone": "vgg16", "depth": 4}, marks=SLOW),
        pytest.param({"architecture": "unet", "backbone": "mobilenetv2"}, marks=SLOW),
        pytest.param({"architecture": "linknet"}, marks=SLOW),
        pytest.param({"architecture": "fpn", "decoder_filters": (16, 8)}, marks=SLOW),
        pytest.param(
            {"architecture": "pspnet", "crop_px": 96, "decoder_filters": (16,)}, marks=SLOW
        ),
        {"architecture": "plain-unet", "decoder_filters": (4, 8, 8)},
        pytest.param({"architecture": "canet", "decoder_filters": (16, 16, 8)}, marks=SLOW),
        pytest.param({"architecture": "unet", "classes": 4, "depth": 3}, marks=SLOW),
        {"architecture": "plain-unet", "decoder_filters": (4, 8), "classes": 3},
        pytest.param({"architecture": "unet", "batch_norm": False, "depth": 3}, marks=SLOW),
        {"architecture": "unet", "depth": 3, "subpixel": True, "encoder_units": (1, 2)},
        pytest.param(
            {"architecture": "unet", "depth": 3, "subpixel": True, "classes": 3}, marks=SLOW
        ),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_export_onnx_of_every_architecture_agrees_with_keras(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    keras = import_keras()
    keras.utils.set_random_seed(1)
    if options["architecture"] == "unet" and "depth" in options:
        blocks = options["depth"] - options.get("subpixel", False)
        options = {"decoder_filters": (16, 16, 8, 8)[:blocks], **options}
    settings = ArchitectureOptions(**options)
    model = build_model(settings)
    unsettle(model)
    side = fixed_tile(model)
    stride = 1 if side else model_stride(model)
    classes = settings.classes
    names = ("road",) if classes == 1 else ("other", "road", *"abcdef")[:classes]
    card = ModelCard(
        name="built",
        version="1",
        classes=names,
        road_class=0 if classes == 1 else 1,
        std=(0.25,) * 3,
        stride=stride,
        local=False,
        tile_px=side,
    )
    model.save(tmp_path / "model.keras")
    write_card_file(card, tmp_path / "model.keras")
    # A folder with a model is a run folder.
    export_onnx(tmp_path, tmp_path / "m.onnx", ExportOptions(precision="float32"))
    image = noise(side, side) if side else noise(5 * stride, 3 * stride)
    wanted = KerasSegmenter(tmp_path / "model.keras", device="cpu").predict_classes(image)
    found = load_model(tmp_path / "m.onnx").predict_classes(image)
    assert wanted.shape == (*image.shape[:3], classes)
    assert wanted[..., -1].std() > 1e-4, "a flat answer would compare nothing"
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_export_onnx_of_mixed_precision_is_float32(tmp_path: Path) -> None:
    keras = import_keras()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        options = ArchitectureOptions(architecture="plain-unet", decoder_filters=(4, 8))
        model = build_model(options)
    finally:
        keras.config.set_dtype_policy(before)
    model.save(tmp_path / "mixed.keras")
    write_card_file(ModelCard(name="mixed", version="1", stride=4), tmp_path / "mixed.keras")
    export_onnx(tmp_path / "mixed.keras", tmp_path / "m.onnx", ExportOptions(precision="float32"))
    image = noise(32, 32)
    found = load_model(tmp_path / "m.onnx").predict(image)
    # bfloat16 has three digits.
    np.testing.assert_allclose(
        found, load_model(tmp_path / "mixed.keras").predict(image), atol=0.02
    )


@pytest.mark.parametrize(("largest_drop", "kept"), [(2.0, "int8"), (-2.0, "float16-weights")])
def test_export_onnx_auto_keeps_8_bits_if_they_lose_little(
    tmp_path: Path,
    keras_file: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    largest_drop: float,
    kept: str,
) -> None:
    import roadgis.train.export.export as export

    monkeypatch.setattr(export, "_LARGEST_DROP", largest_drop)
    settings = ExportOptions(
        calibration=(data,), validation=(data,), calibration_crops=2, crop_px=64
    )
    card = export_onnx(keras_file, tmp_path / "m.onnx", settings)
    assert read_card(tmp_path / "m.onnx") == card
    assert card.recipe["export"]["precision"] == kept
    assert card.scores["iou"] == card.scores[f"iou_{kept}"]
    assert {"iou_int8", "iou_float16-weights"} <= set(card.scores)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


def run_folder(folder: Path, keras_file: Path, settings: DataSettings) -> Path:
    """Make a folder like that of a finished run."""
    folder.mkdir()
    for suffix in ("", ".json"):
        source = keras_file.with_name(keras_file.name + suffix)
        (folder / f"model.keras{suffix}").write_bytes(source.read_bytes())
    write_settings(TrainSettings(data=settings), folder / "settings.yaml")
    return folder


def test_export_onnx_auto_uses_held_out_scenes_of_a_run(
    tmp_path: Path, keras_file: Path, data: Path
) -> None:
    settings = DataSettings(folders=(data,), crop_px=32, hold_out=0.5)
    run = run_folder(tmp_path / "run", keras_file, settings)
    options = ExportOptions(precision="auto", calibration_crops=2, crop_px=32)
    card = export_onnx(run, tmp_path / "m.onnx", options)
    assert str(card.scores["validation"]).startswith("held out: ")
    assert {"iou_int8", "iou_float16-weights"} <= set(card.scores)
    # Without validation data, the previous precision is kept.
    assert chosen_precision(ExportOptions(), run) == "float16-weights"
    none = run_folder(tmp_path / "none", keras_file, DataSettings(folders=(data,), crop_px=32))
    with pytest.raises(DataError, match=r"none: the run had no validation scenes.*--labels"):
        export_onnx(none, tmp_path / "none.onnx", options)
    assert not (tmp_path / "none.onnx").exists()


def test_export_onnx_auto_accepts_imagery_with_a_road_layer(
    tmp_path: Path, keras_file: Path, data: Path
) -> None:
    from roadgis.train.scoring.threshold import set_threshold

    run = run_folder(tmp_path / "run", keras_file, DataSettings(folders=(data,), crop_px=64))
    roads = tmp_path / "roads.gpkg"
    line = shapely.LineString([(X0 - 9, Y0 - 37), (X0 + 99, Y0 - 37)])
    geopandas.GeoDataFrame(geometry=[line], crs=METRIC).to_crs("EPSG:4326").to_file(roads)
    named = DataSettings(images=(data / "images" / "scene0.tif",), roads=roads, label_width_m=14)
    options = ExportOptions(validation=named, calibration_crops=2, crop_px=64)
    assert chosen_precision(options, run) == "auto"
    card = export_onnx(run, tmp_path / "m.onnx", options)
    assert card.scores["validation"] == "scene0.tif, roads.gpkg: 1 scenes"
    kept = card.recipe["export"]["precision"]
    assert card.scores["iou"] == card.scores[f"iou_{kept}"]
    assert set_threshold(tmp_path / "m.onnx", named).threshold == card.threshold


def test_export_command_of_keras_rejects_precision_and_data(
    tmp_path: Path, keras_file: Path, data: Path
) -> None:
    output = tmp_path / "small.keras"
    for given in (["--precision", "int8"], ["--data", str(data)], ["--validation", str(data)]):
        done = CliRunner().invoke(command, [str(keras_file), "-o", str(output), *given])
        assert done.exit_code == 1
        assert "Leave out --precision, --data and --validation" in str(done.exception)
        assert not output.exists()


def test_calibration_crops_of_a_run_use_its_training_data(
    tmp_path: Path, keras_file: Path, data: Path
) -> None:
    run = run_folder(tmp_path / "run", keras_file, DataSettings(folders=(data,), crop_px=64))
    options = ExportOptions(precision="int8", calibration_crops=2, crop_px=61)
    card = export_onnx(run, tmp_path / "m.onnx", options)
    assert card.recipe["export"] == {"precision": "int8", "crops": 2, "crop_px": 64, "seed": 0}
    gone = TrainSettings(data=DataSettings(folders=(tmp_path / "gone",)))
    write_settings(gone, run / "settings.yaml")
    with pytest.raises(DataError, match=r"gone, which no longer exists.*--data"):
        export_onnx(run, tmp_path / "m.onnx", options)
