"""Plan once how a scene is read: grid, overviews, layers, area of interest."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS

from roadgis.affine import mapped
from roadgis.arrays import Bools, Floats, Ints
from roadgis.crs import LONLAT, ground_size, transformer
from roadgis.errors import SceneError
from roadgis.imagery.area import Area, load_area
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.georeferencing import centre_lonlat, choose_crs, footprint
from roadgis.imagery.grid import Grid, Window
from roadgis.imagery.pixel_lattice import Lattice, SheetGroup, group_sheets, steady
from roadgis.imagery.raster import Raster, at_overview
from roadgis.imagery.resampling import (
    BlockCache,
    Layer,
    WarpedLayer,
    WholeFactorLayer,
    touches,
    whole_factor,
)
from roadgis.imagery.size import RunSize, check_size, run_size
from roadgis.options.imagery import SceneOptions

_LOG = logging.getLogger(__name__)

#: Imagery with larger pixels than both shows no roads to a model.
TOO_COARSE_RATIO, TOO_COARSE_M = 2.5, 2.0
# Pixel sizes this close to a whole fraction of the requested one are treated as equal to it.
_SAME_SIZE = 0.005


@dataclass(frozen=True)
class Plan:
    """Plan for reading a scene.

    Attributes
    ----------
    grid : Grid
        Extent of the computation: `covered`, rounded outward to multiples of `align_px`.
    row, col : int
        The grid's first pixel on the analysis lattice, which counts from the CRS's origin.
    extent : Window
        Of all inputs, on the lattice.
    covered : Window
        The part of the extent around the area of interest, on the lattice.
    layers : tuple of Layer
        The first lies on top.
    area : Area or None
        Where output is wanted.
    centre : tuple of float
        Longitude and latitude of the inputs' centre.
    size : RunSize
        How much there is to do.
    lattice : Lattice
        The analysis lattice.
    """

    grid: Grid
    row: int
    col: int
    extent: Window
    covered: Window
    layers: tuple[Layer, ...]
    area: Area | None
    centre: tuple[float, float]
    size: RunSize
    lattice: Lattice

    def relative(self, window: Window) -> Window:
        """Return a window of the lattice relative to the grid."""
        return window.shifted(-self.row, -self.col)

    def layers_at(self, window: Window) -> list[Layer]:
        """Return the layers with sheets in a window of the lattice."""
        return [layer for layer in self.layers if touches(layer, window)]

    def in_extent(self, window: Window) -> Bools:
        """Return which pixels of a window of the lattice lie within the inputs' extent."""
        rows = np.arange(window.row, window.end_row)
        cols = np.arange(window.col, window.end_col)
        in_rows = (rows >= self.extent.row) & (rows < self.extent.end_row)
        in_cols = (cols >= self.extent.col) & (cols < self.extent.end_col)
        return in_rows[:, None] & in_cols


def pixel_size_m(raster: Raster) -> tuple[float, float]:
    """Return a raster's pixel width and height on the ground at its centre, metres."""
    return ground_size(raster.crs, raster.transform, raster.width / 2, raster.height / 2)


def plan_scene(
    rasters: Sequence[Raster],
    handles: Handles,
    gsd_m: float | tuple[float, float] | None,
    align_px: int,
    options: SceneOptions,
) -> Plan:
    """Choose grid and layers; see :func:`roadgis.imagery.scene.open_scene`."""
    low, high = gsd_m if isinstance(gsd_m, tuple) else (gsd_m or 1.0, gsd_m or 1.0)
    if align_px < 1 or not 0 < low <= high:
        raise SceneError(
            f"align_px is {align_px} and gsd_m {gsd_m}, expected a positive number of pixels and "
            "of metres."
        )
    centre = centre_lonlat(rasters)
    crs = choose_crs(rasters, centre)
    if gsd_m is not None and not options.force_gsd:
        _reject_coarse(rasters, high)
    if gsd_m is None:
        gsd_m = _native_gsd(rasters[:1], crs, (0.0, math.inf))
    elif isinstance(gsd_m, tuple):
        gsd_m = _native_gsd(rasters, crs, gsd_m)
    at_level = [at_overview(raster, gsd_m / max(pixel_size_m(raster))) for raster in rasters]
    groups = group_sheets(at_level, centre[0], options.nodata)
    lattice = _analysis_lattice(groups[0], crs, gsd_m)
    layers = _layers(groups, handles, lattice)
    extent = _hull(np.stack([layer.extent for layer in layers]))
    area = None if options.aoi is None else Area(
        load_area(options.aoi, rasters[0].crs, crs), lattice.affine
    )  # fmt: skip
    covered = extent if area is None else _within(extent, area, layers, lattice)
    window = _aligned(covered, align_px)
    x0, y0 = mapped(lattice.affine, float(window.col), float(window.row))
    grid = Grid(crs, steady(x0), steady(y0), lattice.linear[0], window.width, window.height)
    size = run_size(layers, covered, grid.gsd_m)
    check_size(size, options.max_mpx)
    return Plan(grid, window.row, window.col, extent, covered, layers, area, centre, size, lattice)


def _native_gsd(rasters: Sequence[Raster], crs: CRS, limits: tuple[float, float]) -> float:
    """Return the pixel size of most inputs, or the nearest one within limits."""
    sizes = [math.sqrt(math.prod(pixel_size_m(raster))) for raster in rasters]
    middle = sorted(sizes)[len(sizes) // 2]
    if not limits[0] <= middle <= limits[1]:
        return min(max(middle, limits[0]), limits[1])
    first = rasters[0]
    if first.crs == crs and first.north_up and abs(sizes[0] / middle - 1.0) <= _SAME_SIZE:
        return steady(first.transform.a)
    # Three digits, so that a scene and its sheets agree though their centres differ.
    return float(f"{middle:.3g}")


def _reject_coarse(rasters: Sequence[Raster], gsd_m: float) -> None:
    for raster in rasters:
        size = max(pixel_size_m(raster))
        if size > TOO_COARSE_RATIO * gsd_m and size > TOO_COARSE_M:
            raise SceneError(
                f"{raster.name}: has pixels of {size:.3g} m on the ground, far too coarse for a "
                f"model that works at {gsd_m:g} m: its roads cannot be seen. Use finer imagery, "
                f"up to about {max(TOO_COARSE_RATIO * gsd_m, TOO_COARSE_M):g} m, or force it "
                "with --force-gsd."
            )


def _analysis_lattice(first: SheetGroup, crs: CRS, gsd_m: float) -> Lattice:
    """Return square pixels that keep the first input's own wherever they fit."""
    own = first.lattice
    a, b, d, e = own.linear
    reach = max(int(first.boxes[:, 2:].max() - first.boxes[:, :2].min()), 1)
    square = b == d == 0 and abs(a / -e - 1.0) * reach < 0.01
    factor = round(gsd_m / a) if own.crs == crs and square else 0
    if factor >= 1 and abs(gsd_m / (factor * a) - 1.0) <= _SAME_SIZE:
        gsd = steady(a * factor)
        return Lattice(crs, (gsd, 0.0, 0.0, -gsd), (own.phase[0] / factor, own.phase[1] / factor))
    return Lattice(crs, (gsd_m, 0.0, 0.0, -gsd_m), (0.0, 0.0))


def _layers(groups: Sequence[SheetGroup], handles: Handles, lattice: Lattice) -> tuple[Layer, ...]:
    cache = BlockCache()
    layers: list[Layer] = []
    for group in groups:
        factor = whole_factor(group, lattice)
        if factor is not None:
            layers.append(WholeFactorLayer(group, handles, lattice, factor))
            continue
        sheet = group.sheets[0]
        ratio = lattice.linear[0] / min(pixel_size_m(sheet))
        boxes = np.stack([_warped_box(sheet, lattice) for sheet in group.sheets])
        # Rounded, so that a scene and its sheets are resampled in the same way.
        layers.append(WarpedLayer(group, handles, lattice, cache, boxes, round(ratio, 2)))
    return tuple(layers)


def _outline(sheet: Raster, lattice: Lattice) -> Floats:
    """Return a sheet's outline in lattice (col, row), (n, 2)."""
    x, y = transformer(sheet.crs, lattice.crs).transform(*footprint(sheet).T)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SceneError(
            f"{sheet.name}: its extent cannot be expressed in {lattice.crs.name}. Check its CRS."
        )
    return np.stack(mapped(~lattice.affine, x, y), axis=-1)


def _warped_box(sheet: Raster, lattice: Lattice) -> Ints:
    outline = _outline(sheet, lattice)
    (west, north), (east, south) = outline.min(axis=0), outline.max(axis=0)
    # A pixel is valid from half of it on; a hundredth absorbs that edges are slightly curved.
    low, high = np.round((north, west)), np.round((south, east))
    return np.concatenate([low, np.maximum(high, low + 1)]).astype(np.int64)


def _hull(boxes: Ints) -> Window:
    row, col = (int(v) for v in boxes[:, :2].min(axis=0))
    end_row, end_col = (int(v) for v in boxes[:, 2:].max(axis=0))
    return Window.between(row, col, end_row, end_col)


def _aligned(window: Window, align: int) -> Window:
    row, col = window.row // align * align, window.col // align * align
    end_row = -(-window.end_row // align) * align
    end_col = -(-window.end_col // align) * align
    return Window.between(row, col, end_row, end_col)


def _within(extent: Window, area: Area, layers: Sequence[Layer], lattice: Lattice) -> Window:
    if all(area.misses(Window.between(*map(int, box))) for layer in layers for box in layer.boxes):
        west, north, east, south = area.bounds_px
        raise SceneError(
            "The area of interest lies outside of the imagery: it spans "
            f"{_lonlat(lattice, (west, north), (east, south))}, the imagery "
            f"{_lonlat(lattice, (extent.col, extent.row), (extent.end_col, extent.end_row))} "
            "(longitude, latitude). "
            "Check its CRS and that it belongs to this imagery."
        )
    west, north, east, south = area.bounds_px
    # A pixel is wanted when its centre lies inside.
    wanted = Window.between(*(math.ceil(v - 0.5) for v in (north, west, south, east)))
    inside = wanted.intersection(extent)
    return Window(inside.row, inside.col, max(inside.height, 1), max(inside.width, 1))


def _lonlat(lattice: Lattice, start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = mapped(lattice.affine, *np.array([start, end], np.float64).T)
    lon, lat = transformer(lattice.crs, LONLAT).transform(x, y)
    return f"{lon.min():.4f}..{lon.max():.4f}, {lat.min():.4f}..{lat.max():.4f}"


def warn_apart(plan: Plan) -> None:
    """Warn when the inputs form separate areas: often a sheet is missing."""
    boxes = np.concatenate([layer.boxes for layer in plan.layers]).astype(float)
    if len(boxes) < 2:
        return
    grown = shapely.box(boxes[:, 1] - 1, boxes[:, 0] - 1, boxes[:, 3] + 1, boxes[:, 2] + 1)
    parts = shapely.get_parts(shapely.union_all(grown))
    if len(parts) < 2:
        return
    gap_px = max(
        min(float(shapely.distance(part, other)) for j, other in enumerate(parts) if j != i)
        for i, part in enumerate(parts[:200])
    )
    _LOG.warning(
        "The inputs form %d separate areas, up to %s apart; no roads are found in between. "
        "If they should touch, a sheet is missing or misplaced.",
        len(parts),
        _length((gap_px + 2) * plan.grid.gsd_m),
    )


def _length(metres: float) -> str:
    return f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"
