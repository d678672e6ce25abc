"""The package and its help start quickly: heavy packages are loaded when needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["tensorflow", "keras", "onnxruntime", "matplotlib"]

IMPORT = "import roadgis"
HELP = """
import contextlib, io, runpy
sys.argv = ["roadgis", *{arguments!r}]
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    runpy.run_module("roadgis", run_name="__main__", alter_sys=True)
assert "Usage" in out.getvalue(), out.getvalue()
"""
PIPELINE = "import roadgis.pipeline"
EVERY_MODULE = """
import importlib, pkgutil, roadgis
for module in pkgutil.walk_packages(roadgis.__path__, "roadgis."):
    if not module.name.startswith(("roadgis.train", "roadgis.__main__")):
        importlib.import_module(module.name)
"""


VECTORIZE = """
import numpy, rasterio
from roadgis.raster_pipeline import vectorize_file
mask = numpy.zeros((200, 200), numpy.uint8)
mask[90:110] = mask[:, 90:98] = 1  # one road is wide enough to be looked at twice
profile = dict(driver="GTiff", width=200, height=200, count=1, dtype="uint8", crs="EPSG:32632",
               transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6))
with rasterio.open({folder!r} + "/mask.tif", "w", **profile) as dataset:
    dataset.write(mask, 1)
assert len(vectorize_file({folder!r} + "/mask.tif", {folder!r} + "/" + {name!r})) == 4
assert "scipy.ndimage" not in sys.modules
"""


TABLES = """
import geopandas
roads = geopandas.read_file({folder!r} + "/roads.gpkg", layer="edges")
roads.to_file({folder!r} + "/copy.gpkg")
assert geopandas.read_file({folder!r} + "/copy.gpkg").equals(roads) and len(roads) == 4
"""


def loaded(program: str) -> set[str]:
    """Return the top-level packages that a program has loaded."""
    report = "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{program}\n{report}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    names = loaded(IMPORT)
    assert names.isdisjoint([*HEAVY, "numpy", "rasterio", "geopandas"])


@pytest.mark.parametrize("arguments", [["--help"], ["extract", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(HELP.format(arguments=arguments)).isdisjoint(HEAVY)


def test_pipeline_loads_no_tables_or_solvers_when_imported() -> None:
    # They take more than half of the start-up time on a small raster.
    assert loaded(PIPELINE).isdisjoint([*HEAVY, "pandas", "geopandas", "pyogrio", "scipy"])


@pytest.mark.parametrize("name", ["roads.geojson", "roads.gpkg", "roads.fgb", "roads.shp"])
def test_vectorize_loads_no_tables(tmp_path: Path, name: str) -> None:
    names = loaded(VECTORIZE.format(folder=str(tmp_path), name=name))
    assert names.isdisjoint([*HEAVY, "pandas", "geopandas"])
    assert ("pyogrio" in names) == (name != "roads.geojson")


def test_light_pyogrio_leaves_tables_unaffected(tmp_path: Path) -> None:
    program = VECTORIZE.format(folder=str(tmp_path), name="roads.gpkg") + TABLES.format(
        folder=str(tmp_path)
    )
    assert {"pandas", "geopandas"} <= loaded(program)


def test_modules_outside_train_load_nothing_heavy_when_imported() -> None:
    assert loaded(EVERY_MODULE).isdisjoint(HEAVY)
