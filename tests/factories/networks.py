"""Road networks with known centrelines, drawn into perfect masks at 1 m."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize
from shapely import LineString
from shapely.affinity import rotate

__all__ = ["KINDS", "DrawnNetwork", "drawn_network"]

#: Rows and columns of the masks; x and y from the upper left corner, y downwards.
SIZE = 500
_MIDDLE = SIZE / 2
_QUARTERS = ((125, 125), (375, 125), (125, 375), (375, 375))


class DrawnNetwork(NamedTuple):
    """A mask and the lines it was drawn from.

    Attributes
    ----------
    truth : ndarray of LineString
        Between junctions and dead ends; (x, y) in pixels from the upper left corner.
    mask : ndarray of uint8, shape (SIZE, SIZE)
        254 where a pixel's centre is within half a road's width of a line, else 0.
    """

    truth: npt.NDArray[np.object_]
    mask: npt.NDArray[np.uint8]


class _Road(NamedTuple):
    line: LineString
    width: float


def _ray(x: float, y: float, degrees: float, length: float, begin: float = 0.0) -> LineString:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return LineString(
        [(x + begin * c, y + begin * s), (x + (begin + length) * c, y + (begin + length) * s)]
    )


def _circle(x: float, y: float, radius: float) -> LineString:
    angle = np.linspace(0, 2 * math.pi, 361)
    xy = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    xy[-1] = xy[0]
    return LineString(xy)


def _grid(rng: np.random.Generator, width: float) -> list[_Road]:
    turn, step = rng.uniform(0, 90), rng.uniform(60, 80)
    at = (np.arange(4) - 1.5) * step
    reach = 1.5 * step + 3.2 * width + 10
    lines = [LineString([(a, -reach), (a, reach)]) for a in at]
    lines += [LineString([(-reach, a), (reach, a)]) for a in at]
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), width)
        for line in lines
    ]


def _roundabouts(rng: np.random.Generator, width: float) -> list[_Road]:
    roads = []
    for number, (x, y) in enumerate(_QUARTERS):
        radius = rng.uniform(1.6 * width + 6, 1.6 * width + 20)
        roads.append(_Road(_circle(x, y, radius), width))
        arms = 3 + number % 3
        first = rng.uniform(0, 360)
        for arm in range(arms):
            turn = first + 360 / arms * arm + rng.uniform(-8, 8)
            roads.append(_Road(_ray(x, y, turn, 105 - radius, radius), width))
    return roads


def _acute(rng: np.random.Generator, width: float) -> list[_Road]:
    roads = []
    for number, (x, y) in enumerate(_QUARTERS):
        turn, angle = rng.uniform(0, 360), rng.uniform(20, 40)
        for degrees in (turn, turn + 180, turn + angle):
            roads.append(_Road(_ray(x, y, degrees, 90), width))
        if number % 2:
            roads.append(_Road(_ray(x, y, turn + angle + 180, 90), width))
    return roads


def _stars(rng: np.random.Generator, width: float) -> list[_Road]:
    roads = []
    for number, (x, y) in enumerate(_QUARTERS):
        arms = 5 + number % 2
        first = rng.uniform(0, 360)
        for arm in range(arms):
            turn = first + 360 / arms * arm + rng.uniform(-7, 7)
            roads.append(_Road(_ray(x, y, turn, 85), width))
    return roads


def _dead_ends(rng: np.random.Generator, width: float) -> list[_Road]:
    turn = rng.uniform(0, 360)
    roads = []
    for y in (-90.0, 90.0):
        roads.append(LineString([(-160, y), (160, y)]))
        for x in np.arange(-130, 131, 65):
            lean = rng.uniform(-25, 25)
            roads.append(_ray(x, y, 90 + lean, rng.uniform(3.2 * width, 75)))
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), width)
        for line in roads
    ]


def _parallels(rng: np.random.Generator, width: float) -> list[_Road]:
    turn, apart = rng.uniform(0, 180), width + 3
    lines = []
    for first in (-90.0, 0.0, 90.0):
        lines += [LineString([(-150, first + d), (150, first + d)]) for d in (0, apart)]
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), width)
        for line in lines
    ]


def _curves(rng: np.random.Generator, width: float) -> list[_Road]:
    """Return alternating quarter circles, with one radius per row."""
    turn = rng.uniform(0, 360)
    lines = []
    for y, radius in ((-120.0, 15.0), (-60.0, 20.0), (10.0, 30.0), (110.0, 50.0)):
        radius = max(radius, 2 * width)
        chord = math.sqrt(2) * radius
        count = int(280 / chord)
        arcs = [_arc(-140 + chord * i, y, radius, (-1) ** i) for i in range(count)]
        lines.append(LineString(np.concatenate(arcs)))
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), width)
        for line in lines
    ]


def _arc(x: float, y: float, radius: float, side: int) -> npt.NDArray[np.float64]:
    """Return a quarter circle above or below its chord, which begins at (x, y)."""
    half = math.pi / 4
    angle = np.linspace(-half, half, 40)
    return np.stack(
        [
            x + radius * (np.sin(angle) + math.sin(half)),
            y + side * radius * (np.cos(angle) - math.cos(half)),
        ],
        axis=1,
    )[:-1]


def _bends(rng: np.random.Generator, width: float) -> list[_Road]:
    """Return rectangles and hooks: right angles that belong to one road."""
    turn = rng.uniform(0, 90)
    lines = [
        LineString([(-150, -120), (-20, -120), (-20, -20), (-150, -20), (-150, -120)]),
        LineString([(20, -130), (140, -130), (140, -10), (60, -10)]),
        LineString([(-150, 40), (-60, 40), (-60, 120), (30, 120), (30, 40), (120, 40)]),
    ]
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), width)
        for line in lines
    ]


def _mixed(rng: np.random.Generator, width: float) -> list[_Road]:
    turn = rng.uniform(0, 90)
    roads = [
        (LineString([(-160, 0), (160, 0)]), 14.0),
        (LineString([(0, -160), (0, 160)]), width),
        (LineString([(-80, -120), (-80, 0)]), 5.0),
        (LineString([(80, 0), (80, 130)]), 8.0),
        (LineString([(-120, 90), (80, 90)]), 6.0),
        (LineString([(0, -90), (130, -90)]), 10.0),
    ]
    return [
        _Road(shapely.affinity.translate(rotate(line, turn, (0, 0)), _MIDDLE, _MIDDLE), w)
        for line, w in roads
    ]


KINDS: dict[str, Callable[[np.random.Generator, float], list[_Road]]] = {
    "grid": _grid,
    "roundabouts": _roundabouts,
    "acute": _acute,
    "stars": _stars,
    "dead_ends": _dead_ends,
    "parallels": _parallels,
    "curves": _curves,
    "bends": _bends,
    "mixed": _mixed,
}


def drawn_network(kind: str, width: float, caps: str, seed: int) -> DrawnNetwork:
    """Draw a network.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    width : float
        Road width, pixels.
    caps : str
        Road ends: "flat" or "round".
    seed : int
        Seed of the drawing.
    """
    rng = np.random.default_rng([seed, list(KINDS).index(kind), round(10 * width)])
    roads = KINDS[kind](rng, width)
    # Flat caps leave notches where roads meet at their ends; the truth ends there.
    lines = [road.line for road in roads]
    ends = shapely.MultiPoint([xy for line in lines for xy in (line.coords[0], line.coords[-1])])
    # Ends on another line become its vertices, so that there are no gaps of 1e-14.
    noded = shapely.line_merge(shapely.union_all(shapely.snap(lines, ends, 0.01)))
    truth = shapely.get_parts(noded)
    surface = [_surface(road, truth, caps) for road in roads]
    mask = rasterize([(s, 254) for s in surface], (SIZE, SIZE), dtype="uint8")
    return DrawnNetwork(truth, mask)


def _surface(road: _Road, truth: npt.NDArray[np.object_], caps: str) -> shapely.Geometry:
    """Return a road's surface: round at junctions, capped at dead ends."""
    wide = shapely.buffer(road.line, road.width / 2, quad_segs=32, join_style="mitre")
    if caps == "round" or road.line.is_closed:
        return wide
    ends = shapely.get_coordinates(shapely.get_point(truth, [[0], [-1]]))
    tips, count = np.unique(ends.round(6), axis=0, return_counts=True)
    tips = tips[count == 1]
    xy = shapely.get_coordinates(road.line)
    for tip, inner in ((xy[0], xy[1]), (xy[-1], xy[-2])):
        if (np.hypot(*(tips - tip).T) < 1e-3).any():
            unit = (tip - inner) / np.hypot(*(tip - inner))
            side = np.array([-unit[1], unit[0]]) * road.width
            beyond = unit * road.width
            cut = shapely.Polygon(
                [tip + side, tip - side, tip - side + beyond, tip + side + beyond]
            )
            wide = wide.difference(cut)
    return wide
