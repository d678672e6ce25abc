"""Class names are unique; tests use public names and begin with what they test."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import roadgis

PACKAGE = Path(roadgis.__file__).parent


def test_public_classes_have_unique_names() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_tests_import_public_names_only() -> None:
    private = [
        f"{path.name}: {node.module}.{alias.name}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("roadgis")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not private, "\n".join(private)


def test_test_names_begin_with_the_function_or_feature() -> None:
    names = [
        name
        for path in sorted(Path(__file__).parent.rglob("test_*.py"))
        for name in re.findall(r"\bdef test_(\w+)", path.read_text(encoding="utf-8"))
    ]
    assert not [name for name in names if name.split("_")[0] in ("a", "an", "the", "there", "it")]
