"""The way into training data: folders or georeferenced files to labelled scenes.

::

    labelled       what training reads from: the protocol of a labelled scene
    pairs          which image belongs to which mask
    pair_scene     a pair of files as a scene
    mask_layer     a georeferenced raster mask on any grid
    georeferenced  georeferenced imagery with a layer of labels as a scene
    held           decoded scenes in memory
    holdout        parts of scenes for validation
    scenes         this one
    survey         all data looked through once
    sampling       random crops and batches
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from roadgis.errors import DataError
from roadgis.imagery.dataset_pool import Handles, bound_block_cache
from roadgis.train.data.cache import CACHE_BYTES, HeldScene, Memory
from roadgis.train.data.georeferenced import open_labelled
from roadgis.train.data.holdout import hold_out
from roadgis.train.data.labelled_scene import FILL, IGNORE, LabelledScene
from roadgis.train.data.mask_layer import MaskLayer
from roadgis.train.data.pair_scene import PairScene
from roadgis.train.data.pairs import find_pairs, find_splits

__all__ = [
    "FILL",
    "IGNORE",
    "LabelledScene",
    "MaskLayer",
    "find_pairs",
    "find_splits",
    "hold_out",
    "open_labelled",
    "open_pairs",
    "scenes_fingerprint",
]


def open_pairs(
    folders: Sequence[Path],
    *,
    classes: Sequence[str] = ("road",),
    cache_bytes: int = CACHE_BYTES,
) -> list[LabelledScene]:
    """Open folders of image and mask pairs.

    Parameters
    ----------
    folders : sequence of Path
        Each as :func:`roadgis.train.data.pairs.find_pairs` takes it.
    classes : sequence of str
        One name: masks hold 0 and one other value. More names: class indices and 255.
    cache_bytes : int
        How much of decoded scenes to keep in memory.

    Returns
    -------
    list of LabelledScene
        In the order of the folders, sorted by name in each.

    Raises
    ------
    DataError
        If there are none, files do not pair, cannot be read, are of another type, or differ in
        size. The values of masks are checked when they are first read.
    """
    pairs = [pair for folder in folders for pair in find_pairs(Path(folder))]
    if not pairs:
        raise DataError("Found no folder of training data. Give at least one.")
    bound_block_cache()
    handles, memory = Handles(), Memory(cache_bytes)
    return [
        HeldScene(
            PairScene(pair.name, pair.image, pair.mask, classes=classes, handles=handles), memory
        )
        for pair in pairs
    ]


def scenes_fingerprint(scenes: Sequence[LabelledScene]) -> str:
    """Return what differs when a run goes on with other data than it began with.

    It follows from names, sizes and times of change of the files, how they are read, and the
    order of the scenes; not from where the files lie.
    """
    about = [(scene.name, scene.height, scene.width, scene.fingerprint) for scene in scenes]
    return hashlib.sha256(repr(about).encode()).hexdigest()
