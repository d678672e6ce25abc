"""The public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import roadgis


def test_public_names_exist_and_do_not_change_by_imports() -> None:
    # In a process of its own: importing a module of the same name must not replace a function
    # of the package.
    code = (
        "import roadgis\n"
        "names = [name for name in roadgis.__all__ if name != '__version__']\n"
        "first = {name: getattr(roadgis, name) for name in names}\n"
        "import roadgis.network.from_lines.clean_lines\n"
        "import roadgis.comparison.run, roadgis.evaluation.run\n"
        "import roadgis.pipeline, roadgis.probability.prediction, roadgis.vectorization\n"
        "for name in names:\n"
        "    assert getattr(roadgis, name) is first[name] and callable(first[name]), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        roadgis.nowhere  # noqa: B018
