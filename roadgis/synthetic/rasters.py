"""Land cover and roads of a tile, burnt into rasters of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bytes
from roadgis.synthetic.land_cover import LandCover
from roadgis.synthetic.layout import BULB_RADIUS_M, Layout
from roadgis.synthetic.noise import Frame
from roadgis.synthetic.through_streets import KINDS, Road

Mask = npt.NDArray[np.bool_]
#: Radius of kerbs at junctions, metres.
_FILLET_M = 4.0


@dataclass(frozen=True, slots=True)
class Surface:
    """Rasters over a frame, each (R, C), and its land cover.

    Attributes
    ----------
    land : ndarray of uint8
        Index into KINDS.
    road, shoulder, water, lawn : ndarray of bool
        Asphalt of roads; the strip next to it; ponds and rivers; mown meadows.
    roads : list of Road
        Those that reach into the frame.
    lots : list of LandCover
        Land cover of the districts around.
    """

    land: Bytes
    road: Mask
    shoulder: Mask
    water: Mask
    lawn: Mask
    roads: list[Road]
    lots: list[LandCover]


def burn(frame: Frame, shapes: Sequence[shapely.Geometry]) -> npt.NDArray[np.int32]:
    """Return (R, C): 1 + the index of the last shape over each sample, 0 for none."""
    left, top, right, bottom = frame.bounds
    size = (frame.rows, frame.cols)
    # Shapes stay in town metres, so that the same shape falls on the same samples in any tile.
    transform = Affine(frame.step_m, 0, left, 0, frame.step_m, top)
    box = shapely.box(left, top, right, bottom)
    near = [(shape, k + 1) for k, shape in enumerate(shapes) if shapely.intersects(box, shape)]
    if not near:
        return np.zeros(size, np.int32)
    return np.asarray(rasterize(near, size, transform=transform, dtype="int32"), np.int32)


def asphalt(roads: list[Road]) -> BaseGeometry:
    """Return the area of the roads, with turning circles and rounded kerbs."""
    areas = [road.line.buffer(road.width_m / 2, quad_segs=6) for road in roads]
    areas += [road.bulb.buffer(BULB_RADIUS_M) for road in roads if road.bulb is not None]
    area: BaseGeometry = shapely.union_all(areas).buffer(_FILLET_M).buffer(-_FILLET_M)
    return area


def burn_layout(layout: Layout, frame: Frame) -> Surface:
    """Burn the layout into a frame.

    Parameters
    ----------
    frame : Frame
        Including all that can cast a shadow into it.
    """
    districts = list(layout.districts(frame.bounds))
    faces = burn(frame, [layout.lattice.district(i, j) for i, j in districts])
    kinds = [0, *(KINDS.index(layout.lattice.kind(i, j)) for i, j in districts)]
    land = np.array(kinds, np.uint8)[faces]
    roads = layout.roads(frame.bounds)
    area = asphalt(roads)
    lots = [layout.lots(i, j) for i, j in districts]
    water = layout.rivers(frame.bounds) + [pond for lot in lots for pond in lot.water]
    return Surface(
        land=land,
        road=burn(frame, [area]) > 0,
        shoulder=burn(frame, [area.buffer(1.6)]) > 0,
        water=burn(frame, list(water)) > 0,
        lawn=burn(frame, [lawn for lot in lots for lawn in lot.lawns]) > 0,
        roads=roads,
        lots=lots,
    )
