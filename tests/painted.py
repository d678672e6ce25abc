"""Imagery painted in code that the tiny test model understands: grey roads on green ground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.drawings import road
from tests.factories import write_raster
from tests.models import GROUND, ROAD

Stroke = tuple[float, float, float, float, float]

#: A net of roads over 600 x 500 px: a cross, a slanting road, a dead end, a lane near the rim.
NET: tuple[Stroke, ...] = (
    (0, 120, 600, 120, 8),
    (200, 0, 200, 500, 8),
    (40, 480, 560, 160, 10),
    (420, 120, 420, 40, 6),
    (0, 470, 600, 470, 7),
)


def painted(shape: tuple[int, int], strokes: Sequence[Stroke]) -> npt.NDArray[np.uint8]:
    """Return an image (3, height, width): bands (x0, y0, x1, y1, width) of road on ground."""
    is_road = road(shape, *strokes) > 0
    image = np.where(is_road, np.array(ROAD)[:, None, None], np.array(GROUND)[:, None, None])
    return image.astype(np.uint8)


def write_net(path: Path, *, seed: int | None = None, **keywords: Any) -> Path:
    """Write :data:`NET` as a scene of 600 x 500 px at 1 m; with a seed, with noise."""
    image = painted((500, 600), NET)
    if seed is not None:
        rng = np.random.default_rng(seed)
        image = np.clip(image + rng.integers(-25, 26, image.shape), 1, 254).astype(np.uint8)
    return write_raster(path, image, **keywords)
