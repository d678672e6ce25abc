"""Four figures on how imagery looks, to judge whether a model was trained on similar imagery."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from roadgis.arrays import Bools, Bytes


@dataclass(frozen=True)
class Look:
    """Statistics of all valid pixels of a scene, of values 0..255.

    Attributes
    ----------
    brightness, contrast : float
        Mean and standard deviation of the grey value (mean of the bands).
    saturation : float
        Mean difference between a pixel's largest and smallest band.
    sharpness : float
        Mean difference between neighbouring grey values, divided by the contrast.
    """

    brightness: float
    contrast: float
    saturation: float
    sharpness: float

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def measure_look(blocks: Iterable[tuple[Bytes, Bools]]) -> Look | None:
    """Measure a scene.

    Parameters
    ----------
    blocks : iterable of (ndarray of uint8 (H, W, C), ndarray of bool (H, W))
        The scene, or blocks spread over it: image, and where it is valid.

    Returns
    -------
    Look or None
        None where there is no valid pixel.
    """
    pixels = pairs = 0
    total = squares = spread = steps = 0.0
    for image, valid in blocks:
        if not valid.any():
            continue
        grey = image.mean(axis=2)
        inside = grey[valid]
        pixels += inside.size
        total += float(inside.sum())
        squares += float((inside**2).sum())
        spread += float((image.max(axis=2) - image.min(axis=2))[valid].sum(dtype=np.int64))
        for axis in (0, 1):
            both = np.moveaxis(valid, axis, 0)
            both = both[1:] & both[:-1]
            steps += float(np.abs(np.diff(np.moveaxis(grey, axis, 0), axis=0))[both].sum())
            pairs += int(both.sum())
    if not pixels:
        return None
    brightness = total / pixels
    contrast = max(squares / pixels - brightness**2, 0.0) ** 0.5
    return Look(brightness, contrast, spread / pixels, steps / max(pairs, 1) / max(contrast, 1.0))
