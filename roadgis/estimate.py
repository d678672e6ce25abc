"""Estimate of the time of a run on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from roadgis.imagery.scene import INVALID_FILL, Scene
from roadgis.options.prediction import PredictOptions
from roadgis.probability.cutting import network_pixels

if TYPE_CHECKING:
    from roadgis.model.runtime import Segmenter

#: Side of the tile that is timed, pixels; a smaller scene is timed with a tile of its own size.
_TILE_PX = 768
#: Seconds of a run besides inference: until the program has started, and for each megapixel to
#: vectorize and write. Measured on two cores.
_START_S, _REST_S_PER_MPX = 2.0, 0.35
# Reading keeps pace with inference up to this; beyond it, it decides.
_SOURCE_PX_PER_S = 60e6


def estimated_seconds(
    scene: Scene, segmenter: Segmenter, options: PredictOptions | None = None
) -> float:
    """Time a tile in the network, and return about how long extracting a scene's roads takes.

    Parameters
    ----------
    scene : Scene
        Opened at the model's GSD.
    segmenter : Segmenter
        The model, where it is to run.
    options : PredictOptions, optional
        How the scene is cut.
    """
    options = options or PredictOptions()
    card = segmenter.card
    longest = min(_TILE_PX, max(scene.grid.height, scene.grid.width))
    side = card.tile_px or -(-longest // card.stride) * card.stride
    tile = np.full((1, side, side, len(card.bands)), INVALID_FILL, np.uint8)
    segmenter.predict(tile)  # the first one also allocates memory
    start = time.perf_counter()
    segmenter.predict(tile)
    per_px = (time.perf_counter() - start) / side**2
    inference = network_pixels(scene, card, options) * per_px * (4 if options.flips else 1)
    reading = scene.size.source_pixels / _SOURCE_PX_PER_S
    rest = _REST_S_PER_MPX * scene.size.pixels / 1e6
    return _START_S + max(inference, reading) + rest
