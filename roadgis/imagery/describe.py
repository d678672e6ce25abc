"""Describe a scene for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from roadgis.crs import LONLAT, transformer
from roadgis.imagery.georeferencing import footprint
from roadgis.imagery.plan import TOO_COARSE_M, TOO_COARSE_RATIO, Plan, pixel_size_m
from roadgis.imagery.raster import Raster
from roadgis.options.imagery import SceneOptions


def describe_scene(rasters: Sequence[Raster], plan: Plan, options: SceneOptions) -> dict[str, Any]:
    """Return facts about inputs and grid as plain JSON values.

    Parameters
    ----------
    rasters : sequence of Raster
        The inputs at full resolution.
    plan : Plan
        How they are read.
    options : SceneOptions
        The user's choices.
    """
    grid = plan.grid.part(plan.relative(plan.covered))
    inputs = [_input(raster, grid.gsd_m) for raster in rasters]
    bounds = np.array([entry["bounds_lonlat"] for entry in inputs])
    return {
        "inputs": inputs,
        "bounds_lonlat": [
            *(float(v) for v in bounds[:, :2].min(axis=0)),
            *(float(v) for v in bounds[:, 2:].max(axis=0)),
        ],
        "grid": {
            "crs": _crs_name(grid.crs),
            "gsd_m": grid.gsd_m,
            "width": grid.width,
            "height": grid.height,
            "bounds": [round(v, 6) for v in grid.bounds],
        },
        "size": {
            "mpx": round(plan.size.pixels / 1e6, 3),
            "source_mpx": round(plan.size.source_pixels / 1e6, 3),
            "disk_mb": -(-plan.size.disk_bytes // 10**6),
        },
        "resampled": [layer.resampled for layer in plan.layers],
        "area_of_interest": plan.area is not None,
        "blank": options.blank,
    }


def _input(raster: Raster, gsd_m: float) -> dict[str, Any]:
    width_m, height_m = pixel_size_m(raster)
    lon, lat = transformer(raster.crs, LONLAT).transform(*footprint(raster).T)
    return {
        "name": raster.name,
        "driver": raster.driver,
        "crs": _crs_name(raster.crs),
        "width": raster.width,
        "height": raster.height,
        "pixel_m": [round(width_m, 4), round(height_m, 4)],
        "bands": raster.count,
        "bands_used": list(raster.bands),
        "dtype": raster.dtype,
        "palette": raster.palette is not None,
        "nodata": next((v for v in raster.nodata if v is not None), None),
        "alpha_band": raster.alpha,
        "mask_band": raster.mask,
        "overviews": list(raster.overviews),
        "bounds_lonlat": [round(float(v), 6) for v in (lon.min(), lat.min(), lon.max(), lat.max())],
        "gsd_verdict": _verdict(max(width_m, height_m), gsd_m),
    }


def _crs_name(crs: Any) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code} ({crs.name})" if code else str(crs.name)


def _verdict(pixel_m: float, gsd_m: float) -> str:
    if pixel_m > TOO_COARSE_RATIO * gsd_m and pixel_m > TOO_COARSE_M:
        return f"far too coarse for {gsd_m:g} m"
    if pixel_m > 1.25 * gsd_m:
        return f"coarser than {gsd_m:g} m: narrow roads may be missed"
    if pixel_m < gsd_m / 1.25:
        return f"finer than {gsd_m:g} m: averaged"
    return f"fits {gsd_m:g} m"
