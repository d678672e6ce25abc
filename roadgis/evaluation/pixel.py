"""Intersection over union of two layers drawn as lines of one width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Floats, Lines
from roadgis.evaluation.area import harmonic_mean, measurable
from roadgis.imagery.gdal_warnings import quiet

Mask = npt.NDArray[np.bool_]

#: Called with x and y of pixel centres, two arrays of one shape in the lines' CRS, it returns
#: which of them are valid.
ValidPixels: TypeAlias = Callable[[Floats, Floats], Mask]

_POLYGON = 3
#: Pixel centres lie at multiples of the pixel size and a quarter. Lines drawn on whole or half
#: metres then have no pixel at exactly half their width, where rounding would decide on rows.
_SHIFT_PX = 0.25
_BLOCK_PX = 1024
#: Segments of a quarter circle: the drawn ends are round to 0.1 % of the width.
_QUARTER = 16


@dataclass(frozen=True)
class PixelScores:
    """Agreement of two drawn layers, pixel by pixel; None where the truth has no pixel.

    Attributes
    ----------
    iou, precision, recall, f1 : float or None
    true_positive, false_positive, false_negative : int
        Pixels.
    """

    iou: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    true_positive: int
    false_positive: int
    false_negative: int


def pixel_scores(
    truth: Lines,
    proposal: Lines,
    *,
    width_m: float = 7.0,
    gsd_m: float = 1.0,
    aoi: BaseGeometry | None = None,
    valid: ValidPixels | None = None,
) -> PixelScores:
    """Draw both layers as lines of one width and compare their pixels.

    Parameters
    ----------
    truth, proposal : ndarray of LineString, shapes (L,) and (M,)
        In one metric CRS.
    width_m : float
        Width that all lines are drawn with, metres. A pixel is road when its centre is within
        half of it of a line.
    gsd_m : float
        Pixel size, metres. Centres are a quarter of it off its multiples.
    aoi : shapely polygon, optional
        Only pixels whose centres are inside count; by default all.
    valid : ValidPixels, optional
        Which of them count, e.g. those with imagery.

    Returns
    -------
    PixelScores
        The same however the area is cut; memory does not grow with it.
    """
    layers = [_Drawn(measurable(lines)[0], width_m, gsd_m) for lines in (truth, proposal)]
    area = None
    if aoi is not None:
        area = _on_pixels(np.array([aoi], object), gsd_m)[0]
        shapely.prepare(area)
    both = truth_only = proposal_only = 0
    for col, row in _blocks(layers, area):
        first, second = (layer.block(col, row) for layer in layers)
        counted = _counted(col, row, gsd_m, area, valid)
        both += int(np.count_nonzero(first & second & counted))
        truth_only += int(np.count_nonzero(first & ~second & counted))
        proposal_only += int(np.count_nonzero(second & ~first & counted))
    return _scores(both, proposal_only, truth_only)


def _scores(both: int, proposal_only: int, truth_only: int) -> PixelScores:
    counts = (both, proposal_only, truth_only)
    if not both + truth_only:
        return PixelScores(None, None, None, None, *counts)
    found = both + proposal_only
    precision, recall = both / found if found else 0.0, both / (both + truth_only)
    return PixelScores(
        both / sum(counts), precision, recall, harmonic_mean(precision, recall), *counts
    )


def _on_pixels(shapes: Lines, gsd_m: float) -> Lines:
    return np.asarray(shapely.transform(shapes, lambda xy: xy / gsd_m + _SHIFT_PX), object)


class _Drawn:
    """A layer in pixels, drawn block by block."""

    def __init__(self, lines: Lines, width_m: float, gsd_m: float) -> None:
        self.lines = _on_pixels(lines, gsd_m)
        self.half = width_m / 2 / gsd_m
        self.tree = shapely.STRtree(self.lines)

    def block(self, col: int, row: int) -> Mask:
        """Return the pixels that are road, (_BLOCK_PX, _BLOCK_PX)."""
        around = self._around(col, row)
        near = np.sort(self.tree.query(shapely.box(*around)))
        parts = shapely.clip_by_rect(self.lines[near], *around)
        parts = parts[~shapely.is_empty(parts)]
        return _filled(shapely.buffer(parts, self.half, quad_segs=_QUARTER), col, row)

    def _around(self, col: int, row: int) -> tuple[float, float, float, float]:
        # Cut beyond the width of a line, so that the cut ends are outside.
        margin = 2 * self.half + 2
        end_col, end_row = col + _BLOCK_PX + margin, row + _BLOCK_PX + margin
        return col - margin, row - margin, end_col, end_row


def _blocks(layers: list[_Drawn], area: BaseGeometry | None) -> Iterator[tuple[int, int]]:
    """Yield first column and row of the blocks that a line may reach and that count."""
    near = []
    for layer in layers:
        # Only blocks with lines: layers may be sparse over large areas.
        points = shapely.get_coordinates(shapely.segmentize(layer.lines, _BLOCK_PX / 2))
        reach = int(np.ceil((layer.half + _BLOCK_PX / 4) / _BLOCK_PX))
        blocks = np.unique(np.floor(points / _BLOCK_PX).astype(np.int64), axis=0)
        steps = np.arange(-reach, reach + 1)
        around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        near.append((blocks[:, None] + around).reshape(-1, 2))
    for col, row in (np.unique(np.concatenate(near), axis=0) * _BLOCK_PX).tolist():
        box = shapely.box(col, row, col + _BLOCK_PX, row + _BLOCK_PX)
        if area is None or shapely.intersects(area, box):
            yield col, row


def _filled(polygons: Lines, col: int, row: int) -> Mask:
    """Return the pixels of a block whose centres lie in polygons."""
    shape = (_BLOCK_PX, _BLOCK_PX)
    if not len(polygons):
        return np.zeros(shape, bool)
    moved = shapely.transform(polygons, lambda xy: xy - (col, row))
    with quiet():
        drawn = rasterize(moved, out_shape=shape, transform=Affine.identity(), dtype="uint8")
    return np.asarray(drawn > 0)


def _counted(
    col: int, row: int, gsd_m: float, area: BaseGeometry | None, valid: ValidPixels | None
) -> Mask:
    """Return which pixels of a block count."""
    shape = (_BLOCK_PX, _BLOCK_PX)
    out = np.ones(shape, bool)
    if area is not None:
        part = shapely.intersection(area, shapely.box(col, row, col + shape[1], row + shape[0]))
        parts = shapely.get_parts(shapely.get_parts(part))
        out = _filled(parts[shapely.get_type_id(parts) == _POLYGON], col, row)
    if valid is not None:
        x, y = np.meshgrid(np.arange(shape[1]) + 0.5 + col, np.arange(shape[0]) + 0.5 + row)
        out &= valid((x - _SHIFT_PX) * gsd_m, (y - _SHIFT_PX) * gsd_m)
    return out
