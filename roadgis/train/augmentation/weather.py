"""Shadows, clouds and haze as seen from above, drawn over training crops.

The shadow, fog and sun of albumentations imitate pictures taken from the ground: polygons in the
lower half, patches along a horizon. Here trees and buildings cast shadows in one direction, and
clouds are patches of a smooth random field with an offset shadow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Floats

Image = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Range = tuple[float, float]

#: Fields are computed at this fraction of the size.
_REDUCTION = 4
#: Darkening of red, green, blue per unit of darkness: skylight is blue.
_SHADE = np.array([1.06, 1.0, 0.88], np.float32)
_CLOUD_WHITE = np.array([238, 241, 245], np.float32)
_HAZE_VEIL = np.array([196, 206, 218], np.float32)
#: Fractional bits of OpenCV's drawing coordinates.
_SHIFT = 4


def smooth_field(
    shape: tuple[int, int], rng: np.random.Generator, *, cell_px: float, octaves: int = 4
) -> Field:
    """Return a random field with detail at several scales.

    Parameters
    ----------
    cell_px : float
        Size of the largest features, pixels.
    octaves : int
        Number of scales; each has half the size and 0.55 of the amplitude of the one before.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0 to 1, both reached.
    """
    import cv2

    field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = cell_px / 2**octave
        rows, columns = (int(np.ceil(size / cell)) + 2 for size in shape)
        grid = rng.random((rows, columns), dtype=np.float32)
        # One more cell on each side, so that features at the border are cut at random.
        height, width = int(np.ceil(rows * cell)), int(np.ceil(columns * cell))
        large = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        top, left = int(rng.integers(height - shape[0])), int(rng.integers(width - shape[1]))
        field += 0.55**octave * large[top : top + shape[0], left : left + shape[1]]
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / np.float32(max(high - low, 1e-6)))


def _enlarge(field: Field, shape: tuple[int, ...]) -> Field:
    import cv2

    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def _small(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // _REDUCTION), -(-shape[1] // _REDUCTION)


def _moved(field: Field, by: tuple[float, float]) -> Field:
    """Move a field by rows and columns; the edge is repeated."""
    import cv2

    matrix = np.array([[1, 0, by[1]], [0, 1, by[0]]], np.float32)
    size = (field.shape[1], field.shape[0])
    return np.asarray(cv2.warpAffine(field, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def add_clouds(
    image: Image,
    rng: np.random.Generator,
    *,
    coverage: float = 0.3,
    opacity: float = 0.6,
    shadow: float = 0.3,
) -> Image:
    """Draw thin clouds and their offset shadow over an image.

    Parameters
    ----------
    coverage : float
        Share of the image under cloud, 0 to 1.
    opacity : float
        Opacity of the densest part, 0 to 1; the ground should stay visible, as its labels stay.
    shadow : float
        Share of light that the shadow removes, 0 to 1.
    """
    shape = _small(image.shape)
    size = max(shape)
    field = smooth_field(shape, rng, cell_px=size * rng.uniform(0.35, 0.8), octaves=5)
    edge = np.float32(np.quantile(field, 1 - coverage))
    density = np.clip((field - edge) / max(0.75 * (1 - edge), np.float32(0.05)), 0, 1)
    density = density * density * (3 - 2 * density)
    angle, distance = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.1, 0.3)
    shaded = _moved(density, (distance * np.sin(angle), distance * np.cos(angle)))
    cover = _enlarge(np.float32(opacity) * density, image.shape)[..., None]
    light = 1 - _enlarge(np.float32(shadow) * shaded, image.shape)[..., None]
    return _blended(image, light * (1 - cover), cover, _CLOUD_WHITE)


def add_haze(image: Image, rng: np.random.Generator, *, opacity: float = 0.3) -> Image:
    """Lay a thin, bluish, slowly varying haze over an image.

    Parameters
    ----------
    opacity : float
        Opacity of the densest part, 0 to 1; the thinnest part has half of it.
    """
    shape = _small(image.shape)
    field = smooth_field(shape, rng, cell_px=max(shape), octaves=2)
    cover = _enlarge(np.float32(opacity) * (0.5 + 0.5 * field), image.shape)[..., None]
    return _blended(image, 1 - cover, cover, _HAZE_VEIL)


def _blended(image: Image, keep: Field, cover: Field, colour: Field) -> Image:
    mixed = image * keep
    mixed += cover * colour
    return np.asarray(np.clip(mixed + np.float32(0.5), 0, 255).astype(np.uint8))


def cast_shadows(
    image: Image,
    rng: np.random.Generator,
    *,
    groups: int = 5,
    length_px: float = 8.0,
    darkness: float = 0.5,
) -> Image:
    """Draw shadows of trees and buildings outside the image, all in one direction.

    Parameters
    ----------
    groups : int
        Rows of trees, clumps of trees and buildings per 256 x 256 px.
    length_px : float
        Shadow length of an object of usual height, pixels.
    darkness : float
        Share of light that a full shadow removes, 0 to 1.
    """
    import cv2

    height, width = image.shape[:2]
    shade = np.zeros((height, width), np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(angle), np.sin(angle)])
    for _ in range(max(1, round(groups * height * width / 256**2))):
        start = rng.uniform((0, 0), (width, height))
        draw = (_draw_row, _draw_clump, _draw_building)[rng.choice(3, p=(0.45, 0.3, 0.25))]
        draw(shade, start, sun * length_px, rng)
    # Half a pixel of penumbra, and sensor blur.
    soft = np.asarray(cv2.GaussianBlur(shade, (0, 0), rng.uniform(0.4, 0.8)))
    dark = soft[..., None] * (np.float32(darkness / 255) * _SHADE)
    return np.asarray((image * (1 - np.minimum(dark, 1)) + np.float32(0.5)).astype(np.uint8))


def _draw_tree(shade: Image, foot: Floats, reach: Any, rng: np.random.Generator) -> None:
    """Draw the shadow of a crown: overlapping discs, elongated away from the sun."""
    import cv2

    radius = rng.uniform(1.5, 4.5)
    tip = foot + reach * rng.uniform(0.6, 1.4)
    for part in np.linspace(0.25, 1.0, 4):
        middle = foot + (tip - foot) * part + rng.normal(0, 0.35 * radius, 2)
        centre = np.rint(middle * 2**_SHIFT).astype(int).tolist()
        size = int(radius * rng.uniform(0.7, 1.1) * 2**_SHIFT)
        cv2.circle(shade, centre, size, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_row(shade: Image, start: Floats, reach: Any, rng: np.random.Generator) -> None:
    """Draw shadows of trees along a line, as at a street."""
    angle, step = rng.uniform(0, 2 * np.pi), rng.uniform(6, 13)
    along = step * np.array([np.cos(angle), np.sin(angle)])
    for number in range(int(rng.integers(4, 13))):
        if rng.random() < 0.8:
            _draw_tree(shade, start + number * along + rng.normal(0, 1.2, 2), reach, rng)


def _draw_clump(shade: Image, start: Floats, reach: Any, rng: np.random.Generator) -> None:
    """Draw shadows of trees close together."""
    for _ in range(int(rng.integers(2, 9))):
        _draw_tree(shade, start + rng.normal(0, 6, 2), reach, rng)


def _draw_building(shade: Image, start: Floats, reach: Any, rng: np.random.Generator) -> None:
    """Draw the shadow of a building: the area swept by its roof, without the roof."""
    import cv2

    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(5, 16)
    across = np.array([-np.sin(angle), np.cos(angle)]) * rng.uniform(4, 9)
    roof = start + np.array([along + across, along - across, -along - across, across - along])
    thrown = roof + reach * rng.uniform(0.6, 1.6)
    points = np.concatenate([roof, thrown]).astype(np.float32)
    lit = np.zeros_like(shade)
    # The roof itself is sunlit.
    for polygon, value in ((cv2.convexHull(points), 255), (roof, 0)):
        corners = np.rint(polygon * 2**_SHIFT).astype(np.int32)
        cv2.fillConvexPoly(lit, corners, value, cv2.LINE_AA, _SHIFT)
    np.maximum(shade, lit, out=shade)


def _range(name: str, value: Any, low: float, high: float) -> Range:
    """Check a (lowest, highest) parameter; a single number is both."""
    pair = (value, value) if isinstance(value, int | float) else tuple(value)
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"{name} is {value}, expected (lowest, highest) within {low} to {high}")
    return float(pair[0]), float(pair[1])


@cache
def weather_transforms() -> Mapping[str, Any]:
    """Return the transforms of this module by name, for use in an augmentation list.

    Returns
    -------
    mapping of str to class
        ``CastShadow(groups, length_px, darkness, p)``, ``Cloud(coverage, opacity, shadow, p)``
        and ``Haze(opacity, p)``; each parameter is a (lowest, highest) range to draw from.
    """
    import albumentations

    class Weather(albumentations.ImageOnlyTransform):  # type: ignore[misc]
        """Draws a value from each range, then calls the function of this module."""

        def __init__(self, p: float, **ranges: Range) -> None:
            super().__init__(p=p)
            self._ranges = ranges

        def get_params(self) -> dict[str, Any]:
            rng = self.random_generator
            drawn = {name: rng.uniform(*pair) for name, pair in self._ranges.items()}
            return {"drawn": drawn, "seed": int(rng.integers(2**32))}

    class CastShadow(Weather):
        def __init__(
            self,
            groups: Any = (4, 16),
            length_px: Any = (3, 14),
            darkness: Any = (0.35, 0.7),
            p: float = 0.5,
        ) -> None:
            super().__init__(
                p,
                groups=_range("groups", groups, 0, 100),
                length_px=_range("length_px", length_px, 0, 200),
                darkness=_range("darkness", darkness, 0, 0.9),
            )

        def apply(self, img: Image, drawn: Any, seed: int, **params: Any) -> Image:
            return cast_shadows(img, np.random.default_rng(seed), **drawn)

    class Cloud(Weather):
        def __init__(
            self,
            coverage: Any = (0.1, 0.5),
            opacity: Any = (0.3, 0.7),
            shadow: Any = (0.1, 0.4),
            p: float = 0.5,
        ) -> None:
            super().__init__(
                p,
                coverage=_range("coverage", coverage, 0, 1),
                opacity=_range("opacity", opacity, 0, 1),
                shadow=_range("shadow", shadow, 0, 1),
            )

        def apply(self, img: Image, drawn: Any, seed: int, **params: Any) -> Image:
            return add_clouds(img, np.random.default_rng(seed), **drawn)

    class Haze(Weather):
        def __init__(self, opacity: Any = (0.1, 0.4), p: float = 0.5) -> None:
            super().__init__(p, opacity=_range("opacity", opacity, 0, 1))

        def apply(self, img: Image, drawn: Any, seed: int, **params: Any) -> Image:
            return add_haze(img, np.random.default_rng(seed), **drawn)

    return {"CastShadow": CastShadow, "Cloud": Cloud, "Haze": Haze}
