"""Colours of a tile: ground, roads, roofs, cars, plants and their shadows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely import affinity

from roadgis.synthetic.noise import Frame, smooth_noise, white_noise
from roadgis.synthetic.rasters import Surface, burn
from roadgis.synthetic.through_streets import KINDS
from roadgis.synthetic.vegetation import Crowns, grow

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Median colours of leafless spring imagery of New England at 1 m.
_GREEN = (80, 104, 64)
_STRAW = (132, 126, 98)
_LITTER = (112, 97, 83)
_WATER = (17, 24, 19)
_ASPHALT = (127, 130, 131)
_CONCRETE = (176, 176, 170)
_BARE_TREE = (104, 91, 80)
_EVERGREEN = (38, 52, 33)
#: Share of light left in a shadow; skylight is bluish.
_SHADE = np.array([0.24, 0.26, 0.30], np.float32)
# By land use: share of trees, and balance of green, straw and litter on the ground.
_TREES = {"verge": 0.12, "grid": 0.68, "loop": 0.78, "commercial": 0.2, "forest": 1.15,
          "farm": 0.0, "park": 0.2}  # fmt: skip
_WILD = {"verge": 0.0, "grid": 0.1, "loop": 0.3, "commercial": 0.0, "forest": 2.6,
         "farm": -0.5, "park": 0.2}  # fmt: skip


def _table(values: dict[str, float]) -> Floats:
    return np.array([values[kind] for kind in KINDS], np.float32)


def _rgb(colour: tuple[float, float, float]) -> Floats:
    return np.array(colour, np.float32)


def _mix(image: Floats, colour: npt.ArrayLike, share: Floats) -> None:
    """Blend a colour into the image, in place."""
    image += (np.asarray(colour, np.float32) - image) * share[..., None]


def paint(surface: Surface, frame: Frame, sun: tuple[float, float], trees: float) -> Floats:
    """Return the light of a tile before the lens, (R, C, 3) in 0..255.

    Parameters
    ----------
    sun : tuple of float
        Shadow of an object 1 m high: metres to the east and to the south.
    trees : float
        Share of the usual number of trees.
    """
    image = _ground(surface, frame)
    _fields(image, surface, frame)
    _roads(image, surface, frame)
    built = _pavings(image, surface, frame)
    _cars(image, surface, frame)
    roofs, shadow = _roofs(image, surface, frame, sun)
    _plants(image, surface, frame, sun, trees, built | roofs, shadow)
    return image


def _ground(surface: Surface, frame: Frame) -> Floats:
    broad, middle = smooth_noise(frame, 64, 1), smooth_noise(frame, 16, 2)
    fine, grain = smooth_noise(frame, 2, 3), smooth_noise(frame, 1, 4)
    wild = _table(_WILD)[surface.land] + 0.6 * broad + 0.5 * middle
    image = np.empty((*surface.land.shape, 3), np.float32)
    image[:] = _rgb(_GREEN)
    straw = np.clip(0.45 + 0.45 * smooth_noise(frame, 24, 5) + 0.15 * fine, 0, 1)
    _mix(image, _STRAW, straw * np.where(surface.lawn, 0.25, 1.0).astype(np.float32))
    litter = np.clip(wild + 0.25 * fine, 0, 1) * ~surface.lawn
    _mix(image, _LITTER, litter)
    rough = 0.06 + 0.14 * litter
    image *= (1 + 0.05 * broad + 0.05 * middle + rough * (fine + grain))[..., None]
    deep = np.clip(smooth_noise(frame, 128, 6) * 0.15, -0.3, 0.3)
    _mix(image, _rgb(_WATER) * 1.0, surface.water.astype(np.float32))
    image[surface.water] *= (1 + deep[surface.water] + 0.05 * grain[surface.water])[:, None]
    return image


def _fields(image: Floats, surface: Surface, frame: Frame) -> None:
    fields = [field for lots in surface.lots for field in lots.fields]
    which = burn(frame, [field.shape for field in fields])
    for index in np.unique(which[which > 0]):
        field = fields[index - 1]
        rows, cols = np.nonzero(which == index)
        x, y = frame.x[0, cols], frame.y[rows, 0]
        place = x * np.cos(field.across) + y * np.sin(field.across)
        wave = np.sin(2 * np.pi * place / field.period_m)
        # A pair of wheel tracks every 24 m.
        track = np.abs(np.mod(place, 24.0) - 12.0)
        wheels = ((track > 0.6) & (track < 1.3)).astype(np.float32)
        tone = (1 + 0.035 * wave - 0.1 * wheels).astype(np.float32)[:, None]
        colour = _rgb(field.colour)
        image[rows, cols] = 0.25 * image[rows, cols] + 0.75 * colour * tone


def _roads(image: Floats, surface: Surface, frame: Frame) -> None:
    broad, fine = smooth_noise(frame, 48, 11), smooth_noise(frame, 1.5, 12)
    middle = smooth_noise(frame, 8, 13)
    edge = surface.shoulder & ~surface.road
    over_water = surface.shoulder & ndimage.binary_dilation(surface.water, iterations=4)
    dust = np.clip(0.5 + 0.4 * middle, 0, 1) * edge
    _mix(image, (148, 144, 132), dust.astype(np.float32) * 0.75)
    _mix(image, _CONCRETE, (over_water & edge).astype(np.float32) * 0.9)
    # Each road has its own age: one tone per road, mixed at junctions.
    tone = np.zeros(surface.road.shape, np.float32)
    which = burn(frame, [r.line.buffer(r.width_m / 2 + 6) for r in surface.roads])
    tones = [0.0, *(_age(road.line.length) for road in surface.roads)]
    tone = ndimage.uniform_filter(np.array(tones, np.float32)[which], 9)
    light = 1 + tone + 0.035 * broad + 0.035 * middle + 0.035 * fine
    _mix(image, _ASPHALT, surface.road.astype(np.float32))
    image[surface.road] *= light[surface.road][:, None]
    _markings(image, surface, frame)


def _age(length_m: float) -> float:
    """Tone of a road: most are worn grey, one in six is freshly dark."""
    share = (length_m * 0.6180339887) % 1.0
    return -0.42 + 1.2 * share if share < 1 / 6 else 0.26 * (share - 0.55)


def _markings(image: Floats, surface: Surface, frame: Frame) -> None:
    """Paint lines on the wider roads, and worn wheel tracks on all."""
    lines: list[shapely.Geometry] = []
    yellow: list[shapely.Geometry] = []
    kerbs: list[shapely.Geometry] = []
    worn: list[shapely.Geometry] = []
    for road in surface.roads:
        half = road.width_m / 2
        if road.kind in ("motorway", "arterial"):
            lines += [road.line.buffer(half - 0.9).boundary.buffer(0.15)]
        if road.kind == "motorway":
            lines += _dashes(road.line)
        elif road.width_m >= 9:
            yellow.append(road.line.buffer(0.25))
        if road.kind in ("arterial", "collector"):
            kerbs.append(road.line.buffer(half + 2.6).difference(road.line.buffer(half + 1.0)))
        worn.append(road.line.buffer(0.7))
    on_road = surface.road
    _mix(image, (150, 152, 152), 0.18 * ((burn(frame, worn) > 0) & on_road))
    _mix(image, (214, 214, 210), 0.55 * ((burn(frame, lines) > 0) & on_road))
    _mix(image, (200, 182, 118), 0.5 * ((burn(frame, yellow) > 0) & on_road))
    walk = (burn(frame, kerbs) > 0) & ~surface.road & ~surface.water
    _mix(image, (168, 166, 158), 0.55 * walk)


def _dashes(line: shapely.LineString) -> list[shapely.Geometry]:
    stops = np.arange(0.0, line.length - 4, 12.0)
    a = shapely.line_interpolate_point(line, stops)
    b = shapely.line_interpolate_point(line, stops + 3.5)
    pairs = np.stack([shapely.get_coordinates(a), shapely.get_coordinates(b)], axis=1)
    return [shapely.LineString(pair).buffer(0.2) for pair in pairs]


def _pavings(image: Floats, surface: Surface, frame: Frame) -> Mask:
    patches = [patch for lots in surface.lots for patch in lots.paved]
    which = burn(frame, [patch.shape for patch in patches])
    which[surface.road] = 0
    colours = np.array([(0, 0, 0), *(patch.colour for patch in patches)], np.float32)
    on = which > 0
    light = 1 + 0.03 * smooth_noise(frame, 8, 21) + 0.035 * smooth_noise(frame, 1, 22)
    image[on] = colours[which[on]] * light[on][:, None]
    return on


def _cars(image: Floats, surface: Surface, frame: Frame) -> None:
    cars = [car for lots in surface.lots for car in lots.cars]
    which = burn(frame, [car.shape for car in cars])
    shade = np.roll(which > 0, (-2, -1), (0, 1)) & (which == 0)
    image[shade] *= 0.55
    colours = np.array([(0, 0, 0), *(car.colour for car in cars)], np.float32)
    on = which > 0
    image[on] = colours[which[on]]


def _roofs(
    image: Floats, surface: Surface, frame: Frame, sun: tuple[float, float]
) -> tuple[Mask, Mask]:
    roofs = [roof for lots in surface.lots for roof in lots.roofs]
    near = shapely.box(*frame.bounds)
    cast = [
        shapely.union(
            roof.shape,
            affinity.translate(roof.shape, sun[0] * roof.height_m, sun[1] * roof.height_m),
        ).convex_hull
        for roof in roofs
        if roof.height_m > 1 and shapely.intersects(near, roof.shape)
    ]
    shadow = burn(frame, cast) > 0
    which = burn(frame, [roof.shape for roof in roofs])
    on = which > 0
    colours = np.array([(0, 0, 0), *(roof.colour for roof in roofs)], np.float32)
    light = 1 + 0.03 * smooth_noise(frame, 1, 31)
    image[shadow & ~on] *= _SHADE
    image[on] = colours[which[on]] * light[on][:, None]
    return on, shadow


def _plants(
    image: Floats,
    surface: Surface,
    frame: Frame,
    sun: tuple[float, float],
    trees: float,
    built: Mask,
    shadow: Mask,
) -> None:
    patchy = smooth_noise(frame, 40, 41)
    chance = _table(_TREES)[surface.land] + 0.32 * patchy
    bank = ndimage.binary_dilation(surface.water, iterations=max(1, round(8 / frame.step_m)))
    chance = np.where(bank, np.maximum(chance, 0.6), chance)
    chance = np.where(surface.lawn, 0.1 * chance, chance)
    # Street trees stand at the kerb; their crowns reach over the road.
    chance = np.where(surface.shoulder, 0.9 * chance, chance)
    closed = surface.road | surface.water | built
    chance = (np.clip(chance, 0, 1) * trees * ~closed).astype(np.float32)
    pines = np.clip(0.12 + 0.35 * smooth_noise(frame, 64, 42), 0.03, 0.9).astype(np.float32)
    bare = grow(frame, chance * (1 - pines), 6.0, (2.2, 5.8), 51)
    green = grow(frame, chance * pines, 6.0, (1.6, 5.0), 52)
    _bare_trees(image, bare, frame, sun)
    _evergreens(image, green, frame, sun)


def _shifted(mask: Floats, sun: tuple[float, float], height_m: float, frame: Frame) -> Floats:
    shift = (round(sun[1] * height_m / frame.step_m), round(sun[0] * height_m / frame.step_m))
    return np.roll(mask, shift, (0, 1))


def _streaks(frame: Frame, sun: tuple[float, float], salt: int) -> Floats:
    """Return noise elongated along the shadows, as cast by leafless crowns."""
    noise = white_noise(frame, salt)
    total = np.zeros_like(noise)
    for k in range(-4, 5):
        total += _shifted(noise, sun, 0.9 * k, frame)
    total /= np.float32(3.0)
    return total


def _bare_trees(image: Floats, crowns: Crowns, frame: Frame, sun: tuple[float, float]) -> None:
    streaks, twigs = _streaks(frame, sun, 61), smooth_noise(frame, 1, 62)
    crown = np.clip(crowns.height * 2.5, 0, 1)
    cast = np.clip(_shifted(crowns.height, sun, 7.0, frame) * 2.0, 0, 1)
    share = np.clip(0.5 + 0.34 * streaks, 0, 1) * cast
    image *= 1 - share[..., None] * (1 - _SHADE) * 0.85
    light = 0.6 + 0.55 * crowns.tone + 0.34 * streaks + 0.34 * twigs
    light *= 0.75 + 0.4 * np.clip(crowns.height, 0, 1)
    colour = _rgb(_BARE_TREE) * light[..., None]
    colour[..., 0] *= 1 + 0.1 * (crowns.tone - 0.5)
    share = crown * np.clip(0.56 + 0.26 * twigs + 0.16 * streaks, 0, 1)
    image += (colour - image) * share[..., None]


def _evergreens(image: Floats, crowns: Crowns, frame: Frame, sun: tuple[float, float]) -> None:
    cast = np.maximum(
        _shifted(crowns.height, sun, 5.0, frame), _shifted(crowns.height, sun, 9.0, frame)
    )
    image *= 1 - np.clip(cast * 3, 0, 0.9)[..., None] * (1 - _SHADE)
    lit = crowns.height - _shifted(crowns.height, (-sun[0], -sun[1]), 1.0, frame)
    needles = smooth_noise(frame, 1, 72)
    light = 0.75 + 0.5 * crowns.tone + 0.9 * np.clip(lit, -0.5, 0.5) + 0.18 * needles
    colour = _rgb(_EVERGREEN) * light[..., None]
    share = np.clip(crowns.height * 5, 0, 0.95)
    image += (colour - image) * share[..., None]
