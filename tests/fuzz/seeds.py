"""Small valid files in every format that is read, made in code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import rasterio
import rasterio.shutil
import shapely
import yaml

from roadgis.model.card import card_path
from roadgis.options.training import TrainSettings
from roadgis.train.settings import settings_to_dict
from tests.factories.models import foreign_model, tiny_card, tiny_model
from tests.factories.rasters import write_raster
from tests.factories.roads import painted

__all__ = ["TEXT_SUFFIXES", "make_seeds"]

#: Suffixes of files that are also damaged as text.
TEXT_SUFFIXES = frozenset(
    [".vrt", ".hdr", ".asc", ".geojson", ".csv", ".gml", ".kml", ".json", ".yaml", ".prj", ".xml"]
)
_SIDE = 96
_STROKES = ((0, 40, 96, 40, 8), (30, 0, 30, 96, 8))
_EAST, _NORTH = 500_000.0, 5_400_000.0
#: Drivers of imagery with suffix and creation options.
_IMAGERY: dict[str, tuple[str, dict[str, Any]]] = {
    "strips": ("tif", {"driver": "GTiff"}),
    "tiles": ("tif", {"driver": "GTiff", "tiled": True, "blockxsize": 32, "blockysize": 32,
                      "compress": "deflate"}),
    "lzw": ("tif", {"driver": "GTiff", "compress": "lzw", "interleave": "band"}),
    "jpeg_in_tiff": ("tif", {"driver": "GTiff", "compress": "jpeg", "photometric": "ycbcr"}),
    "bigtiff": ("tif", {"driver": "GTiff", "bigtiff": "yes"}),
    "cog": ("tif", {"driver": "COG"}),
    "png": ("png", {"driver": "PNG"}),
    "jpeg": ("jpg", {"driver": "JPEG"}),
    "jp2": ("jp2", {"driver": "JP2OpenJPEG"}),
    "webp": ("webp", {"driver": "WEBP"}),
    "envi": ("img", {"driver": "ENVI"}),
    "hfa": ("img", {"driver": "HFA"}),
    "bil": ("bil", {"driver": "EHdr"}),
    "vrt": ("vrt", {"driver": "VRT"}),
}  # fmt: skip
_VECTORS = {
    "geojson": "GeoJSON",
    "gpkg": "GPKG",
    "fgb": "FlatGeobuf",
    "shp": "ESRI Shapefile",
    "gml": "GML",
    "kml": "KML",
    "gdb": "OpenFileGDB",
    "parquet": "",
    "csv": "CSV",
}


def make_seeds(folder: Path) -> None:
    """Write all seeds: ``imagery/NAME/``, ``masks/NAME/``, ``lines/NAME/`` and so on."""
    _rasters(folder)
    _layers(folder)
    _models(folder)
    settings = settings_to_dict(TrainSettings())
    (folder / "settings").mkdir()
    (folder / "settings" / "train.yaml").write_text(yaml.safe_dump(settings))


def _rasters(folder: Path) -> None:
    image = painted((_SIDE, _SIDE), _STROKES)
    scene = write_raster(folder / "scene.tif", image, x0=_EAST, y0=_NORTH)
    mask = (image[:1] == image[1:2]).astype(np.uint8) * 254
    plain = write_raster(folder / "mask.tif", mask, x0=_EAST, y0=_NORTH)
    for source, name in ((scene, "imagery"), (plain, "masks")):
        for kind, (suffix, options) in _IMAGERY.items():
            if name == "masks" and kind in ("jpeg_in_tiff", "webp"):
                continue
            target = folder / name / kind / f"a.{suffix}"
            target.parent.mkdir(parents=True)
            near = source
            if kind == "vrt":
                near = Path(shutil.copy(source, target.parent / "source.tif"))
            rasterio.shutil.copy(near, target, **options)
    ascii_grid = folder / "masks" / "asc" / "a.asc"
    ascii_grid.parent.mkdir()
    rasterio.shutil.copy(plain, ascii_grid, driver="AAIGrid")
    tagged = folder / "tags" / "raster" / "a.tif"
    tagged.parent.mkdir(parents=True)
    shutil.copy(plain, tagged)
    with rasterio.open(tagged, "r+") as dataset:
        dataset.update_tags(ROADGIS_PROBABILITY="254", ROADGIS_PROVENANCE=json.dumps(
            {"threshold": 0.4, "model": {"name": "m"}, "inputs": ["a"], "grid": {"gsd_m": 1.0}}
        ))  # fmt: skip


def _layers(folder: Path) -> None:
    lines = [
        shapely.LineString([(_EAST, _NORTH - 40), (_EAST + 40, _NORTH - 40.5)]),
        shapely.LineString([(_EAST + 40, _NORTH - 40.5), (_EAST + 96, _NORTH - 40)]),
        shapely.LineString([(_EAST + 30, _NORTH), (_EAST + 30, _NORTH - 96)]),
    ]
    fields = {"name": ["Straße", "b", None], "width": [6.0, 7.5, None], "lanes": [1, 2, 3]}
    tables = {
        "lines": geopandas.GeoDataFrame(fields, geometry=lines, crs="EPSG:25832"),
        "areas": geopandas.GeoDataFrame(
            {"name": ["a"]},
            geometry=[shapely.box(_EAST, _NORTH - 90, _EAST + 90, _NORTH)], crs="EPSG:25832",
        ),
    }  # fmt: skip
    for name, table in tables.items():
        table.to_file(folder / f"{name}.gpkg")
        for suffix, driver in _VECTORS.items():
            path = folder / name / suffix / f"a.{suffix}"
            path.parent.mkdir(parents=True)
            _write_layer(table, path, driver)
        packed = folder / name / "zip"
        packed.mkdir()
        shutil.make_archive(str(packed / "a.gdb"), "zip", folder / name / "gdb", "a.gdb")


def _write_layer(table: geopandas.GeoDataFrame, path: Path, driver: str) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif driver == "CSV":
        wkt = table.assign(WKT=table.geometry.to_wkt()).drop(columns="geometry")
        wkt.to_csv(path, index=False)
    else:
        there = table.to_crs(4326) if driver in ("GeoJSON", "KML") else table
        pyogrio.write_dataframe(there, path, driver=driver)


def _models(folder: Path) -> None:
    models = folder / "models"
    models.mkdir()
    tiny_model(folder / "tiny.onnx")
    tiny_model(models / "own.onnx")
    tiny_model(models / "bare.onnx", card=False)
    deepness = {
        "model_type": '"Segmentor"', "class_names": '{"0": "road"}', "resolution": "100",
        "tile_size": "64", "tiles_overlap": "10", "seg_thresh": "0.5",
        "standardization_mean": "[0.0, 0.0, 0.0]", "standardization_std": "[1.0, 1.0, 1.0]",
    }  # fmt: skip
    foreign_model(models / "foreign.onnx", metadata={k: json.loads(v) for k, v in deepness.items()})
    keras = models / "run.keras"
    keras.write_bytes(b"not looked at")
    card_path(keras).write_text(tiny_card().to_json())
