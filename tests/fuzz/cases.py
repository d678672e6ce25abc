"""One damaged file and the command that reads it, by kind and number."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import geopandas
import onnx
import pyogrio
import rasterio
import shapely

from roadgis.cli import cli
from roadgis.cli.shell import exit_status
from roadgis.model.card import CARD_KEY
from roadgis.output import read_provenance
from roadgis.train.data.data_checks import check_labels
from roadgis.train.data.pair_scene import open_pairs
from roadgis.train.settings import read_settings, write_settings
from tests.factories.models import tiny_card
from tests.fuzz.mutate import damaged, odd_json
from tests.fuzz.seeds import TEXT_SUFFIXES

__all__ = ["FULL", "KINDS", "SHORT", "prepared"]

#: Number of cases of each kind, in a full run and in the test suite.
FULL = {"rasters": 500, "vectors": 500, "models": 300, "settings": 100, "tags": 100}
SHORT = {"rasters": 18, "vectors": 18, "models": 12, "settings": 6, "tags": 6}

Work = Callable[[], int]
Maker = Callable[[random.Random, Path, Path], tuple[str, Work]]

_SUFFIXES = ("gpkg", "geojson", "fgb", "parquet", "shp")
_COORDINATES = (1e300, -1e300, float("nan"), float("inf"), 1e20, 180.0, 0.0, 1e-300, 91.0, 1e9)
_NAMES = (
    *("ID", "geom", "geometry", "fid", "Name", "name", "ogc_fid", "length_m", "bbox", "rowid"),
    *("FID", "a b", '"', "", "ß" * 40, "x" * 300),
)
#: Files next to a main one.
_SIDECARS = frozenset([".cpg", ".dbf", ".hdr", ".prj", ".shx", ".xml"])
_VALUES = ("text", "ß" * 300, 1, 2**62, -1.5, 1e300, float("nan"), None, True, "1 m", "\x01")


def prepared(kind: str, number: int, seed: int, seeds: Path, folder: Path) -> tuple[str, Work]:
    """Write a case's input into a folder.

    Returns
    -------
    str
        Description of the command.
    callable
        Runs it and returns the exit status.
    """
    rng = random.Random(f"{seed} {kind} {number}")
    (folder / "out").mkdir(parents=True)
    return KINDS[kind](rng, seeds, folder)


def _command(*arguments: object) -> tuple[str, Work]:
    words = [str(argument) for argument in arguments]

    def work() -> int:
        def call(**options: Any) -> Any:
            return cli.main(args=words, **options)

        return exit_status(call)

    return f"roadgis {' '.join(words)}", work


def _damaged_copy(rng: random.Random, source: Path, folder: Path) -> Path:
    """Copy a seed with its side files, damage one of the files, and return the main one."""
    here = folder / "in"
    shutil.copytree(source, here)
    files = [path for path in sorted(here.rglob("*")) if path.is_file() and path.stat().st_size]
    main = next(
        path
        for path in sorted(here.iterdir())
        if path.name.startswith("a.") and path.suffix not in _SIDECARS
    )
    # Mostly the main file; any file of a geodatabase and a Shapefile.
    target = main if main.is_file() and rng.random() < 0.7 else rng.choice(files)
    if len(files) > 1 and rng.random() < 0.05:
        target.unlink()
    else:
        is_text = target.suffix in TEXT_SUFFIXES
        target.write_bytes(damaged(target.read_bytes(), rng, is_text=is_text))
    return main


def _pick(rng: random.Random, folder: Path) -> Path:
    return rng.choice(sorted(path for path in folder.iterdir() if path.is_dir()))


def _raster(rng: random.Random, seeds: Path, folder: Path) -> tuple[str, Work]:
    is_mask = rng.random() < 0.5
    path = _damaged_copy(rng, _pick(rng, seeds / ("masks" if is_mask else "imagery")), folder)
    out, tiny, lines = folder / "out", seeds / "tiny.onnx", seeds / "lines.gpkg"
    if is_mask:
        return rng.choice((
            lambda: _command("vectorize", path, "-o", out / "out.gpkg"),
            lambda: _command("clean", lines, "-o", out / "out.gpkg", "--probability", path),
            lambda: _pairs(seeds / "scene.tif", path, folder),
        ))()  # fmt: skip
    name = path if rng.random() < 0.8 else path.parent
    if name != path:
        shutil.copy(seeds / "scene.tif", path.parent / "whole.tif")
    return rng.choice((
        lambda: _command("info", name),
        lambda: _command("extract", name, "-o", out / "out.gpkg", "--model", tiny),
        lambda: _command("predict", name, "-o", out / "out.tif", "--model", tiny),
        lambda: _command("labels", lines, "--like", path, "-o", out / "out.tif", "--width", 6),
        lambda: _command("evaluate", lines, lines, "--image", path, "--report", out / "out.html"),
        lambda: _pairs(path, seeds / "mask.tif", folder),
    ))()  # fmt: skip


def _pairs(image: Path, mask: Path, folder: Path) -> tuple[str, Work]:
    pairs = folder / "pairs"
    for path, name in ((image, "images"), (mask, "masks")):
        (pairs / name).mkdir(parents=True)
        if path.exists():
            shutil.copy(path, pairs / name / f"a{path.suffix}")

    def work() -> int:
        print(check_labels(open_pairs([pairs])))
        return 0

    return f"open_pairs([{str(pairs)!r}])", work


def _vector(rng: random.Random, seeds: Path, folder: Path) -> tuple[str, Work]:
    is_area = rng.random() < 0.2
    if rng.random() < 0.35:
        path, fields = _odd_layer(rng, folder, is_area)
    else:
        path = _damaged_copy(rng, _pick(rng, seeds / ("areas" if is_area else "lines")), folder)
        fields = ["name", "width"]
    out, lines, scene = folder / "out", seeds / "lines.gpkg", seeds / "scene.tif"
    if is_area:
        return rng.choice((
            lambda: _command("evaluate", lines, lines, "--aoi", path, "--csv", out / "out.csv"),
            lambda: _command("compare", lines, lines, "--aoi", path, "-o", out / "out.gpkg"),
            lambda: _command("predict", scene, "-o", out / "out.tif", "--aoi", path,
                             "--model", seeds / "tiny.onnx"),
        ))()  # fmt: skip
    keep = ["--keep-fields", ",".join(fields)] if rng.random() < 0.7 else []
    suffix = rng.choice(_SUFFIXES)
    review = rng.choice(("gpkg", "geojson"))
    return rng.choice((
        lambda: _command("clean", path, "-o", out / f"out.{suffix}", *keep),
        lambda: _command("clean", path, "-o", out / f"out.{suffix}", "--width-field", fields[0]),
        lambda: _command("compare", path, lines, "-o", out / f"out.{review}"),
        lambda: _command("compare", lines, path, "-o", out / f"out.{review}"),
        lambda: _command("evaluate", path, lines, "--csv", out / "out.csv"),
        lambda: _command("evaluate", lines, path, "--errors", out / "out.gpkg"),
        lambda: _command("labels", path, "--like", scene, "-o", out / "out.tif", "--width", 6),
    ))()  # fmt: skip


def _odd_layer(rng: random.Random, folder: Path, is_area: bool) -> tuple[Path, list[str]]:
    """Write a complete file with odd coordinates, names and values; return it and its fields."""
    here = folder / "in"
    here.mkdir()
    names = [name for name in rng.sample(_NAMES, 3) if name] or ["name"]
    if rng.random() < 0.5:
        path = here / "a.geojson"
        path.write_text(odd_json(_collection(rng, names, is_area), rng), errors="surrogateescape")
        return path, names
    shapes = [shapely.transform(_shape(rng, is_area), lambda xy: _spoilt(xy, rng))
              for _ in range(3)]  # fmt: skip
    names = list({name.lower(): name for name in names if name.lower() != "geometry"}.values())
    table = geopandas.GeoDataFrame(
        {name: [rng.choice(_VALUES)] * 3 for name in names}, geometry=shapes,
        crs=rng.choice((None, 4326, 25832, 3857, 4979, 2056)),
    )  # fmt: skip
    for driver, suffix in rng.sample((("GPKG", "gpkg"), ("FlatGeobuf", "fgb"), ("GML", "gml")), 3):
        try:
            pyogrio.write_dataframe(table, here / f"a.{suffix}", driver=driver)
        except (ValueError, RuntimeError):
            continue  # not every driver accepts every name and value
        return here / f"a.{suffix}", names
    (here / "a.geojson").write_text("{}")
    return here / "a.geojson", names


def _shape(rng: random.Random, is_area: bool) -> shapely.Geometry:
    x, y = rng.choice(((500_000.0, 5_400_000.0), (9.0, 48.7), (179.9995, -17.0)))
    lines = shapely.LineString([(x, y), (x + 0.001, y), (x + 50, y + 20)])
    if is_area:
        return lines.buffer(1.0)
    return rng.choice((
        lines, shapely.Point(x, y), shapely.MultiLineString([lines, lines]), lines.buffer(0.1),
        shapely.LineString(), shapely.LineString([(x, y, 5.0), (x + 20, y, float("nan"))]),
    ))  # fmt: skip


def _spoilt(xy: Any, rng: random.Random) -> Any:
    # Not the last one: a ring must end at its first point.
    if len(xy) > 2 and rng.random() < 0.6:
        xy[rng.randrange(1, len(xy) - 1), rng.randrange(2)] = rng.choice(_COORDINATES)
    return xy


def _collection(rng: random.Random, names: Sequence[str], is_area: bool) -> dict[str, Any]:
    shape = [[9.0, 48.7], [9.001, 48.7], [9.001, 48.701], [9.0, 48.7]]
    kind = {"type": "Polygon", "coordinates": [shape]} if is_area else {
        "type": "LineString", "coordinates": shape
    }  # fmt: skip
    feature = {
        "type": "Feature", "id": 1, "geometry": kind,
        "properties": {name: rng.choice(_VALUES) for name in names},
    }  # fmt: skip
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
    return {"type": "FeatureCollection", "crs": crs, "features": [feature] * 2}


def _model(rng: random.Random, seeds: Path, folder: Path) -> tuple[str, Work]:
    here = folder / "in"
    here.mkdir()
    name = rng.choice(("own.onnx", "bare.onnx", "foreign.onnx", "run.keras"))
    path = Path(shutil.copy(seeds / "models" / name, here / name))
    if name == "run.keras":
        card = here / "run.keras.json"
        card.write_bytes(_damaged_card(rng))
    elif rng.random() < 0.5:
        path.write_bytes(damaged(path.read_bytes(), rng))
    else:
        _damage_metadata(path, rng)
    out, scene = folder / "out", seeds / "scene.tif"
    has_card = name == "run.keras" or CARD_KEY.encode() in path.read_bytes()
    told = [] if has_card else ["--model-gsd", 1, "--model-classes", "road"]
    return rng.choice((
        lambda: _command("model", "info", path, *told),
        lambda: _command("predict", scene, "-o", out / "out.tif", "--model", path, *told),
        lambda: _command("model", "adopt", path, "-o", out / "out.onnx", *told),
    ))()  # fmt: skip


def _damaged_card(rng: random.Random) -> bytes:
    text = tiny_card().to_json()
    if rng.random() < 0.3:
        return damaged(text.encode(), rng, is_text=True)
    return odd_json(json.loads(text), rng).encode("utf-8", "surrogatepass")


def _damage_metadata(path: Path, rng: random.Random) -> None:
    """Put a damaged card or value into an ONNX file without damaging its structure."""
    model = onnx.load(str(path))
    if not model.metadata_props:
        model.metadata_props.add(key=CARD_KEY, value=tiny_card().to_json())
    entry = rng.choice(model.metadata_props)
    # Protocol buffers hold valid Unicode only; other bytes come from `damaged`.
    value = _damaged_card(rng) if entry.key == CARD_KEY else odd_json(
        json.loads(entry.value), rng
    ).encode("utf-8", "replace")  # fmt: skip
    entry.value = value.decode("utf-8", "replace")
    path.write_bytes(model.SerializeToString())


def _settings(rng: random.Random, seeds: Path, folder: Path) -> tuple[str, Work]:
    import yaml

    path = folder / "train.yaml"
    text = (seeds / "settings" / "train.yaml").read_bytes()
    if rng.random() < 0.5:
        text = odd_json(yaml.safe_load(text), rng).encode("utf-8", "surrogatepass")
    else:
        text = damaged(text, rng, is_text=True)
    path.write_bytes(text)

    def work() -> int:
        settings = read_settings(path)
        write_settings(settings, folder / "out" / "out.yaml")
        assert read_settings(folder / "out" / "out.yaml").optimization == settings.optimization
        return 0

    return f"read_settings({str(path)!r})", work


def _tag(rng: random.Random, seeds: Path, folder: Path) -> tuple[str, Work]:
    here = folder / "in"
    here.mkdir()
    if rng.random() < 0.6:
        path = Path(shutil.copy(seeds / "tags" / "raster" / "a.tif", here / "a.tif"))
        with rasterio.open(path, "r+") as dataset:
            tags = dataset.tags()
            dataset.update_tags(
                ROADGIS_PROBABILITY=rng.choice(("254", "0", "-1", "nan", "1e400", "x", "", "255")),
                ROADGIS_PROVENANCE=_damaged_tag(tags["ROADGIS_PROVENANCE"], rng),
            )
        return _command("vectorize", path, "-o", folder / "out" / f"out.{rng.choice(_SUFFIXES)}")
    text = _damaged_tag(json.dumps({"roadgis": "1", "inputs": ["a"], "settings": {"x": 1}}), rng)
    return _read_tag(rng.choice(("gpkg", "fgb", "geojson", "shp", "parquet")), text, seeds, here)


def _damaged_tag(text: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return odd_json(json.loads(text), rng).encode("utf-8", "replace").decode()
    cut = damaged(text.encode(), rng, is_text=True).decode("utf-8", "replace")
    return cut.replace("\x00", "?")


def _read_tag(suffix: str, text: str, seeds: Path, here: Path) -> tuple[str, Work]:
    path = here / f"a.{suffix}"
    table = geopandas.read_file(seeds / "lines.gpkg")
    if suffix == "geojson":
        path.write_text(f'{{"type": "FeatureCollection", "roadgis": {text}, "features": []}}')
    elif suffix == "shp":
        table.to_file(path)
        (here / "a.roadgis.json").write_text(text)
    elif suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"roadgis": text}), path)
    else:
        layer = "edges" if suffix == "gpkg" else None
        pyogrio.write_dataframe(table, path, layer=layer, layer_metadata={"roadgis": text})

    def work() -> int:
        print(read_provenance(path))
        return 0

    return f"read_provenance({str(path)!r})", work


#: What makes a case of each kind.
KINDS: dict[str, Maker] = {
    "rasters": _raster,
    "vectors": _vector,
    "models": _model,
    "settings": _settings,
    "tags": _tag,
}
