#!/usr/bin/env python3
"""Make dist/roadgis_qgis.zip, the same bytes from the same files: package.py [TARGET]."""

import configparser
import json
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "roadgis_qgis"
SUFFIXES = {".py", ".json", ".svg", ".txt", ".qm"}
REQUIRED = (
    "name", "description", "version", "qgisMinimumVersion", "author", "email", "about",
    "tracker", "repository", "homepage",
)  # fmt: skip
MAX_BYTES = 25_000_000


def files(folder):
    """Return what goes into the zip, in a fixed order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and (path.suffix in SUFFIXES or path.name == "LICENSE")
    )


def problems(folder):
    """Return what the plugin repository, or we, would find fault with."""
    found = []
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(folder / "metadata.txt", encoding="utf-8")
    general = metadata["general"]
    found += [f"metadata.txt lacks {key}" for key in REQUIRED if not general.get(key)]
    if general.get("hasProcessingProvider") != "yes":
        found.append("metadata.txt: hasProcessingProvider is not yes, so qgis_process skips it")
    if not (folder / general.get("icon", "icon")).is_file():
        found.append("metadata.txt: the icon is missing")
    for name in ("__init__.py", "LICENSE", "engine.json"):
        if not (folder / name).is_file():
            found.append(f"{name} is missing")
    engine = json.loads((folder / "engine.json").read_text(encoding="utf-8"))["version"]
    if engine.split(".")[:2] != general["version"].split(".")[:2]:
        found.append(f"the plugin is {general['version']}, but its engine is {engine}")
    if not folder.name.isidentifier() or folder.name == "roadgis":
        found.append(f"{folder.name} cannot be the plugin's folder")
    return found


def package(target):
    """Write the zip."""
    folder = HERE / NAME
    found = problems(folder)
    if found:
        sys.exit("\n".join(found))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for path in files(folder):
            name = path.relative_to(HERE).as_posix()
            # A fixed time and mode: the same files give the same zip.
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=9)
    if partial.stat().st_size > MAX_BYTES:
        sys.exit(f"the zip has {partial.stat().st_size} bytes, more than the repository takes")
    partial.replace(target)
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    default = HERE.parent / "dist" / f"{NAME}.zip"
    package(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
