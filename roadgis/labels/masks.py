"""Road masks on the pixel grids of scenes, from a vector layer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from roadgis.affine import composed, has_area, mapped
from roadgis.arrays import Bools
from roadgis.atomic import atomic_path, check_geotiff, describe_failure, make_folder
from roadgis.dataset_names import display_name, gdal_path
from roadgis.errors import InputError, OutputError, SceneError
from roadgis.imagery.dataset_pool import bound_block_cache, gdal_environment, open_dataset
from roadgis.labels.vector import BurnLayer, RoadLayer
from roadgis.overwriting import check_not_input
from roadgis.probability.source import NO_DATA
from roadgis.progress import Progress, no_progress, scaled

_LOG = logging.getLogger(__name__)

#: Side of the GeoTIFF's tiles, and of the blocks in memory, pixels.
_TILE_PX = 256
_BLOCK_PX = 1024

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class BurntMask:
    """A written mask.

    Attributes
    ----------
    road_px, other_px, invalid_px : int
        Pixels with 1, 0 and 255.
    """

    path: Path
    road_px: int
    other_px: int
    invalid_px: int


def burn_like(
    layer: RoadLayer,
    scene: Path | str,
    output: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> BurntMask:
    """Write a road mask on exactly the pixels of a scene.

    Scene and mask are processed in blocks: memory does not grow with the scene. The mask is
    complete or does not exist.

    Parameters
    ----------
    scene : Path or str
        Raster with a CRS and a position; may be rotated or south-up.
    output : Path or str
        GeoTIFF, uint8: 1 road, 0 other, 255 (nodata) where the scene is invalid by its alpha, mask,
        nodata or NaN. Size, transform and CRS are the scene's.

    Raises
    ------
    InputError
        If `output` is not named as a GeoTIFF, or is the scene itself.
    SceneError
        If the scene is not a raster, lacks CRS or position, or cannot be read.
    DataError
        If the layer cannot be expressed in the scene's CRS.
    OutputError
        If the mask exists and `overwrite` is not set, or cannot be written.
    Cancelled
        If `progress` raises it; no file is left then.
    """
    target = Path(output)
    check_not_input([target], [scene])
    check_geotiff(target, "masks are GeoTIFF files", overwrite=overwrite)
    grid = _SceneGrid.inspect(scene)
    return _burn(layer.on(grid.crs, bounds=grid.bounds), grid, target, overwrite, progress)


def burn_like_each(
    layer: RoadLayer,
    scenes: Sequence[Path | str],
    folder: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[BurntMask]:
    """Write a road mask for each scene into a folder, named as the scene.

    Everything is checked before the first mask is written. Lines are buffered once per CRS.

    Parameters
    ----------
    scenes : sequence of Path or str
        See :func:`burn_like`.
    folder : Path or str
        Created if missing. ``north/a.jp2`` gives ``a.tif``.
    overwrite, progress
        As in :func:`burn_like`.

    Returns
    -------
    list of BurntMask
        In the order of the scenes.

    Raises
    ------
    InputError
        If two scenes have the same name, or a mask would replace its scene.
    SceneError, DataError, OutputError, Cancelled
        See :func:`burn_like`; finished masks are kept.
    """
    folder = Path(folder)
    targets: dict[Path, str] = {}
    for scene in scenes:
        target = folder / f"{Path(display_name(str(scene))).stem}.tif"
        if target in targets:
            raise InputError(
                f"{targets[target]} and {scene} would both give {target}. Burn them into two "
                "folders."
            )
        targets[target] = str(scene)
    check_not_input(targets, scenes)
    for target in targets:
        check_geotiff(target, "masks are GeoTIFF files", overwrite=overwrite)
    grids = [_SceneGrid.inspect(scene) for scene in scenes]
    make_folder(folder)
    burnt: dict[str, BurnLayer] = {}
    masks = []
    for i, (grid, target) in enumerate(zip(grids, targets, strict=True)):
        key = grid.crs.to_wkt()
        if key not in burnt:
            together = np.array([g.bounds for g in grids if g.crs.to_wkt() == key])
            west, south = (float(v) for v in together[:, :2].min(axis=0))
            east, north = (float(v) for v in together[:, 2:].max(axis=0))
            burnt[key] = layer.on(grid.crs, bounds=(west, south, east, north))
        share = scaled(progress, i / len(grids), (i + 1) / len(grids))
        masks.append(_burn(burnt[key], grid, target, overwrite, share))
    return masks


@dataclass(frozen=True)
class _SceneGrid:
    """A raster's own pixel grid."""

    path: str
    name: str
    crs: CRS
    crs_wkt: str
    transform: Affine
    width: int
    height: int

    @classmethod
    def inspect(cls, scene: Path | str) -> _SceneGrid:
        """Read the grid of `scene`; raise SceneError if it is not georeferenced."""
        bound_block_cache()
        path, name = gdal_path(str(scene)), display_name(str(scene))
        try:
            with gdal_environment(path), open_dataset(path, None) as dataset:
                found, transform = dataset.crs, dataset.transform
                width, height = dataset.width, dataset.height
                has_gcps = bool(dataset.gcps[0])
                empty = dataset.count == 0
        except RasterioError as error:
            raise SceneError(
                f"{name}: is not a raster that can be opened ({error}). Expected a GeoTIFF or "
                "another format that GDAL reads."
            ) from error
        if empty:
            raise SceneError(f"{name}: holds no raster bands. Name one of its parts instead.")
        if transform.is_identity and has_gcps:
            raise SceneError(
                f"{name}: is placed by ground control points, not by a pixel grid. Rectify it "
                "first, e.g. with gdalwarp."
            )
        if not found:
            raise SceneError(
                f"{name}: has no coordinate reference system, so roads cannot be placed on it. "
                "Assign it, e.g. with 'gdal_edit -a_srs EPSG:25832'."
            )
        if transform.is_identity or not has_area(transform):
            raise SceneError(
                f"{name}: has no position (transform {tuple(transform)[:6]}), so roads "
                "cannot be placed on it. Georeference it first."
            )
        crs = CRS.from_wkt(found.to_wkt())
        return cls(path, name, crs, found.to_wkt(), transform, width, height)

    @property
    def bounds(self) -> Bounds:
        """(west, south, east, north) in its CRS."""
        cols = np.array([0.0, self.width, self.width, 0.0])
        x, y = mapped(self.transform, cols, np.array([0.0, 0.0, self.height, self.height]))
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def blocks(self) -> Iterator[FileWindow]:
        for row in range(0, self.height, _BLOCK_PX):
            for col in range(0, self.width, _BLOCK_PX):
                yield FileWindow(
                    col, row, min(_BLOCK_PX, self.width - col), min(_BLOCK_PX, self.height - row)
                )


def _burn(
    roads: BurnLayer, grid: _SceneGrid, target: Path, overwrite: bool, progress: Progress
) -> BurntMask:
    counts = np.zeros(256, np.int64)
    with atomic_path(target, overwrite=overwrite) as partial, gdal_environment(grid.path):
        try:
            with open_dataset(grid.path, None) as scene, _create(partial, grid) as mask:
                for window in grid.blocks():
                    share = (window.row_off + window.height * window.col_off / grid.width) / (
                        grid.height
                    )
                    progress(share, f"burning roads onto {Path(grid.name).name}")
                    part = composed(
                        grid.transform, Affine.translation(window.col_off, window.row_off)
                    )
                    pixels = roads.burn(part, window.height, window.width)
                    pixels[~_valid(scene, window, grid.name)] = NO_DATA
                    counts += np.bincount(pixels.ravel(), minlength=256)
                    mask.write(pixels, 1, window=window)
        except RasterioError as error:
            raise OutputError(describe_failure(target, error)) from error
    progress(1.0, f"burnt roads onto {Path(grid.name).name}")
    if counts[0] and not counts[1]:
        _warn_empty(grid)
    return BurntMask(target, int(counts[1]), int(counts[0]), int(counts[NO_DATA]))


def _create(path: Path, grid: _SceneGrid) -> Any:
    return rasterio.open(
        path, "w", driver="GTiff", width=grid.width, height=grid.height, count=1, dtype="uint8",
        crs=rasterio.crs.CRS.from_wkt(grid.crs_wkt), transform=grid.transform, nodata=NO_DATA,
        tiled=True, blockxsize=_TILE_PX, blockysize=_TILE_PX, compress="deflate",
        bigtiff="if_safer",
    )  # fmt: skip


def _valid(scene: Any, window: FileWindow, name: str) -> Bools:
    """Return where a scene is valid: any band is enough."""
    try:
        valid = scene.dataset_mask(window=window) > 0
        if any(np.dtype(dtype).kind == "f" for dtype in scene.dtypes):
            valid &= np.isfinite(scene.read(window=window)).all(axis=0)
    except RasterioError as error:
        raise SceneError(
            f"{name}: reading rows {window.row_off}..{window.row_off + window.height - 1} failed "
            f"({error}). The file may be truncated: check it and run again."
        ) from error
    return np.asarray(valid)


def _warn_empty(grid: _SceneGrid) -> None:
    west, south, east, north = grid.bounds
    _LOG.warning(
        "%s: contains no road (%.6g, %.6g .. %.6g, %.6g in %s). Check that layer and scene "
        "are of the same place, and the layer's CRS.",
        grid.name, west, south, east, north, grid.crs.name,
    )  # fmt: skip
