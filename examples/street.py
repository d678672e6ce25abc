"""Draw streets as seen from a car, with the class of every pixel: a data set and a video.

python examples/street.py street

`street/train` and `street/valid` are read by `roadgis train`, `street/street.webm` by `roadgis
video`. Lengths are in metres; places are (right of the street's middle, up, along the street).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from roadgis.photos.frames import FrameWriter, find_codec

CLASSES = ("other", "road", "sidewalk", "vehicle", "building", "vegetation")
OTHER, ROAD, SIDEWALK, VEHICLE, BUILDING, VEGETATION = range(6)
HEIGHT, WIDTH, FOCAL = 360, 640, 324.0
HALF_ROAD, WALK, PLOT = 4.0, 2.2, 13.0
CAMERA, NEAR, FAR = 1.4, 1.6, 120.0
HOUSES = ((190, 170, 140), (150, 90, 75), (215, 210, 200), (140, 140, 145), (200, 180, 110))
CARS = ((170, 30, 30), (30, 50, 120), (220, 220, 225), (40, 40, 45), (200, 150, 30))
GREENS = ((60, 105, 45), (85, 120, 50), (45, 90, 50))
Place = tuple[float, float, float]
Bytes = npt.NDArray[np.uint8]


class View:
    """A picture of a street and the classes of its pixels; what is nearer is drawn later.

    Parameters
    ----------
    at : float
        Place of the camera along the street.
    bend : float
        Curvature of the street, 1/m.
    light : float
        Brightness; 1 is a clear day.
    """

    def __init__(self, at: float, bend: float, light: float) -> None:
        self.at, self._bend, self._light = at, bend, light
        sky = np.linspace(0, 1, HEIGHT)[:, None, None] * (60, 40, 10) + (140, 175, 225)
        self.image = np.clip(sky * light, 0, 255).astype(np.uint8).repeat(WIDTH, axis=1)
        self.labels = np.full((HEIGHT, WIDTH), OTHER, np.uint8)

    def pixels(self, places: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Return columns and rows of places, (N, 2)."""
        right, up, along = np.asarray(places, np.float64).T
        away = np.maximum(along - self.at, NEAR)
        column = WIDTH / 2 + FOCAL * (right + self._bend * away**2) / away
        row = 0.45 * HEIGHT - FOCAL * (up - CAMERA) / away
        found = np.clip(np.stack([column, row], axis=1), -30_000, 30_000).round()
        return np.asarray(found, np.int32)

    def colour(self, colour: npt.ArrayLike, away: float) -> list[float]:
        """Return a colour in this light, pale when it is far away."""
        haze = min(max(away / 250, 0.0), 0.5)
        mixed = (1 - haze) * np.asarray(colour, np.float64) + haze * np.array([190, 200, 215])
        return [float(v) for v in np.clip(mixed * self._light, 0, 255)]

    def fill(self, places: list[Place], colour: npt.ArrayLike, label: int) -> None:
        """Fill a polygon."""
        away = np.array([along for _, _, along in places]) - self.at
        if away.max() <= NEAR or away.min() > FAR:
            return
        shape = self.pixels(places)
        cv2.fillPoly(self.image, [shape], self.colour(colour, float(away.mean())))
        cv2.fillPoly(self.labels, [shape], label)

    def ground(
        self,
        left: float,
        right: float,
        first: float,
        last: float,
        colour: npt.ArrayLike,
        label: int,
    ) -> None:
        """Fill the ground between two places along the street."""
        first, last = max(first, self.at + NEAR), min(last, self.at + FAR)
        if first < last:
            along = np.linspace(first, last, 24).tolist()
            edge: list[Place] = [(left, 0.0, z) for z in along]
            self.fill([*edge, *((right, 0.0, z) for z in along[::-1])], colour, label)

    def front(
        self, left: float, right: float, low: float, high: float, along: float,
        colour: npt.ArrayLike, label: int,
    ) -> None:  # fmt: skip
        """Fill an upright rectangle that faces the camera."""
        if along - self.at > NEAR:
            corners = [(left, low), (right, low), (right, high), (left, high)]
            self.fill([(x, y, along) for x, y in corners], colour, label)

    def side(
        self, x: float, low: float, high: float, first: float, last: float,
        colour: npt.ArrayLike, label: int,
    ) -> None:  # fmt: skip
        """Fill an upright rectangle along the street."""
        corners = [(low, first), (low, last), (high, last), (high, first)]
        self.fill([(x, y, z) for y, z in corners], colour, label)


def draw_building(view: View, side: int, first: float, rng: np.random.Generator) -> None:
    """Draw a house with rows of windows."""
    near, high = HALF_ROAD + WALK + rng.uniform(0.3, 4), rng.uniform(4, 14)
    last = first + rng.uniform(9, PLOT)
    colour = rng.choice(HOUSES) + rng.normal(0, 10, 3)
    view.side(side * near, 0, high, first, last, 0.75 * colour, BUILDING)
    view.front(side * near, side * (near + 9), 0, high, first, colour, BUILDING)
    for low in np.arange(1.0, high - 1.5, 2.9).tolist():
        for z in np.arange(first + 1, last - 1.6, 2.4).tolist():
            view.side(side * near, low, low + 1.5, z, z + 1.2, (70, 80, 95), BUILDING)


def draw_tree(view: View, side: int, along: float, rng: np.random.Generator) -> None:
    """Draw a trunk and a crown of many blobs."""
    x = side * (HALF_ROAD + WALK + rng.uniform(0.2, 3.0))
    high, wide = rng.uniform(3.5, 8), rng.uniform(1.2, 2.4)
    green = rng.choice(GREENS) + rng.normal(0, 8, 3)
    away = along - view.at
    if not NEAR < away < FAR:
        return
    view.front(x - 0.15, x + 0.15, 0, high - 1, along, (95, 75, 55), VEGETATION)
    for _ in range(26):
        turn, out = rng.uniform(0, 2 * np.pi), wide * np.sqrt(rng.uniform())
        blob = (x + out * np.cos(turn), high + 1.2 * out * np.sin(turn), along)
        centre = view.pixels([blob])[0].tolist()
        radius = int(FOCAL * rng.uniform(0.3, 0.7) / away)
        cv2.circle(
            view.image, centre, radius, view.colour(green * rng.uniform(0.7, 1.25), away), -1
        )
        cv2.circle(view.labels, centre, radius, VEGETATION, -1)


def draw_vehicle(view: View, middle: float, along: float, rng: np.random.Generator) -> None:
    """Draw a car or a van, and its shadow."""
    high, long = rng.choice([(1.45, 4.2), (2.3, 5.5)]).tolist()
    colour, end = rng.choice(CARS).astype(np.float64), along + long
    left, right, waist = middle - 0.9, middle + 0.9, 0.6 * high
    view.ground(left - 0.1, right + 0.1, along, end, (35, 35, 38), ROAD)
    inner = left if middle > 0 else right
    view.side(inner, 0.25, waist, along, end, 0.75 * colour, VEHICLE)
    view.front(left, right, 0.25, waist, along, colour, VEHICLE)
    view.side(inner, waist, high, along + 0.5, end - 0.8, 0.65 * colour, VEHICLE)
    view.front(left + 0.1, right - 0.1, waist, high, along + 0.5, 0.9 * colour, VEHICLE)
    view.front(
        left + 0.25, right - 0.25, 0.63 * high, 0.93 * high, along + 0.5, (55, 65, 80), VEHICLE
    )
    for x in (left + 0.05, right - 0.3):
        view.front(x, x + 0.25, 0, 0.35, along, (20, 20, 20), VEHICLE)
        view.front(x, x + 0.25, 0.6, 0.75, along, (230, 70, 50), VEHICLE)


def street(
    seed: int, at: float = 0.0, seconds: float = 0.0, grain: float = 10.0
) -> tuple[Bytes, Bytes]:
    """Return a picture, (H, W, 3) red, green, blue, and its classes, (H, W).

    Parameters
    ----------
    seed : int
        Number of the street.
    at : float
        Place of the camera along it.
    seconds : float
        Time, for the vehicles that move.
    grain : float
        Standard deviation of the noise, before it is blurred.
    """
    rng = np.random.default_rng(seed)
    light, grey = rng.uniform(0.65, 1.1), rng.uniform(85, 125)
    view = View(at, rng.uniform(-0.0015, 0.0015) + 0.0012 * np.sin(at / 45), light)
    beyond, edge = at + FAR, HALF_ROAD + WALK
    grass = rng.uniform() < 0.75
    verge, label = ((95, 130, 60), VEGETATION) if grass else ((150, 140, 110), OTHER)
    view.ground(-90, 90, at, beyond, verge, label)
    view.ground(-edge, edge, at, beyond, (175, 168, 160), SIDEWALK)
    view.ground(-HALF_ROAD - 0.15, HALF_ROAD + 0.15, at, beyond, (130, 128, 125), SIDEWALK)
    view.ground(-HALF_ROAD, HALF_ROAD, at, beyond, (grey, grey, grey + 4), ROAD)
    for z in np.arange(at - at % 6, beyond, 6).tolist():
        view.ground(-0.07, 0.07, z, z + 2.5, (225, 225, 220), ROAD)
    for plot in range(int(beyond // PLOT), int(at // PLOT) - 2, -1):
        for side in (-1, 1):
            here, along = np.random.default_rng([seed, plot + 2, side + 1]), plot * PLOT
            kind = here.uniform()
            if kind < 0.6:
                draw_building(view, side, along, here)
            if kind > 0.4:
                draw_tree(view, side, along + here.uniform(4, 12), here)
            if here.uniform() < 0.35:
                draw_vehicle(view, side * (HALF_ROAD - 1), along + here.uniform(0, 6), here)
    lanes = ((-1.6, 20.0, 200.0, -9.0), (-1.6, 60.0, 260.0, -10.0), (1.6, 12.0, 40.0, 8.0))
    cars = [
        (rng.uniform(first, last) + speed * seconds, number, middle)
        for number, (middle, first, last, speed) in enumerate(lanes)
    ]
    for along, number, middle in sorted(cars, reverse=True):
        draw_vehicle(view, middle, along, np.random.default_rng([seed, number]))
    noise = np.random.default_rng([seed, int(1000 * at)]).normal(0, grain, view.image.shape)
    image = view.image + cv2.GaussianBlur(noise, (0, 0), 0.7)
    return np.clip(image, 0, 255).astype(np.uint8), view.labels


def write_data_set(folder: Path, seeds: range, height: int) -> None:
    """Write one picture of each street with its mask, scaled to a height in pixels."""
    size = (round(height * WIDTH / HEIGHT), height)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        image, labels = street(seed, at=9.0 * (seed % 7), seconds=seed % 5, grain=seed % 11)
        picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / "images" / f"{seed:04d}.png"), picture[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{seed:04d}.png"), mask)


def write_video(path: Path, seed: int, seconds: float, fps: int = 12) -> None:
    """Write a drive along a street at 9 m/s, without noise, which would fill the file."""
    with FrameWriter(path, find_codec(path.suffix), HEIGHT, WIDTH, fps) as writer:
        for number in range(round(seconds * fps)):
            now = number / fps
            writer.write(street(seed, at=9 * now, seconds=now, grain=0)[0])


def main() -> None:
    """Write the data set and the video."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=240, help="Pictures to train on.")
    parser.add_argument("--valid", type=int, default=40, help="Pictures to validate on.")
    parser.add_argument("--height", type=int, default=128, help="Height of the pictures, pixels.")
    parser.add_argument("--seconds", type=float, default=6.0, help="Length of the video.")
    given = parser.parse_args()
    everything = given.train + given.valid
    write_data_set(given.folder / "train", range(given.train), given.height)
    write_data_set(given.folder / "valid", range(given.train, everything), given.height)
    write_video(given.folder / "street.webm", everything, given.seconds)


if __name__ == "__main__":
    main()
