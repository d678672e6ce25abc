"""The public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import roadgis


@pytest.mark.parametrize("name", [n for n in roadgis.__all__ if n != "__version__"])
def test_every_public_name_is_there_and_stays_what_it_is(name: str) -> None:
    # In a process of its own: a module of the same name must not take a function's place once
    # it is imported.
    code = (
        "import roadgis, importlib, pkgutil\n"
        f"first = roadgis.{name}\n"
        "import roadgis.pipeline, roadgis.prediction, roadgis.vectorization\n"
        f"assert roadgis.{name} is first and callable(first)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        roadgis.nowhere  # noqa: B018
