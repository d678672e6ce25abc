"""The options of the command line become the settings of the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from roadgis.cli.parameters import Settings
from roadgis.errors import InputError
from roadgis.options.sources import SourceOptions


def settings(*arguments: str) -> Any:
    found: list[Any] = []

    options = Settings(SourceOptions())

    @click.command()
    @options
    def command(**values: Any) -> None:
        found.append(options.made(values))

    command.main(list(arguments), standalone_mode=False)
    return found[0]


def test_source_options_without_options_are_the_defaults() -> None:
    assert settings() == SourceOptions()


def test_source_options_of_all_options() -> None:
    assert settings(
        "--on-error", "skip", "--order", "given", "--recursive", "--date-field", "flown",
        "--bbox", "8,47,8.5,47.5", "--datetime", "2019/2020", "--asset", "rgb",
        "--imagery-licence", "CC0", "--cache-dir", "cache", "--request-rate", "2",
    ) == SourceOptions(
        on_error="skip", order="given", recursive=True, date_field="flown",
        bbox=(8.0, 47.0, 8.5, 47.5), datetime="2019/2020", asset="rgb",
        imagery_licence="CC0", cache_dir=Path("cache"), request_rate=2.0,
    )  # fmt: skip


def test_source_options_names_a_box_other_than_numbers() -> None:
    with pytest.raises(InputError, match="--bbox is '8,47,x', expected numbers"):
        settings("--bbox", "8,47,x")
