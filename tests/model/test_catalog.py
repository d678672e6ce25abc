"""Finding models and reading their cards: each kind of wrong file has its own error."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from roadgis.errors import ModelError
from roadgis.model.card import CARD_KEY, ModelCard, read_card_file, write_card_file
from roadgis.model.catalog import bundled_models, read_card, resolve_model
from roadgis.model.onnx_file import write_onnx_card
from roadgis.model.runtime import load_model
from tests.factories.models import tiny_card, tiny_model


def test_resolve_model_keeps_paths(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    assert resolve_model(path) == path
    assert resolve_model(str(path)) == path


def test_resolve_model_without_a_name_returns_the_default() -> None:
    if "default" not in bundled_models():
        pytest.skip("the default model has not been put into roadgis/model/weights yet")
    assert resolve_model() == resolve_model("default") == bundled_models()["default"]
    card = read_card()
    assert card.bands == ("red", "green", "blue")
    assert card.local
    assert resolve_model().stat().st_size <= 30e6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-model", "no such model file, nor a model of that name"),
        ("missing.onnx", "no such model file"),
        ("https://example.org/m.onnx", "Download it"),
    ],
)
def test_resolve_model_rejects_unknown_names_and_lists_the_known_ones(
    tmp_path: Path, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=said) as caught:
        load_model(name)
    assert name in str(caught.value)


def test_resolve_model_rejects_files_of_another_kind_by_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"ends in '\.pt', expected a model: \.onnx or \.keras"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"this is no protobuf", b"\x08\x08" * 40])
def test_read_card_rejects_files_other_than_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    for use in (load_model, read_card):
        with pytest.raises(ModelError, match=r"m\.onnx"):
            use(path)


def test_read_card_rejects_a_truncated_onnx_file(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_read_card_of_onnx_without_a_card_names_the_command_that_adds_one(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx", card=False)
    for use in (load_model, read_card):
        with pytest.raises(ModelError, match=r"no model card.*--model-gsd.*roadgis export"):
            use(path)


def test_read_card_of_a_run_folder_is_that_of_its_model(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"without model\.keras, expected the folder of a training"
    ):
        resolve_model(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"not looked at")
    write_card_file(tiny_card(), tmp_path / "model.keras")
    assert resolve_model(tmp_path) == tmp_path / "model.keras"
    assert read_card(str(tmp_path)) == tiny_card()


def test_resolve_model_ignores_a_folder_with_the_name_of_a_bundled_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert resolve_model("default") == bundled_models()["default"]


def test_read_card_accepts_older_cards_and_rejects_unknown_fields() -> None:
    text = json.loads(tiny_card().to_json())
    for name in ("tile_px", "input_layout", "output_layout", "activation", "attribution"):
        del text[name]
    assert ModelCard.from_json(json.dumps(text), "here") == tiny_card()
    with pytest.raises(ModelError, match=r"unknown fields \['colour'\]"):
        ModelCard.from_json(json.dumps(text | {"colour": "red"}), "here")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tile_px": 66}, "tile_px is 66, expected a multiple of the stride"),
        ({"tile_px": 8}, "more than twice the margin"),
        ({"input_layout": "CHWN"}, "input_layout is 'CHWN', expected one of"),
        ({"output_layout": "NHW"}, "output_layout is 'NHW'"),
        ({"activation": "relu"}, "activation is 'relu'"),
    ],
)
def test_model_card_rejects_contradictions(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        tiny_card(**fields)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stride": 1.5}, "stride is 1.5, expected a whole number"),
        ({"stride": 0}, "stride is 0, expected 1 to 8192 px"),
        ({"stride": True}, "stride is True, expected a whole number"),
        ({"gsd_m": 1e-3}, "gsd_m is 0.001, expected 0.01 to 100 metres"),
        ({"gsd_m": math.inf}, "gsd_m is inf, expected a finite number"),
        ({"gsd_m": math.nan}, "gsd_m is nan, expected a finite number"),
        ({"gsd_m": 10**400}, r"gsd_m is 10000000\.\.\.000000000, expected a number"),
        ({"gsd_m": [1.0]}, r"gsd_m is \[1.0\], expected a number"),
        ({"mean": ["a", 0, 0]}, "mean is 'a', expected a number"),
        ({"mean": 0.5}, "mean is 0.5, expected a list"),
        ({"mean": [1e300, 0, 0]}, r"mean is \(1e\+300, 0.0, 0.0\), expected numbers of at most 1e"),
        ({"std": [1e-300, 1, 1]}, r"std is \(1e-300, 1.0, 1.0\), expected numbers from 1e-06 to"),
        ({"std": [0, 1, 1]}, r"std is \(0.0, 1.0, 1.0\), expected numbers from 1e-06"),
        ({"bands": {"red": 1}}, r"bands is \{'red': 1\}, expected a list"),
        ({"classes": [1]}, "classes is 1, expected text"),
        ({"attribution": "me"}, "attribution is 'me', expected a list"),
        ({"road_class": "road"}, "road_class is 'road', expected a whole number"),
        ({"margin_px": 10**9}, "margin_px is 1000000000 with stride 4, expected a multiple"),
        ({"tile_px": 2**40}, "tile_px is 1099511627776, expected .* at most 8192 px"),
        ({"threshold": "0.5"}, "threshold is '0.5', expected a number"),
        ({"local": 1}, "local is 1, expected true or false"),
        ({"activation": ["none"]}, r"activation is \['none'\], expected one of"),
        ({"scores": [1]}, r"scores is \[1\], expected names with values"),
        ({"name": None}, "name is None, expected text"),
    ],
)
def test_model_card_names_values_of_another_type_or_out_of_range(
    changes: dict[str, Any], said: str
) -> None:
    text = json.dumps(json.loads(tiny_card().to_json()) | changes)
    with pytest.raises(ModelError, match=f"here: .*{said}"):
        ModelCard.from_json(text, "here")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, r"not valid JSON \(it is nested too deeply\)"),
        (b'{"name": "\xff"}', "not valid JSON .*can't decode byte 0xff"),
        (b"[1]", r"format \[1\], expected 1"),
        (b"", "not valid JSON"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not valid JSON .*4300 digits"),
    ],
)
def test_read_card_rejects_an_invalid_card_with_the_reason(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"not looked at")
    (tmp_path / "m.keras.json").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_card(path)


def test_read_card_rejects_an_operation_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    path.write_bytes(
        path.read_bytes().replace(b"ReduceSum", b"\xff" * 9).replace(b"Conv", b"\xa7" * 4)
    )
    for use in (load_model, read_card):
        with pytest.raises(ModelError, match="cannot be loaded as an ONNX model"):
            use(path)


def test_read_card_rejects_metadata_other_than_utf_8(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"made in code", b"\xff" * 12))
    with pytest.raises(ModelError, match=r"metadata is damaged|card is not valid JSON"):
        read_card(path)


def test_read_card_rejects_a_card_other_than_json(tmp_path: Path) -> None:
    import onnx

    path = tiny_model(tmp_path / "m.onnx", card=False)
    model = onnx.load(str(path))
    model.metadata_props.add(key=CARD_KEY, value="{")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not valid JSON"):
        load_model(path)


def test_write_card_replaces_the_card_and_keeps_other_metadata(tmp_path: Path) -> None:
    import onnx

    path = tiny_model(tmp_path / "m.onnx")
    model = onnx.load(str(path))
    model.metadata_props.add(key="author", value="someone")
    path.write_bytes(model.SerializeToString())
    changed = tiny_card(threshold=0.25, scores={"iou": 0.6})
    write_onnx_card(path, changed, path)
    assert read_card(path) == changed
    kept = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert kept["author"] == "someone"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx"]


def test_read_card_of_a_keras_file_reads_the_file_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"not looked at")
    card = tiny_card(gsd_m=0.3)
    write_card_file(card, path)
    assert read_card(path) == read_card_file(path) == card
