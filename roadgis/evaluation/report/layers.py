"""Hits, misses and false roads as layers of a GeoPackage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pyproj
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError

from roadgis.atomic import check_target, describe_failure
from roadgis.errors import InputError, OutputError
from roadgis.evaluation.errors import ErrorPieces, LayerPieces
from roadgis.vector_files.geopackage import geopackage

#: The layers, each with its side of the evaluation and whether it holds hits.
LAYERS = {
    "hits": ("proposal", True),
    "misses": ("truth", False),
    "false": ("proposal", False),
}


def check_layers(path: Path, *, overwrite: bool = False) -> None:
    """Check before the work that the layers can be written.

    Raises
    ------
    InputError
        If the name does not end in ``.gpkg``.
    OutputError
        If the file exists and may not be replaced.
    """
    if path.suffix.lower() != ".gpkg":
        raise InputError(
            f"{path}: found the suffix {path.suffix!r}, expected .gpkg, as three layers are "
            "written. Give it that suffix."
        )
    check_target(path, overwrite=overwrite)


def write_layers(
    path: Path,
    pairs: Sequence[tuple[str, ErrorPieces, pyproj.CRS]],
    *,
    overwrite: bool = False,
) -> None:
    """Write the layers ``hits``, ``misses`` and ``false``.

    Their fields are ``pair``, the name of the pair; ``kind``, the class of error; ``length_m``,
    metres. They are in the CRS of the measurements, or in WGS 84 when that is not the same for
    all pairs.

    Parameters
    ----------
    path : Path
        Ends in ``.gpkg``. Written under a temporary name and renamed; other layers are kept.
    pairs : sequence of (str, ErrorPieces, pyproj.CRS)
        Name, pieces and their metric CRS; at least one.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        If the name does not end in ``.gpkg``.
    OutputError
        If it exists and may not be replaced, or cannot be written.
    """
    check_layers(path, overwrite=overwrite)
    same = all(crs == pairs[0][2] for _, _, crs in pairs)
    target = pairs[0][2] if same else pyproj.CRS.from_epsg(4326)
    with geopackage(path, overwrite=overwrite) as partial:
        for layer, (side, hits) in LAYERS.items():
            table = _table(
                [(name, getattr(pieces, side), crs) for name, pieces, crs in pairs],
                target,
                hits=hits,
            )
            try:
                pyogrio.write_dataframe(
                    table,
                    partial,
                    layer=layer,
                    driver="GPKG",
                    geometry_type="LineString",
                )
            except (DataSourceError, DataLayerError, FieldError, GeometryError) as error:
                raise OutputError(describe_failure(path, error)) from error


def _table(
    pairs: Sequence[tuple[str, LayerPieces, pyproj.CRS]], target: pyproj.CRS, *, hits: bool
) -> geopandas.GeoDataFrame:
    chosen = [(pieces.kind == "hit") == hits for _, pieces, _ in pairs]
    lines = [
        np.asarray(geopandas.GeoSeries(pieces.lines[here], crs=crs).to_crs(target))
        for (_, pieces, crs), here in zip(pairs, chosen, strict=True)
    ]
    names = [np.full(len(part), name) for (name, _, _), part in zip(pairs, lines, strict=True)]
    kinds = [pieces.kind[here] for (_, pieces, _), here in zip(pairs, chosen, strict=True)]
    lengths = [pieces.length_m[here] for (_, pieces, _), here in zip(pairs, chosen, strict=True)]
    return geopandas.GeoDataFrame(
        {
            "pair": np.concatenate(names).astype(object),
            "kind": np.concatenate(kinds).astype(object),
            "length_m": np.concatenate(lengths),
        },
        geometry=geopandas.GeoSeries(np.concatenate(lines), crs=target),
    )
