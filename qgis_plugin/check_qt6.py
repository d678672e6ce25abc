#!/usr/bin/env python3
"""Import every module of the plugin with PyQt6 and a stand-in for qgis, and look at enums.

Qt 6's bindings know scoped enum names only, and QGIS 4 has the same rule for its own.
"""

import ast
import importlib
import os
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "roadgis_qgis"
#: Of QGIS's classes: enum members that 3.22 has, and that must be written with their enum.
SCOPED = {
    "QgsProcessing": {"SourceType"},
    "QgsProcessingParameterNumber": {"Type"},
    "QgsProcessingParameterDefinition": {"Flag"},
    "QgsProcessingParameterFile": {"Behavior"},
    "QgsProcessingAlgorithm": {"Flag"},
    "QgsProcessingContext": {"LayerDetails"},
    "QgsCoordinateReferenceSystem": {"WktVariant"},
    "QgsVectorFileWriter": {"WriterError", "SaveVectorOptions"},
    "QgsSymbolLayer": {"Property"},
}
GONE = {"exec_", "QRegExp", "qApp", "resources_rc"}


class Anything(type):
    """A class that has every attribute."""

    def __getattr__(cls, name):
        """Return another class like it."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})

    def __or__(cls, other):
        """Return flags that are combined."""
        return cls


class Stub(types.ModuleType):
    """A module in which every name is a class."""

    def __getattr__(self, name):
        """Return a class of this name."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = Anything(name, (), {})
        setattr(self, name, made)
        return made


def stand_in():
    """Put PyQt6 and stand-ins where the plugin imports from."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PyQt6 import QtCore

    core, gui = QtCore, Stub("qgis.PyQt.QtGui")
    try:
        from PyQt6 import QtGui as gui  # needs libraries of the system (libEGL)
    except ImportError as error:
        sys.stderr.write(f"PyQt6.QtGui cannot be loaded here, a stand-in is used: {error}\n")
    pyqt = types.ModuleType("qgis.PyQt")
    modules = {
        "qgis": types.ModuleType("qgis"),
        "qgis.core": Stub("qgis.core"),
        "qgis.PyQt": pyqt,
        "qgis.PyQt.QtCore": core,
        "qgis.PyQt.QtGui": gui,
        "processing": types.ModuleType("processing"),
        "processing.core": types.ModuleType("processing.core"),
        "processing.core.ProcessingConfig": Stub("processing.core.ProcessingConfig"),
        "osgeo": Stub("osgeo"),
    }
    # PyQt6 has no QVariant class of its own to subclass, but QGIS's PyQt has one.
    sys.modules.update(modules)


def enums(path):
    """Yield what in a module would fail with scoped enums only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "id", None))
        if name in GONE:
            yield f"{path.name}:{node.lineno}: {name} is gone in Qt 6"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            allowed = SCOPED.get(node.value.id)
            known_method = node.attr[:1].islower()
            if allowed is not None and node.attr not in allowed and not known_method:
                yield f"{path.name}:{node.lineno}: {node.value.id}.{node.attr} lacks its enum"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("PyQt", "sip")):
            yield f"{path.name}:{node.lineno}: import from qgis.PyQt, not {node.module}"


def main():
    """Check all modules; exits with 1 if something was found."""
    stand_in()
    sys.path.insert(0, str(HERE))
    found = []
    for path in sorted(PLUGIN.rglob("*.py")):
        found += enums(path)
        parts = path.relative_to(HERE).with_suffix("").parts
        importlib.import_module(".".join(part for part in parts if part != "__init__"))
    sys.stdout.write("\n".join([*found, f"{len(found)} problems"]) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
