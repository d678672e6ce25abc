"""Maps of hits, misses and false roads as SVG, each of limited size."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bytes
from roadgis.evaluation.report.backdrop import Backdrop, north_up, picture_uri

_Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Kind:
    """Drawing style of one kind of line.

    Attributes
    ----------
    name : str
        Its class in the SVG.
    text : str
        For the legend.
    colour : tuple of int
        Red, green, blue. The colours suit any colour vision; the false roads are dashed as well.
    """

    name: str
    text: str
    colour: tuple[int, int, int]

    @property
    def hex(self) -> str:
        """The colour as ``#rrggbb``."""
        return "#" + bytes(self.colour).hex()


#: In drawing order: errors on top of hits.
KINDS = (
    Kind("hit", "hit: found, and in the truth", (20, 130, 225)),
    Kind("miss", "missed: in the truth, not found", (200, 20, 50)),
    Kind("false", "false: found, not in the truth", (255, 165, 0)),
)

#: Vertices for each pixel of a map's area; more are painted as pixels. About 10 bytes each.
_MOST_VERTICES = 0.04
#: Deviation of simplified lines, pixels of the map.
_TOLERANCE_PX = 0.4

#: Halo below lines and text that must stand out from any background.
_UNDER = "#ffffff"
_INK = "#111111"


class LineMap:
    """Lines of the three kinds, from which maps are cut.

    Parameters
    ----------
    lines : sequence of ndarray of LineString
        For each of :data:`KINDS`, in a metric CRS.
    area : Polygon or MultiPolygon, optional
        Area of interest, drawn as an outline.
    backdrop : Backdrop, optional
        Imagery behind the lines.
    """

    def __init__(
        self,
        lines: Sequence[npt.NDArray[np.object_]],
        *,
        area: BaseGeometry | None = None,
        backdrop: Backdrop | None = None,
    ) -> None:
        self._lines = [np.asarray(kind, dtype=object) for kind in lines]
        self._trees = [shapely.STRtree(kind) for kind in self._lines]
        self._area = area
        self._backdrop = backdrop

    @property
    def bounds(self) -> _Bounds | None:
        """West, south, east, north of all lines, metres; None without lines."""
        together = np.concatenate(self._lines)
        if not len(together):
            return None
        west, south, east, north = shapely.total_bounds(together).tolist()
        return west, south, east, north

    def svg(self, bounds: _Bounds, label: str, *, width_px: int) -> str:
        """Draw a map.

        Parameters
        ----------
        bounds : tuple of float
            West, south, east, north, metres.
        label : str
            Alternative text for screen readers; plain text.
        width_px : int
            Its height follows from the bounds.

        Returns
        -------
        str
            An SVG element.

        Raises
        ------
        ReadError
            If the imagery cannot be read.
        """
        west, south, east, north = bounds
        height_px = max(1, round(width_px * (north - south) / (east - west)))
        gsd_m = (east - west) / width_px
        most = round(_MOST_VERTICES * width_px * height_px)
        shown = [
            _simplified(_clipped(kind, tree, bounds), gsd_m)
            for kind, tree in zip(self._lines, self._trees, strict=True)
        ]
        picture = None
        if self._backdrop is not None:
            picture = self._backdrop.picture(bounds, width_px, height_px)
        parts = [] if picture is None else [_image(picture_uri(picture), width_px, height_px)]
        if self._area is not None:
            outline = shapely.boundary(shapely.clip_by_rect(self._area, *bounds))
            outline = shapely.simplify(outline, _TOLERANCE_PX * gsd_m)
            # Only a map within the area, or a very jagged one, is without its outline.
            if 0 < shapely.get_num_coordinates(outline) <= most // 4:
                path = _path(shapely.get_parts(outline), west, north, gsd_m)
                parts.append(
                    f'<path class="area" stroke-width="1.5" stroke-dasharray="6 4" d="{path}"/>'
                )
        if sum(int(shapely.get_num_coordinates(kind).sum()) for kind in shown) > most:
            painted = _painted(shown, bounds, width_px, height_px)
            parts.append(_image(picture_uri(painted), width_px, height_px))
        else:
            parts += _strokes(shown, west, north, gsd_m, cased=picture is not None)
        parts.append(_scale_bar(gsd_m, width_px, height_px))
        return (
            f'<svg class="map" viewBox="0 0 {width_px} {height_px}" role="img" '
            'fill="none" stroke-linecap="round" stroke-linejoin="round" '
            f'aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
        )


def _clipped(
    lines: npt.NDArray[np.object_], tree: shapely.STRtree, bounds: _Bounds
) -> npt.NDArray[np.object_]:
    near = np.sort(tree.query(shapely.box(*bounds)))
    return _line_parts(shapely.clip_by_rect(lines[near], *bounds))


def _line_parts(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the lines among the parts of clipped lines, which may be points or nothing."""
    parts: npt.NDArray[np.object_] = shapely.get_parts(shapely.get_parts(shapes))
    lines: npt.NDArray[np.object_] = parts[
        shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    ]
    return lines


def _simplified(lines: npt.NDArray[np.object_], gsd_m: float) -> npt.NDArray[np.object_]:
    # Without topology: these are only drawn, and it is much faster.
    simple: npt.NDArray[np.object_] = shapely.simplify(
        lines, _TOLERANCE_PX * gsd_m, preserve_topology=False
    )
    return simple[~shapely.is_empty(simple)]


def _strokes(
    shown: Sequence[npt.NDArray[np.object_]],
    west: float,
    north: float,
    gsd_m: float,
    *,
    cased: bool,
) -> Iterator[str]:
    paths = [_path(kind, west, north, gsd_m) for kind in shown]
    width = 3.0 if cased else 2.4
    for kind, path in zip(KINDS, paths, strict=True):
        if not path:
            continue
        if cased and kind.name != "hit":
            # White below the colour, so that it stands out from the imagery.
            yield f'<path stroke="{_UNDER}" stroke-width="{width + 2.4}" d="{path}"/>'
        dash = ' stroke-dasharray="7 4.5"' if kind.name == "false" else ""
        style = f'stroke="{kind.hex}" stroke-width="{width}"{dash}'
        yield f'<path class="{kind.name}" {style} d="{path}"/>'


def _path(lines: npt.NDArray[np.object_], west: float, north: float, gsd_m: float) -> str:
    """Return lines as SVG path data, pixels with one decimal."""
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    pixels = np.round((coordinates - (west, north)) / (gsd_m, -gsd_m), 1)
    # Points equal to the one before them are superfluous.
    starts = np.ones(len(line), np.bool_)
    starts[1:] = line[1:] != line[:-1]
    moves = np.ones(len(line), np.bool_)
    moves[1:] = (pixels[1:] != pixels[:-1]).any(axis=1)
    kept = starts | moves
    return "".join(
        f"{'M' if start else ' '}{x:g} {y:g}"
        for (x, y), start in zip(pixels[kept].tolist(), starts[kept].tolist(), strict=True)
    )


def _painted(
    shown: Sequence[npt.NDArray[np.object_]], bounds: _Bounds, width: int, height: int
) -> Bytes:
    """Return lines as a picture with alpha, for maps of more lines than a page can hold."""
    # Two pixels per unit, for thin lines on high-resolution screens.
    shape = (2 * height, 2 * width)
    transform = north_up(bounds, shape[1], shape[0])
    shapes = [(line, code) for code, kind in enumerate(shown, 1) for line in kind]
    codes = rasterize(shapes, shape, fill=0, transform=transform, all_touched=True, dtype="uint8")
    colours = np.array([(0, 0, 0, 0), *((*kind.colour, 255) for kind in KINDS)], np.uint8)
    painted: Bytes = colours[codes]
    return painted


def _image(uri: str, width: int, height: int) -> str:
    return f'<image href="{uri}" width="{width}" height="{height}" preserveAspectRatio="none"/>'


def scale_length(longest_m: float) -> float:
    """Return the longest round length (1, 2 or 5 times a power of ten) up to one given."""
    power = 10.0 ** math.floor(math.log10(longest_m))
    return max(step * power for step in (1, 2, 5) if step * power <= longest_m * (1 + 1e-9))


def _scale_bar(gsd_m: float, width: int, height: int) -> str:
    length_m = scale_length(width * gsd_m * 0.28)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    right, y = width - 12, height - 12
    left = right - length_m / gsd_m
    line = f"M{left:.1f} {y - 5}V{y}H{right}V{y - 5}"
    place = f'x="{(left + right) / 2:.1f}" y="{y - 8}" text-anchor="middle"'
    return (
        f'<path stroke="{_UNDER}" stroke-width="5" d="{line}"/>'
        f'<path stroke="{_INK}" stroke-width="2" d="{line}"/>'
        f'<text stroke="{_UNDER}" stroke-width="3" {place}>{text}</text>'
        f'<text fill="{_INK}" {place}>{text}</text>'
    )
