"""The description of the commands agrees with the commands and the library."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.cli.commands.describe import command as describe_cli
from roadgis.cli.description import describe, describe_parameter
from roadgis.cli.options import EXTRACT
from roadgis.cli.shell import PROTOCOL
from roadgis.errors import InputError, ModelError
from roadgis.model.catalog import bundled_models, read_card
from roadgis.model.onnx_fields import read_metadata
from tests.factories.models import tiny_model
from tests.test_english import listed


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return describe()


def parameters(facts: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    found = next(entry for entry in facts["commands"] if entry["name"] == command)
    return {parameter["name"]: parameter for parameter in found["parameters"]}


def test_describe_json_is_one_object_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, json\n"
        "from roadgis.cli.commands.describe import command\n"
        "command(['--json'], standalone_mode=False)\n"
        "print(json.dumps([m for m in ('tensorflow', 'keras', 'onnxruntime', 'matplotlib')"
        " if m in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stdout)
    assert facts["protocol"] == PROTOCOL
    assert list(facts) == ["protocol", "version", "formats", "models", "commands"]
    assert json.loads(done.stderr) == []


def test_describe_lists_every_command_and_parameter(facts: dict[str, Any]) -> None:
    context = click.Context(cli)
    described = {entry["name"]: entry for entry in facts["commands"]}
    for name in cli.list_commands(context):
        found = cli.get_command(context, name)
        assert found is not None
        inner = found.commands if isinstance(found, click.Group) else {"": found}
        for sub, single in inner.items():
            entry = described[f"{name} {sub}".strip()]
            assert entry["summary"].endswith(".")
            assert [p["name"] for p in entry["parameters"]] == [p.name for p in single.params]


def test_help_and_messages_are_plain_and_complete(facts: dict[str, Any]) -> None:
    for entry in facts["commands"]:
        for parameter in entry["parameters"]:
            where = f"{entry['name']} {parameter['name']}"
            assert "[default" not in parameter["help"], where
            assert parameter["help"] or parameter["default_text"] or not parameter["flags"], where
            if parameter["type"] == "number" and parameter["default"] is not None:
                low, high = parameter["min"], parameter["max"]
                assert low is None or low <= parameter["default"], where
                assert high is None or parameter["default"] <= high, where
            if parameter["type"] == "choice" and parameter["default"] is not None:
                assert parameter["default"] in parameter["choices"], where


def test_help_texts_are_sentences_without_listed_phrases(facts: dict[str, Any]) -> None:
    for entry in facts["commands"]:
        for parameter in entry["parameters"]:
            if not parameter["flags"]:
                continue
            text, where = parameter["help"], f"{entry['name']} {parameter['name']}: "
            assert re.match(r"[A-Z]", text), where + text
            assert text.endswith((".", "...")), where + text
            assert not text.startswith(("Of ", "Whether ", "How ", "What ", "Which ")), where + text
            assert not listed(f"{text} {parameter['default_text']}"), where + text


def flat(settings: Any) -> dict[str, Any]:
    """Return a dataclass as values by dotted name."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            values |= {f"{field.name}.{name}": inner for name, inner in flat(value).items()}
        else:
            values[field.name] = value
    return values


def another(parameter: dict[str, Any]) -> list[Any]:
    """Return valid values of an option other than its default."""
    default = parameter["default"]
    if parameter["type"] == "number":
        candidates = [default * factor for factor in (0.5, 2, 1.5, 0.9)] + [0, 1]
        if parameter["integer"]:
            candidates = [int(value) for value in candidates]
        return [value for value in candidates if value != default]
    return [choice for choice in parameter.get("choices", [not default]) if choice != default]


@pytest.mark.parametrize("command", ["extract", "predict", "vectorize"])
def test_describe_gives_the_default_of_the_setting_behind_each_option(
    facts: dict[str, Any], command: str
) -> None:
    base = EXTRACT.made({})
    checked = set()
    for name, parameter in parameters(facts, command).items():
        if parameter["default"] is None or parameter["type"] not in {"number", "choice"}:
            continue
        if parameter["group"] in {"shell", "model description", "raster"} or name == "device":
            continue
        for value in another(parameter):
            try:
                changed = flat(EXTRACT.made({name: value}))
            except InputError:
                continue
            differing = [key for key, now in changed.items() if now != flat(base)[key]]
            if differing:
                assert [flat(base)[key] for key in differing] == [parameter["default"]], name
                checked.add(name)
                break
        assert name in checked, f"--{name}: no value changes a setting"
    assert len(checked) >= 1


@pytest.mark.parametrize("command", ["extract", "vectorize", "predict"])
def test_settings_reject_negative_lengths_and_probabilities(
    facts: dict[str, Any], command: str
) -> None:
    checked = 0
    for name, parameter in parameters(facts, command).items():
        if (
            parameter["group"] not in {"cleaning", "performance", "basic"}
            or parameter.get("min") != 0
        ):
            continue
        if name == "tile_px":
            continue  # rejected when the model's stride is known
        with pytest.raises(InputError):
            EXTRACT.made({name: -1})
        checked += 1
    assert checked >= 1


def test_describe_extract_has_what_a_dialog_needs(facts: dict[str, Any]) -> None:
    extract = parameters(facts, "extract")
    assert extract["sources"]["type"] == "path_in"
    assert extract["sources"]["multiple"]
    assert extract["output"] == {
        "name": "output", "flags": ["-o", "--output"], "off_flags": [], "type": "path_out",
        "content": "vector",
        "suffixes": [".geojson", ".gpkg", ".fgb", ".parquet", ".geoparquet", ".shp"],
        "default": None, "default_text": "", "help": extract["output"]["help"], "required": True,
        "multiple": False, "group": "basic", "advanced": False,
    }  # fmt: skip
    width = extract["max_road_width"]
    assert (width["type"], width["unit"], width["min"], width["default"]) == ("number", "m", 0, 60)
    assert width["group"] == "cleaning"
    assert extract["threshold"]["default"] is None
    assert extract["threshold"]["default_text"] == "the model card's"
    assert (extract["threshold"]["min"], extract["threshold"]["max"]) == (0, 1)
    assert extract["probability"]["type"] == "path_out"
    assert extract["progress"]["group"] == "shell"
    assert not extract["aoi"]["advanced"]
    assert extract["work_dir"]["advanced"]
    assert extract["block_px"]["unit"] == "px"
    assert parameters(facts, "vectorize")["probability"]["type"] == "path_in"
    assert parameters(facts, "clean")["probability"]["type"] == "path_in"


def test_describe_parameter_rejects_a_path_without_a_direction() -> None:
    with pytest.raises(ValueError, match="new_file: declare the content of this path"):
        describe_parameter(click.Option(["--new-file"], type=click.Path(), help="A."))


def test_describe_lists_bundled_models_by_their_cards(facts: dict[str, Any]) -> None:
    assert [model["key"] for model in facts["models"]] == list(bundled_models())
    for model in facts["models"]:
        card = read_card(model["key"])
        assert (model["name"], model["version"]) == (card.name, card.version)
        assert (model["gsd_m"], model["threshold"]) == (card.gsd_m, card.threshold)
    assert sum(model["is_default"] for model in facts["models"]) == 1


def test_describe_reads_the_metadata_of_an_onnx_file_without_a_runtime(tmp_path: Path) -> None:
    import onnxruntime

    path = tiny_model(tmp_path / "m.onnx", name="Straße")
    session = onnxruntime.InferenceSession(str(path))
    assert read_metadata(path) == session.get_modelmeta().custom_metadata_map
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        read_metadata(cut)
    (tmp_path / "no.onnx").write_bytes(b"<html>")
    with pytest.raises(ModelError, match=r"no\.onnx"):
        read_metadata(tmp_path / "no.onnx")


def test_describe_as_text_names_every_command_and_option() -> None:
    done = CliRunner().invoke(describe_cli, [])
    assert done.exit_code == 0, done.output
    assert "--max-road-width" in done.output
    assert "default 60" in done.output
    assert "\nvectorize: " in done.output
