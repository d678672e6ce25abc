"""Appearance of a varied scene: colours and properties of a part of the world, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

#: Ground, then fields, then tree crowns, as reflected on a clear day.
CLIMATES: dict[str, tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Colour, ...]]] = {
    "leaf-on": (
        ((88, 112, 66), (106, 122, 80), (70, 92, 58), (128, 126, 92)),
        ((92, 124, 62), (146, 140, 84), (112, 132, 70), (160, 142, 104), (120, 98, 76)),
        ((52, 76, 44), (66, 88, 50), (44, 64, 42), (84, 98, 56)),
    ),
    "leafless": (
        ((104, 110, 76), (132, 126, 98), (112, 97, 83), (92, 104, 66)),
        ((118, 112, 76), (150, 134, 104), (98, 120, 66), (126, 102, 80), (168, 156, 120)),
        ((104, 91, 80), (118, 104, 92), (92, 82, 74), (46, 60, 42)),
    ),
    "mediterranean": (
        ((150, 136, 102), (132, 122, 88), (112, 112, 72), (168, 152, 118)),
        ((176, 156, 114), (140, 118, 84), (120, 120, 72), (190, 176, 138), (150, 104, 74)),
        ((70, 80, 50), (88, 94, 62), (58, 70, 46), (104, 106, 74)),
    ),
    "arid": (
        ((190, 162, 124), (174, 146, 112), (204, 182, 146), (158, 130, 102)),
        ((184, 160, 120), (166, 138, 102), (110, 120, 70), (198, 178, 140), (176, 128, 92)),
        ((92, 94, 64), (74, 82, 54), (112, 106, 76), (60, 74, 48)),
    ),
    "tropical": (
        ((96, 112, 64), (150, 106, 72), (78, 98, 56), (166, 124, 88)),
        ((84, 118, 58), (112, 130, 66), (158, 104, 68), (140, 128, 76), (94, 104, 60)),
        ((46, 74, 38), (58, 90, 44), (40, 62, 36), (80, 102, 54)),
    ),
    "paddy": (
        ((92, 104, 74), (118, 116, 88), (80, 92, 66), (136, 128, 104)),
        ((84, 108, 62), (70, 78, 66), (110, 118, 72), (98, 88, 72), (60, 70, 64)),
        ((54, 74, 48), (66, 84, 56), (46, 60, 42), (90, 96, 66)),
    ),
    "steppe": (
        ((156, 146, 108), (140, 132, 96), (170, 158, 122), (126, 124, 88)),
        ((172, 158, 112), (132, 114, 88), (148, 146, 96), (112, 96, 78), (186, 170, 128)),
        ((84, 88, 60), (98, 98, 70), (70, 78, 54), (110, 104, 80)),
    ),
    "snow": (
        ((218, 222, 228), (206, 212, 220), (226, 228, 230), (190, 194, 198)),
        ((222, 226, 232), (210, 214, 222), (196, 196, 192), (226, 230, 236), (178, 172, 164)),
        ((96, 92, 88), (72, 80, 76), (112, 106, 100), (56, 68, 62)),
    ),
}
_CLIMATE_SHARES = {
    "leaf-on": 0.24, "leafless": 0.14, "mediterranean": 0.12, "arid": 0.14, "tropical": 0.12,
    "paddy": 0.13, "steppe": 0.09, "snow": 0.02,
}  # fmt: skip

#: Content of the scene, and its frequency.
PLACES = {
    "suburb": 0.19, "town": 0.15, "village": 0.13, "works": 0.19, "fields": 0.11, "forest": 0.07,
    "highway": 0.1, "barren": 0.03, "roadless": 0.04,
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Appearance of a scene.

    Attributes
    ----------
    climate, place : str
        Keys of CLIMATES and PLACES.
    ground, fields, crowns : ndarray of float64, (N, 3)
        Colours.
    leafless : bool
        Whether most trees are transparent.
    trees : float
        Share of the usual number of trees, 0..2.
    asphalt : float
        Usual grey value of roads, 0..255.
    sun : tuple of float
        Shadow of an object 1 m high: metres to the east and to the south.
    shade : float
        Share of light left in shadows.
    lean : tuple of float
        Displacement of the top of an object 1 m high: metres to the east and to the south.
    conifers : bool
        Whether crowns are pointed.
    marked : float
        Chance that a road has lines.
    sidewalks : float
        Chance that a street has sidewalks.
    roof_styles : tuple of str
        Roof styles of houses.
    """

    climate: str
    place: str
    ground: np.ndarray
    fields: np.ndarray
    crowns: np.ndarray
    leafless: bool
    trees: float
    asphalt: float
    sun: tuple[float, float]
    shade: float
    lean: tuple[float, float]
    conifers: bool
    marked: float
    sidewalks: float
    roof_styles: tuple[str, ...]


def _pick(random: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return str(random.choice(list(shares), p=weights / weights.sum()))


def _jittered(random: np.random.Generator, colours: tuple[Colour, ...]) -> np.ndarray:
    """Shift a palette, and each of its colours a little."""
    table = np.array(colours, float)
    table *= np.exp(random.normal(0, 0.14) + random.normal(0, 0.06, 3))
    table *= np.exp(random.normal(0, 0.07, (len(table), 1)) + random.normal(0, 0.04, table.shape))
    grey = table.mean(1, keepdims=True)
    return np.asarray(np.clip(grey + (table - grey) * random.uniform(0.6, 1.35), 4, 245))


def draw_world(random: np.random.Generator) -> World:
    """Draw the appearance of one scene."""
    climate, place = _pick(random, _CLIMATE_SHARES), _pick(random, PLACES)
    ground, fields, crowns = (_jittered(random, colours) for colours in CLIMATES[climate])
    azimuth, elevation = random.uniform(0, 2 * np.pi), np.radians(random.uniform(26, 72))
    reach = 1 / np.tan(elevation)
    dry = climate in ("arid", "steppe", "mediterranean")
    styles = np.array(["tiled", "grey", "flat", "metal", "dark", "mixed", "blue"])
    shares = np.array([0.24, 0.19, 0.19, 0.14, 0.12, 0.08, 0.04])
    count = int(random.integers(1, 4))
    turn, tilt = random.uniform(0, 2 * np.pi), max(0.0, random.normal(0.0, 0.22))
    return World(
        climate=climate,
        place=place,
        ground=ground,
        fields=fields,
        crowns=crowns,
        leafless=climate in ("leafless", "snow") and random.random() < 0.85,
        trees=float(random.uniform(0.1, 0.9) if dry else random.uniform(0.3, 1.6)),
        asphalt=float(np.clip(np.exp(random.normal(np.log(112), 0.36)), 34, 205)),
        sun=(-reach * float(np.sin(azimuth)), reach * float(np.cos(azimuth))),
        shade=float(random.uniform(0.18, 0.62)),
        lean=(float(tilt * np.sin(turn)), float(tilt * np.cos(turn))),
        conifers=bool(random.random() < 0.25),
        marked=float(random.choice([0.0, 0.35, 0.9])),
        sidewalks=float(random.choice([0.05, 0.5, 0.95])),
        roof_styles=tuple(random.choice(styles, count, replace=False, p=shares).tolist()),
    )
