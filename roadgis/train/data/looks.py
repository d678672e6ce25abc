"""The range of what a model's training imagery looks like, for its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from roadgis.imagery.values.look import measure_look
from roadgis.model.card import LOOKS
from roadgis.train.data.computed_scene import resampled
from roadgis.train.data.labelled_scene import FILL, IGNORE
from roadgis.train.data.open_data_set import OpenDataSet

__all__ = ["training_looks"]

# Scenes in the range, percent: a few odd ones are no reason to trust the like of them.
_WITHIN = (1.0, 99.0)
# Augmentation shows the network brighter, darker, blurred and sharper ones.
_BEYOND = 1.25


def training_looks(sets: Sequence[OpenDataSet]) -> dict[str, tuple[float, float]]:
    """Return the range of each figure of :class:`roadgis.imagery.values.look.Look` in data sets.

    Parameters
    ----------
    sets : sequence of OpenDataSet
        Those with a share of 0 are left out.

    Returns
    -------
    dict of str to tuple of two floats
        The first and last percentile of the scenes, a quarter beyond; empty without scenes.
    """
    found = []
    for data in sets:
        for scene, gsd in zip(data.training, data.gsd_m, strict=True):
            if not data.settings.share:
                continue
            seen = resampled(scene, gsd / data.settings.nearest_gsd_m(gsd))
            image, labels = seen.read(0, 0, seen.height, seen.width)
            look = measure_look([(image, (labels != IGNORE) | (image != FILL).any(axis=2))])
            if look is not None:
                found.append([getattr(look, name) for name in LOOKS])
    if not found:
        return {}
    low, high = np.percentile(found, _WITHIN, axis=0)
    low[LOOKS.index("saturation")] = 0.0  # augmentation turns crops grey
    return {
        name: (round(float(low[i]) / _BEYOND, 3), round(float(high[i]) * _BEYOND, 3))
        for i, name in enumerate(LOOKS)
    }
