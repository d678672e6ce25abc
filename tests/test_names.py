"""Public class names are unique."""

from __future__ import annotations

import ast
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
