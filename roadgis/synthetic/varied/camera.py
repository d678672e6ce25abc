"""Camera effects: air, lens, sensor and processing."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from roadgis.arrays import Bytes
from roadgis.synthetic.varied.canvas import Canvas, Floats

#: Pure black and white mark blank parts of mosaics.
_DARKEST, _BRIGHTEST = 5, 249


def photograph(canvas: Canvas) -> Bytes:
    """Return the picture of a painted canvas, uint8 (size, size, 3)."""
    random = canvas.random
    rim, side = canvas.margin_px, canvas.side // canvas.fine
    blur = random.choice([0.3, 0.5, 0.85, 1.3], p=[0.3, 0.35, 0.25, 0.1])
    blur *= random.uniform(0.8, 1.2)
    image = binned(canvas.colour, canvas.fine)
    for band in range(3):
        ndimage.gaussian_filter(image[..., band], blur, truncate=3, output=image[..., band])
    if random.random() < 0.35:
        image += random.uniform(0.3, 1.2) * (image - ndimage.gaussian_filter(image, (1.2, 1.2, 0)))
    image = image[rim : side - rim, rim : side - rim]
    image = _spectrum(random, image)
    image = _tones(random, image)
    image = _places(random, image)
    _noise(random, image)
    return np.clip(np.rint(image), _DARKEST, _BRIGHTEST).astype(np.uint8)


def binned(raster: Floats, fine: int) -> Floats:
    """Return the means of blocks of `fine` by `fine` samples."""
    total = sum(raster[row::fine, col::fine] for row in range(fine) for col in range(fine))
    return np.asarray(total * np.float32(1 / fine**2), np.float32)


def _spectrum(random: np.random.Generator, image: Floats) -> Floats:
    """Choose the spectrum: natural colours of some saturation, false colours, or grey."""
    grey = image @ np.array([0.3, 0.5, 0.2], np.float32)
    draw = random.random()
    if draw < 0.1:
        return np.repeat(grey[..., None], 3, -1)
    if draw < 0.17:
        plants = np.clip((1.7 * image[..., 1] - image[..., 0] - 0.7 * image[..., 2]) / 40, 0, 1)
        near = grey * np.float32(random.uniform(0.8, 1.1)) + 95 * plants
        return np.stack([near, image[..., 0] * 0.95, image[..., 1] * 0.95], -1)
    if draw < 0.2:
        image = image[..., random.permutation(3)]
    share = np.float32(np.clip(random.normal(1.0, 0.25), 0.2, 1.7))
    return np.asarray(grey[..., None] + (image - grey[..., None]) * share)


def _tones(random: np.random.Generator, image: Floats) -> Floats:
    """Set exposure, contrast, gamma, colour cast and haze."""
    wild = random.choice([0.4, 1.0])  # many pictures have nearly true colours
    cast = wild * random.choice([0.03, 0.07, 0.16], p=[0.55, 0.35, 0.1])
    image = np.asarray(np.clip(image, 0, 300) / np.float32(255), np.float32)
    image = image ** np.float32(math.exp(random.normal(0, 0.22 * wild)))
    image = image * np.exp(random.normal(0, cast, 3)).astype(np.float32)
    if random.random() < 0.3 * wild:
        haze = random.uniform(0.05, 0.55)
        air = random.uniform(0.35, 0.85) * np.exp(random.normal(0, 0.12, 3))
        air[2] *= random.choice([1.0, 1.12])
        image = image * np.float32(1 - haze) + np.asarray(air * haze, np.float32)
    if random.random() < 0.2 * wild:
        gain, middle = random.uniform(0.3, 0.8), random.uniform(0.2, 0.6)
    else:
        gain = math.exp(random.normal(0.22, 0.2))
        middle = float(np.clip(random.normal(0.38, 0.09), 0.18, 0.62))
    image = np.float32(middle) + (image - image.mean()) * np.float32(gain)
    if random.random() < 0.15 * wild:
        image = image + random.normal(0, 0.06, 3).astype(np.float32)
    return np.asarray(image * 255, np.float32)


def _places(random: np.random.Generator, image: Floats) -> Floats:
    """Vary the light over the picture: vignette, drifting haze, the seam of two flights."""
    rows, cols = image.shape[:2]
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, cols, dtype=np.float32)[None, :]
    if random.random() < 0.3:
        image = image * (1 - np.float32(random.uniform(0, 0.25)) * (x * x + y * y) / 2)[..., None]
    if random.random() < 0.25:
        coarse = random.normal(0, 1, (6, 6)).astype(np.float32)
        cloud = ndimage.zoom(coarse, (rows / 6, cols / 6), order=1)[:rows, :cols]
        share = np.clip(0.15 + 0.15 * cloud, 0, 0.6)[..., None]
        image = image + (np.float32(random.uniform(150, 235)) - image) * share
    if random.random() < 0.08:
        angle = random.uniform(0, 2 * math.pi)
        over = x * math.cos(angle) + y * math.sin(angle) > random.uniform(-0.5, 0.5)
        gain = np.exp(random.normal(0, 0.12, 3)).astype(np.float32)
        image = np.where(over[..., None], image * gain, image)
    return np.asarray(image, np.float32)


def _noise(random: np.random.Generator, image: Floats) -> None:
    strength = random.choice([0.5, 2.0, 5.0], p=[0.4, 0.4, 0.2]) * random.uniform(0.6, 1.4)
    shape = image.shape[:2]
    grey = random.standard_normal(shape, np.float32) * np.float32(strength)
    if random.random() < 0.3:
        grey = ndimage.uniform_filter(grey, 2) * 1.6
    for band in range(3):
        own = random.standard_normal(shape, np.float32) * np.float32(0.4 * strength)
        image[..., band] += grey + own
