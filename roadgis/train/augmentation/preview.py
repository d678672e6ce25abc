"""Contact sheet of training crops and their labels, before and after augmentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from scipy import ndimage

from roadgis.atomic import atomic_path
from roadgis.errors import DataError, InputError
from roadgis.options.training import TrainSettings
from roadgis.train.augmentation.augment import load_augmentation
from roadgis.train.data.labelled_scene import IGNORE, SOFT_ONE, SOFT_ZERO, Bytes, road_target
from roadgis.train.data.training_data import crop_source, open_training_data, output_classes

_GAP_PX = 2
_PAIR_GAP_PX = 10
_HATCH_PX = 8
_DIM = 0.45
#: Outline colours of class 1, 2, ...: distinct on vegetation, roofs and asphalt.
_COLOURS = (
    (255, 40, 200),
    (0, 230, 255),
    (255, 225, 0),
    (255, 110, 0),
    (120, 255, 60),
    (150, 110, 255),
    (255, 255, 255),
    (0, 110, 255),
)


class Crops(Protocol):
    """Source of numbered crops, such as a :class:`roadgis.train.data.sampling.CropSampler`."""

    def crop(self, number: int) -> tuple[Bytes, Bytes]:
        """Return image (P, P, 3) and labels (P, P) of crop `number`, uint8."""


def draw_labels(image: Bytes, labels: Bytes) -> Bytes:
    """Draw the outlines of the labels over an image.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        Class indices; 255 is invalid.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Each class but the first is outlined in its colour; invalid pixels are dark and hatched.
    """
    drawn: Bytes = image.copy()
    ignored = labels == IGNORE
    drawn[ignored] = (drawn[ignored] * np.float32(_DIM)).astype(np.uint8)
    rows, columns = np.arange(labels.shape[0])[:, None], np.arange(labels.shape[1])
    drawn[ignored & ((rows + columns) % _HATCH_PX == 0)] = 200
    for label in np.unique(labels[(labels > 0) & ~ignored]).tolist():
        inside = labels == label
        border = inside & ~ndimage.binary_erosion(inside, border_value=1)
        drawn[border] = _COLOURS[(label - 1) % len(_COLOURS)]
    return drawn


def write_preview(
    sampler: Crops,
    output: Path,
    *,
    plain: Crops | None = None,
    rows: int = 4,
    columns: int = 4,
    first: int = 0,
    classes: Sequence[str] = ("road",),
    overwrite: bool = True,
) -> dict[str, str]:
    """Write a picture of the crops that a model is trained on.

    Parameters
    ----------
    sampler : Crops
        Source of the augmented crops.
    output : Path
        PNG file.
    plain : Crops, optional
        Source of the same crops without augmentation; they are drawn to the left of the augmented
        ones.
    rows, columns : int
        Crops (or pairs) in the picture.
    first : int
        Number of the first crop.
    classes : sequence of str
        ``("road",)``, or the names of class 0, 1, ...

    Returns
    -------
    dict of str to str
        Outline colour of each class as ``#rrggbb``, by class name.

    Raises
    ------
    DataError
        If the labels hold an unknown class.
    """
    if rows < 1 or columns < 1:
        raise InputError(f"Found {rows} rows and {columns} columns, expected at least 1 of each.")
    names = ("other", *classes) if len(classes) == 1 else tuple(classes)
    lines = []
    for row in range(rows):
        cells = []
        for number in range(first + row * columns, first + (row + 1) * columns):
            sources = (sampler,) if plain is None else (plain, sampler)
            pair = [_cell(source, number, names) for source in sources]
            cells.append(_joined(pair, _GAP_PX, axis=1))
        lines.append(_joined(cells, _PAIR_GAP_PX, axis=1))
    _write_png(_joined(lines, _PAIR_GAP_PX, axis=0), output, overwrite)
    return {
        name: "#{:02x}{:02x}{:02x}".format(*_COLOURS[index % len(_COLOURS)])
        for index, name in enumerate(names[1:])
    }


def preview_settings(settings: TrainSettings, output: Path, *, overwrite: bool = False) -> None:
    """Write a picture of the first crops of a run with these settings."""
    data = open_training_data(settings.data, settings.optimization.seed)
    names, _ = output_classes(settings.data)
    plain, augmented = (
        crop_source(settings, data, settings.data.normalize_to, augment)
        for augment in (None, load_augmentation(settings.data.augmentation))
    )
    write_preview(augmented, output, plain=plain, classes=names, overwrite=overwrite)


def _cell(crops: Crops, number: int, names: Sequence[str]) -> Bytes:
    image, labels = crops.crop(number)
    soft = (labels >= SOFT_ZERO) & (labels <= SOFT_ONE)
    labels = np.where(soft, road_target(labels) >= 0.5, labels).astype(np.uint8)
    unknown = np.unique(labels[(labels >= len(names)) & (labels != IGNORE)])
    if len(unknown):
        raise DataError(
            f"Crop {number} has labels {unknown.tolist()}; expected 0 to {len(names) - 1} "
            f"({', '.join(names)}) or {IGNORE}. Name all classes."
        )
    return draw_labels(image, labels)


def _joined(parts: Sequence[Bytes], gap: int, axis: int) -> Bytes:
    """Put parts of one size next to (axis 1) or below (axis 0) each other, white in between."""
    shape = list(parts[0].shape)
    shape[axis] = gap
    between = np.full(shape, 255, np.uint8)
    spaced = [item for part in parts for item in (between, part)][1:]
    return np.asarray(np.concatenate(spaced, axis=axis))


def _write_png(picture: Bytes, output: Path, overwrite: bool) -> None:
    height, width, bands = picture.shape
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(
            driver="PNG", height=height, width=width, count=bands, dtype="uint8"
        ) as png:
            png.write(np.moveaxis(picture, -1, 0))
        encoded = memory.read()
    with atomic_path(output, overwrite=overwrite) as partial:
        partial.write_bytes(encoded)
