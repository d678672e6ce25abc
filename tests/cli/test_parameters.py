"""Click parameters are made from the fields of settings, and settings from their values."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.cli.description import describe_command
from roadgis.cli.parameters import Command, Settings, argument, parameter
from roadgis.errors import InputError
from roadgis.options.option import Option, setting


@dataclass(frozen=True)
class Inner:
    length_m: float = setting(
        5.0, Option("Length.", "cleaning", unit="m", low=0, off_flag="--no-length", off_help="No.")
    )
    red: bool = setting(True, Option("are red.", "cleaning", listed_in="--no-colour"))
    blue: bool = setting(True, Option("are blue.", "cleaning", listed_in="--no-colour"))


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"] = setting("a", Option("Kind."))
    bands: tuple[int, ...] | None = setting(None, Option("Bands.", example="1,2"))
    files: tuple[Path, ...] = setting((), Option("Files.", path=("in", "raster"), repeat=True))
    layout: str | None = setting(
        None, Option("Layout.", choices=("auto", "x"), convert=str.upper, default_text="auto, seen")
    )
    legend: bool = setting(True, Option("Draw no legend.", flags=("--no-legend",)))
    both: bool = setting(False, Option("Both.", flags=("--both/--no-both",)))
    whole: bool = setting(True, Option("Whole.", flags=("--whole/--no-whole",)))
    hidden: int = 3
    inner: Inner = field(default_factory=Inner)


SETTINGS = Settings(Outer())


@click.command("outer", cls=Command)
@argument("source", ("in", "vector"))
@SETTINGS
def command(**values: object) -> None:
    """Do it."""
    click.echo(repr(SETTINGS.made(values)))


def made(*arguments: str) -> Outer:
    done = CliRunner().invoke(command, ["source", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return eval(done.output, {**globals(), "PosixPath": Path})  # type: ignore[no-any-return]


def test_settings_without_options_keep_the_base() -> None:
    assert made() == Outer()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--kind", "b"], Outer(kind="b")),
        (["--bands", "3, 1"], Outer(bands=(3, 1))),
        (["--files", "a", "--files", "b"], Outer(files=(Path("a"), Path("b")))),
        (["--layout", "x"], Outer(layout="X")),
        (["--no-legend"], Outer(legend=False)),
        (["--both"], Outer(both=True)),
        (["--no-both"], Outer()),
        (["--no-whole"], Outer(whole=False)),
        (["--length", "7"], Outer(inner=Inner(length_m=7.0))),
        (["--length", "7", "--no-length"], Outer(inner=Inner(length_m=0.0))),
        (["--no-colour", "red"], Outer(inner=Inner(red=False))),
        (["--no-colour", "all"], Outer(inner=Inner(red=False, blue=False))),
    ],
)
def test_settings_take_each_kind_of_option(arguments: list[str], expected: Outer) -> None:
    assert made(*arguments) == expected


@click.command("needy", cls=Command)
@parameter(Path, Option("File.", flags=("-o", "--output"), path=("out", "vector")), required=True)
def needy(output: Path) -> None:
    """Need a file."""


@pytest.mark.parametrize(("tested", "given"), [(needy, []), (cli, ["extract", "scene.tif"])])
def test_parameter_required_by_settings_must_be_given(
    tested: click.Command, given: list[str]
) -> None:
    done = CliRunner().invoke(tested, given)
    assert done.exit_code == 2
    assert done.output.splitlines()[-1] == "Error: Missing option '-o' / '--output'."


@pytest.mark.parametrize("group", [(), ("batch",), ("model",)])
def test_help_of_groups_does_not_cut_the_descriptions_of_commands(group: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*group, "--help"], terminal_width=80)
    _, _, commands = shown.output.partition("Commands:")
    assert commands.count("  ") > 1
    assert "..." not in commands


def test_settings_given_names_the_fields_by_path() -> None:
    values = {"length": 7.0, "kind": None, "files": (), "no_legend": False}
    assert SETTINGS.given(values) == {("inner", "length_m"): 7.0}


def test_settings_change_another_base() -> None:
    assert SETTINGS.made({"kind": "b"}, Outer(hidden=9)) == Outer(kind="b", hidden=9)


def test_settings_only_and_without_choose_options() -> None:
    assert Settings(Outer(), only=("inner",)).made({"kind": "b", "length": 1.0}) == Outer(
        inner=Inner(length_m=1.0)
    )
    assert Settings(Outer(), without=("inner",)).made({"length": 1.0}) == Outer()


def test_settings_reject_a_list_of_words_as_numbers() -> None:
    with pytest.raises(InputError, match=r"--bands is '1,red', expected numbers .* such as 1,2\."):
        SETTINGS.made({"bands": "1,red"})


@pytest.mark.parametrize("value", ["-1", "nan", "inf"])
def test_range_rejects_numbers_that_are_negative_or_not_finite(value: str) -> None:
    done = CliRunner().invoke(command, ["source", "--length", value])
    assert done.exit_code == 2
    assert "--length" in done.output


def test_describe_parameter_of_a_new_field_has_what_a_dialog_needs() -> None:
    described = {p["name"]: p for p in describe_command("outer", command)["parameters"]}
    assert list(described) == [
        *("source", "kind", "bands", "files", "layout", "no_legend", "both", "whole"),
        *("length", "no_length", "no_colour"),
    ]
    assert described["length"] == {
        "name": "length", "flags": ["--length"], "off_flags": [], "type": "number",
        "integer": False, "min": 0, "max": None, "min_open": False, "max_open": False,
        "unit": "m", "default": 5.0, "default_text": "", "help": "Length.", "required": False,
        "multiple": False, "group": "cleaning", "advanced": True,
    }  # fmt: skip
    assert described["files"]["type"] == "path_in"
    assert described["files"]["multiple"]
    assert described["layout"]["default"] == "auto"
    assert described["no_colour"]["choices"] == ["red", "blue", "all"]
    assert described["both"]["off_flags"] == ["--no-both"]
    assert described["no_legend"]["default"] is False


def test_help_groups_options_and_names_defaults() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Options:", "Cleaning:", "Messages:"]
    assert "Kind.  [default: a]" in shown
    assert "Layout.  [default: auto, seen]" in shown
    assert "Both.  [default: no-both]" in shown
    assert "red: are red. blue: are blue." in " ".join(shown.split())


def test_help_of_extract_ends_with_the_model_description() -> None:
    shown = CliRunner().invoke(cli, ["extract", "--help"]).output
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        "Options:", "Sources:", "Imagery:", "Model:", "Cleaning:", "Performance:", "Messages:",
        "ONNX files without a model card (--model-*):",
    ]  # fmt: skip
    last = shown.split(headings[-1])[1]
    names = [line.split()[0] for line in last.splitlines() if line.startswith("  --")]
    assert len(names) == 11
    assert all(name.startswith("--model-") for name in names)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["exract"], "Did you mean 'extract'?"),
        (["evaluation"], "Did you mean 'evaluate'?"),
        (["model", "lst"], "Did you mean 'list'?"),
        (["clean", "--min-dangel", "2"], "--min-dangle"),
    ],
)
def test_mistyped_names_get_a_suggestion(arguments: list[str], hint: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert hint in done.output


def test_options_import_nothing_but_errors() -> None:
    program = (
        "import pkgutil, importlib, sys, roadgis.options as o\n"
        "for m in pkgutil.iter_modules(o.__path__):\n"
        "    importlib.import_module('roadgis.options.' + m.name)\n"
        "known = {'roadgis', 'roadgis._version', 'roadgis.errors', 'roadgis.options'}\n"
        "names = {m for m in sys.modules if m.startswith('roadgis')}\n"
        "names -= known | {m for m in names if m.startswith('roadgis.options.')}\n"
        "print(names | ({'numpy', 'click'} & set(sys.modules)) or 'nothing')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "nothing", done.stderr
