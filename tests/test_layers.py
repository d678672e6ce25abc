"""Imports go downwards only, and heavy packages are imported where they are used."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import roadgis

PACKAGE = Path(roadgis.__file__).parent

# From the bottom up. A module imports from floors below, or from its own file or folder. A folder
# in a package may have its own floor.
FLOORS = [
    {"_version", "errors", "progress", "affine", "arrays", "dataset_names", "heap", "why_empty"},
    {"crs", "locks", "options", "overwriting"},
    {"atomic", "plain_values", "report"},
    {"model", "vector_files", "workdir"},
    {"imagery", "lines"},
    {"sources"},
    {"probability"},
    {"labels", "photos", "likeness"},
    {"train", "network"},
    {"vectorization", "output", "evaluation"},
    {"comparison"},
    {"estimate", "raster_pipeline", "network/from_lines", "synthetic"},
    {"pipeline"},
    {"web", "batch"},
    {"batch/report", "web/api"},
    {"cli"},
    {"cli/commands"},
    {"__main__"},
]
FLOOR_OF = {name: level for level, floor in enumerate(FLOORS) for name in floor}

# Not imported at the top of a file: they take seconds, or are not installed by default.
HEAVY = {
    "tensorflow",
    "keras",
    "onnx",
    "onnxruntime",
    "matplotlib",
    "networkx",
    "pyarrow",
    "pystac",
    "pystac_client",
    "distributed",
}
TRAINING = {"tensorflow", "keras", "segmentation_models", "albumentations", "tf2onnx", "onnx"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    """Return the file or folder with a floor that contains a module."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    inner = "/".join(parts[:2])
    return inner if inner in FLOOR_OF else parts[0]


def imports(nodes: Iterator[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of each import among the nodes."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def top_level(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the statements that run on import, without those under TYPE_CHECKING."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from top_level(node.orelse)
            continue
        yield node
        for field in ("body", "orelse", "finalbody"):
            yield from top_level(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from top_level(handler.body)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_imports_only_from_floors_below(path: Path) -> None:
    here = part_of(path)
    if here == "__init__":
        return  # it names what is public and imports it on use
    assert here in FLOOR_OF, f"give {here} a floor in this test"
    wrong = []
    for line, name in imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        package, _, rest = name.partition(".")
        if package != "roadgis":
            continue
        there = part_of(PACKAGE / rest.replace(".", "/"))
        assert there in FLOOR_OF, f"line {line} imports {name}: give {there} a floor in this test"
        if there != here and FLOOR_OF[there] >= FLOOR_OF[here]:
            wrong.append(f"line {line}: {here} imports {name}, which is not below it")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_imports_heavy_packages_only_where_they_are_used(path: Path) -> None:
    allowed = TRAINING if part_of(path) == "train" else set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    heavy = [
        f"line {line}: {name}"
        for line, name in imports(top_level(tree.body))
        if name.split(".")[0] in (HEAVY | TRAINING) - allowed
    ]
    assert not heavy, "\n".join(heavy)


def test_floors_name_each_module_once() -> None:
    assert sum(len(floor) for floor in FLOORS) == len(FLOOR_OF)


def test_packages_have_at_most_twenty_modules() -> None:
    counts = Counter(path.parent for path in modules() if path.name != "__init__.py")
    crowded = {folder.relative_to(PACKAGE).as_posix() for folder, n in counts.items() if n > 20}
    assert not crowded
