"""ONNX models of other programs: detected properties, required options, rejected models."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roadgis.errors import InputError, ModelError
from roadgis.model.catalog import read_card
from roadgis.model.foreign import adopt
from roadgis.model.onnx_fields import last_operation
from roadgis.model.runtime import load_model
from roadgis.options.model import ModelDescription
from tests.factories.models import GROUND, ROAD, foreign_model, save_model, tiny_card, tiny_model

DEEPNESS: dict[str, Any] = {
    "model_type": "Segmentor",
    "class_names": {"0": "background", "1": "road"},
    "resolution": 50,
    "tile_size": 512,
    "tiles_overlap": 10,
    "standardization_mean": [0.5, 0.5, 0.5],
    "standardization_std": [0.25, 0.25, 0.25],
    "seg_thresh": 0.4,
    "seg_small_segment": 11,
}
TWO = ("ground", "road")

Head = Literal["logits", "sigmoid", "softmax", "two logits", "argmax"]
Layout = Literal["NCHW", "NHWC"]


def description_of(**fields: Any) -> ModelDescription:
    return ModelDescription(**{"gsd_m": 1.0, **fields})


def image(height: int = 64, width: int = 96) -> Any:
    """Return ground with a road along the left edge, (1, height, width, 3)."""
    picture = np.full((1, height, width, 3), GROUND, np.uint8)
    picture[:, :, :7] = ROAD
    return picture


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("head", "activation"),
    [
        ("logits", "sigmoid"),
        ("sigmoid", "none"),
        ("softmax", "none"),
        ("two logits", "softmax"),
        ("argmax", "none"),
    ],
)
def test_describe_onnx_detects_layout_and_activation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, head: Head, activation: str, layout: Layout
) -> None:
    path = foreign_model(tmp_path / "m.onnx", head, layout=layout)
    names = None if head in ("logits", "sigmoid") else TWO
    with caplog.at_level(logging.INFO, logger="roadgis"):
        segmenter = load_model(path, description=description_of(classes=names), device="cpu")
    card = segmenter.card
    assert (card.input_layout, card.activation, card.local) == (layout, activation, False)
    assert card.output_layout == ("NHWC" if head == "argmax" else layout)
    assert (card.stride, card.margin_px, card.tile_px) == (32, 64, None)
    assert f"m.onnx has no card: input {layout}" in caplog.text
    assert "the scaling of its input is unknown" in caplog.text
    road = segmenter.predict(image())[0]
    assert road.shape == (64, 96)
    assert road[:, :7].min() > 0.99
    assert road[:, 7:].max() < 0.01
    classes = segmenter.predict_classes(image())
    assert classes.shape == (1, 64, 96, 1 if names is None else 2)
    np.testing.assert_array_equal(classes[0, ..., card.road_class], road)


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_foreign_model_of_each_input_type_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: Any
) -> None:
    path = foreign_model(tmp_path / "m.onnx", "sigmoid", dtype=dtype, batch=1)
    segmenter = load_model(path, description=description_of(), device="cpu")
    road = segmenter.predict(np.concatenate([image(), image()[:, :, ::-1]]))
    assert road[0, :, :7].min() > 0.99
    assert road[1, :, -7:].min() > 0.99
    assert road[1, :, :7].max() < 0.01
    assert ("the scaling of its input is unknown" in caplog.text) == (dtype != "uint8")


def test_foreign_model_of_uint8_input_gets_unscaled_bytes(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", dtype="uint8")
    with pytest.raises(ModelError, match="takes bytes, which it scales itself"):
        load_model(path, description=description_of(mean=(0.5,) * 3))


def test_model_scaling_for_bytes_and_for_0_to_1_is_equal(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", mean=0.5, std=0.25)
    unit = description_of(mean=(0.5,) * 3, std=(0.25,) * 3)
    byte = description_of(mean=(127.5,) * 3, std=(63.75,) * 3, value_range="byte")
    for description in (unit, byte):
        card = read_card(path, description)
        assert (card.mean, card.std) == ((0.5,) * 3, (0.25,) * 3)
    assert load_model(path, description=unit).predict(image())[0, :, :7].min() > 0.99


def test_deepness_metadata_replaces_all_options(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = foreign_model(
        tmp_path / "roads.onnx", batch=1, sides=(512, 512), mean=0.5, std=0.25, metadata=DEEPNESS
    )
    with caplog.at_level(logging.INFO, logger="roadgis"):
        card = read_card(path)
    assert card.name == "roads"
    assert (card.gsd_m, card.threshold) == (0.5, 0.4)
    # Half of 51.2 px, rounded up.
    assert (card.tile_px, card.margin_px, card.stride) == (512, 26, 1)
    assert (card.mean, card.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (card.classes, card.road_class) == (("road",), 0)
    assert "seg_small_segment is ignored" in caplog.text
    assert "the scaling of its input is unknown" not in caplog.text


def test_model_options_override_metadata(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", metadata=DEEPNESS)
    description = ModelDescription(gsd_m=0.3, threshold=0.7, tile_px=256, margin_px=16)
    card = read_card(path, description)
    assert (card.gsd_m, card.threshold) == (0.3, 0.7)
    assert (card.tile_px, card.margin_px) == (256, 16)
    assert card.mean == (0.5,) * 3


@pytest.mark.parametrize("kind", ["Detector", "Regressor", "Superresolution", "Recognition"])
def test_deepness_models_of_other_types_are_rejected(tmp_path: Path, kind: str) -> None:
    path = foreign_model(tmp_path / "m.onnx", metadata=DEEPNESS | {"model_type": kind})
    with pytest.raises(ModelError, match=f"Deepness model of type '{kind}', expected 'Segmentor'"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": "fine"}, "'resolution' is 'fine', expected a number"),
        ({"class_names": ["a", "b"]}, "expected names by number from 0"),
        ({"class_names": {"0": "a", "2": "b"}}, "expected names by number from 0"),
        ({"standardization_mean": 0.5}, "expected a list of numbers"),
        ({"standardization_mean": [0.5, None, 0.5]}, "expected a list of numbers"),
        ({"standardization_mean": [[[0.5]]]}, "expected a list of numbers"),
        ({"standardization_std": [0, 1, 1]}, r"std is \(0.0, 1.0, 1.0\), expected numbers from"),
        ({"resolution": float("nan")}, "'resolution' is nan, expected a number"),
        ({"resolution": 10**400}, "'resolution' is 1000.*, expected a number"),
        ({"resolution": 0.001}, "gsd_m is 1e-05, expected 0.01 to 100 metres"),
        ({"tile_size": float("inf")}, "'tile_size' is inf, expected a number"),
        ({"standardization_mean": [0.5]}, "takes 3 bands; found 1 values of mean"),
        ({"class_names": {"0": "ground", "1": "house"}}, "no class with a name for roads"),
        ({"class_names": {"0": "road", "1": "house"}}, "second of its two classes, 'house'"),
        (
            {"class_names": {"0": "other", "1": "road", "2": "house"}},
            "found 1 channels in its output and 3 names",
        ),
    ],
)
def test_deepness_metadata_with_wrong_values_is_named(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = foreign_model(tmp_path / "m.onnx", metadata=DEEPNESS | changes)
    with pytest.raises(ModelError, match=said):
        load_model(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "(" * 5000, "{[1]: 2}", "9" * 5000, "\\"])
def test_deepness_metadata_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = foreign_model(tmp_path / "m.onnx", metadata=DEEPNESS)
    model = onnx.load(str(path))
    next(entry for entry in model.metadata_props if entry.key == "resolution").value = text
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"'resolution' is '.*', expected JSON"):
        load_model(path)


def test_model_tile_larger_than_the_memory_is_rejected(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", batch=1, sides=(10**6, 10**6))
    with pytest.raises(ModelError, match="expected 1 to 1000 bands, and sides of up to 8192 px"):
        read_card(path, ModelDescription(gsd_m=1.0))


def test_deepness_class_names_in_python_notation_are_read(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", "softmax")
    model = onnx.load(str(path))
    for key, value in (("names", "{0: 'dirt road', 1: 'paved road'}"), ("resolution", "20")):
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="2 classes with a name for roads"):
        read_card(path)
    card = read_card(path, ModelDescription(road="Paved Road"))
    assert (card.classes, card.road_class, card.gsd_m) == (("dirt road", "paved road"), 1, 0.2)


@pytest.mark.parametrize(
    ("names", "road", "expected"),
    [
        (("background", "Roads"), None, 1),
        (("main_road", "other"), None, 0),
        (("crossroads", "street"), None, 1),  # whole words only
        (("a", "b"), "b", 1),
        (("a", "b"), "0", 0),
        (("not_road", "road"), None, 1),
        (("Road", "non-road"), None, 0),
        (("road",), None, 1),  # two channels: the background is not named
        (None, "1", 1),
    ],
)
def test_road_class_is_detected_by_its_name(
    tmp_path: Path, names: tuple[str, ...] | None, road: str | None, expected: int
) -> None:
    path = foreign_model(tmp_path / "m.onnx", "softmax")
    card = read_card(path, description_of(classes=names, road=road))
    assert len(card.classes) == 2
    assert card.road_class == expected


@pytest.mark.parametrize(
    ("head", "fields", "expected"),
    [
        ("logits", {"gsd_m": None}, ["--model-gsd"]),
        ("softmax", {"gsd_m": None}, ["--model-gsd", "--model-classes", "--model-road"]),
        ("softmax", {}, ["--model-classes", "--model-road"]),
        ("argmax", {}, ["--model-classes"]),
    ],
)
def test_foreign_model_without_options_lists_the_missing_ones(
    tmp_path: Path, head: Head, fields: dict[str, Any], expected: list[str]
) -> None:
    path = foreign_model(tmp_path / "m.onnx", head)
    with pytest.raises(ModelError) as caught:
        load_model(path, description=description_of(**fields))
    needed = str(caught.value).split("Missing: ")[1].split(". Give these")[0]
    assert [word for word in needed.split() if word.startswith("--")] == expected


def test_foreign_model_of_ambiguous_layout_asks_for_it(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["image"], ["road"], axes=[3], keepdims=1)]
    save_model(tmp_path / "m.onnx", nodes, None, inputs=("N", "a", "b", "c"))
    with pytest.raises(ModelError, match=r"--model-gsd.*--model-layout"):
        read_card(tmp_path / "m.onnx")
    card = read_card(tmp_path / "m.onnx", description_of(layout="NHWC"))
    assert (card.input_layout, card.output_layout, card.bands[0]) == ("NHWC", "NHWC", "red")


def test_foreign_model_stride_is_detected_by_trial(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", stride=64)
    assert read_card(path, description_of()).stride == 64
    with pytest.raises(ModelError, match=r"tried images of 100 x 100 px.*--model-tile-px"):
        read_card(path, description_of(tile_px=100))
    assert read_card(path, description_of(tile_px=128)).tile_px == 128


def test_model_tile_that_contradicts_the_model_is_rejected(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx", sides=(96, 96))
    assert read_card(path, description_of()).tile_px == 96
    assert read_card(path, description_of()).margin_px == 12
    with pytest.raises(ModelError, match="takes only tiles of 96 px"):
        read_card(path, description_of(tile_px=128))
    with pytest.raises(ModelError, match="expected squares"):
        read_card(foreign_model(tmp_path / "m.onnx", sides=(96, 64)), description_of())


def test_foreign_model_with_smaller_or_several_outputs_is_rejected(tmp_path: Path) -> None:
    pool = [helper.make_node("MaxPool", ["image"], ["road"], kernel_shape=[2, 2], strides=[2, 2])]
    save_model(tmp_path / "m.onnx", pool, None, inputs=("N", 3, "H", "W"))
    with pytest.raises(ModelError, match=r"found an output of shape.*a map of the image's size"):
        read_card(tmp_path / "m.onnx", description_of())
    path = foreign_model(tmp_path / "m.onnx")
    model = onnx.load(str(path))
    extra = helper.make_tensor_value_info("contrast", TensorProto.FLOAT, None)
    model.graph.output.append(extra)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="Export the model without other outputs"):
        read_card(path, description_of())


def test_foreign_model_with_class_numbers_beyond_the_names_is_rejected(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ArgMax", ["image"], ["best"], axis=3),
        helper.make_node("Cast", ["best"], ["road"], to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "numbers",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("road", TensorProto.INT32, ["N", "H", "W", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[0, 0, 0, 2] = 255
    with pytest.raises(ModelError, match="class numbers from 0 to 2; its card has 2 classes"):
        load_model(path, description=description_of(classes=TWO)).predict(picture)
    three = load_model(path, description=description_of(classes=("other", "grass", "road")))
    assert three.predict(picture).sum() == 1
    np.testing.assert_array_equal(three.predict_classes(picture).sum(axis=-1), 1)


def test_foreign_model_with_values_outside_0_to_1_names_the_option(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx")
    segmenter = load_model(path, description=description_of(activation="none"))
    with pytest.raises(ModelError, match="--model-activation"):
        segmenter.predict(image())


def test_model_options_are_rejected_for_a_model_with_a_card(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    for use in (load_model, read_card):
        with pytest.raises(ModelError, match=r"has a card, but was also described \(gsd_m\)"):
            use(path, description=description_of())
    assert read_card(path, ModelDescription()) == tiny_card()


def test_fingerprint_includes_the_model_options(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "m.onnx")
    first, second = (load_model(path, description=description_of(gsd_m=gsd)) for gsd in (1.0, 0.5))
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tile_px": 0}, "--model-tile-px is 0"),
        ({"margin_px": -1}, "--model-margin is -1"),
        ({"overlap_percent": 100}, "percent below 100"),
        ({"value_range": "bits"}, "value_range is 'bits'"),
    ],
)
def test_model_options_reject_values_out_of_range(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ModelDescription(**fields)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([("Sigmoid", {})], "Sigmoid"),
        ([("Conv", {}), ("Sigmoid", {}), ("Transpose", {})], "Sigmoid"),
        ([("Sigmoid", {}), ("Conv", {}), ("Identity", {})], "Conv"),
        ([("Identity", {})], None),
    ],
)
def test_last_operation_is_read_from_the_file(
    tmp_path: Path, nodes: list[tuple[str, dict[str, Any]]], expected: str | None
) -> None:
    names = ["image", *(f"v{number}" for number in range(1, len(nodes))), "road"]
    made = [
        helper.make_node(kind, [a, "w"] if kind == "Conv" else [a], [b], **attributes)
        for (kind, attributes), a, b in zip(nodes, names[:-1], names[1:], strict=True)
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("image", "road")]
    weight = numpy_helper.from_array(np.ones((1, 1, 300, 300), np.float32), "w")
    graph = helper.make_graph(made, "tail", ends[:1], ends[1:], [weight])
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert last_operation(path) == expected
    path.write_bytes(path.read_bytes()[:-7])
    last_operation(path)  # a truncated file is not an error


def test_adopted_model_needs_no_options(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "theirs.onnx", "two logits", metadata={"author": "them"})
    description = description_of(gsd_m=0.5, classes=TWO, margin_px=32)
    card = adopt(path, tmp_path / "ours.onnx", description)
    assert read_card(tmp_path / "ours.onnx") == card == read_card(path, description)
    np.testing.assert_array_equal(
        load_model(tmp_path / "ours.onnx").predict(image()),
        load_model(path, description=description).predict(image()),
    )
    kept = {item.key: item.value for item in onnx.load(str(tmp_path / "ours.onnx")).metadata_props}
    assert json.loads(kept["author"]) == "them"
    with pytest.raises(ModelError, match="has a card"):
        adopt(tmp_path / "ours.onnx", tmp_path / "again.onnx")
    assert not (tmp_path / "again.onnx").exists()


def test_adopt_copies_the_terms_from_onnx_metadata_into_the_card(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "theirs.onnx")
    assert (
        read_card(path, description_of()).licence,
        read_card(path, description_of()).attribution,
    ) == ("", ())
    model = onnx.load(str(path))
    helper.set_model_props(model, {"model_license": "Apache-2.0", "model_author": "A. Author"})
    path.write_bytes(model.SerializeToString())
    card = read_card(path, description_of())
    assert (card.licence, card.attribution) == ("Apache-2.0", ("Model by A. Author.",))
    card = adopt(path, tmp_path / "ours.onnx", description_of(), attribution=("Imagery: B.",))
    assert (card.licence, card.attribution) == ("Apache-2.0", ("Imagery: B.",))
    card = adopt(path, tmp_path / "ours.onnx", description_of(), licence="CC0")
    assert (card.licence, card.attribution) == ("CC0", ("Model by A. Author.",))


def test_model_adopt_and_model_info_commands(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "theirs.onnx", "softmax", mean=0.5, std=0.25)

    def call(*arguments: object, status: int = 0) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "roadgis", "model", *map(str, arguments)],
            capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout, done.stderr

    _, said = call("adopt", path, "-o", tmp_path / "ours.onnx", status=1)
    assert "--model-gsd" in said
    flags = ["--model-gsd", 0.5, "--model-mean", "0.5,0.5,0.5", "--model-std", ".25,.25,.25"]
    flags += ["--model-classes", "ground, road", "--model-layout", "nchw", "--model-threshold", 0.6]
    call("adopt", path, "-o", tmp_path / "ours.onnx", *flags)
    card = json.loads(call("info", tmp_path / "ours.onnx", "--json")[0])
    assert card == json.loads(call("info", path, "--json", *flags)[0]) | {"name": "theirs"}
    assert (card["classes"], card["threshold"], card["mean"]) == (list(TWO), 0.6, [0.5] * 3)
    terms = ["--licence", "CC0", "--attribution", "Imagery: A.", "--attribution", "Labels: B."]
    call("adopt", path, "-o", tmp_path / "terms.onnx", *flags, *terms)
    card = json.loads(call("info", tmp_path / "terms.onnx", "--json")[0])
    assert (card["licence"], card["attribution"]) == ("CC0", ["Imagery: A.", "Labels: B."])
    assert "exists" in call("adopt", path, "-o", tmp_path / "ours.onnx", *flags, status=1)[1]
    said = call("adopt", path, "-o", tmp_path / "x.onnx", "--model-mean", "a,b", status=1)[1]
    assert "--model-mean is 'a,b', expected numbers" in said
