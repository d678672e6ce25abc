"""Prediction of any window of a labelled scene, each tile predicted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from roadgis.arrays import Bytes, Singles
from roadgis.errors import ModelError
from roadgis.imagery.scene import INVALID_FILL
from roadgis.model.card import ModelCard
from roadgis.model.layout import Scaling
from roadgis.options.scoring import TILE_PX
from roadgis.train.data.derived_scenes import normalize_scenes
from roadgis.train.data.labelled_scene import LabelledScene

#: Stored probability: levels 0..254 are p * 254.
TOP_LEVEL = 254

#: Callback that returns the image, uint8 (height, width, B), of a window (row, col, height,
#: width).
ReadImage = Callable[[int, int, int, int], Bytes]


class Predictor(Protocol):
    """Model interface for scoring; implemented by :class:`roadgis.model.runtime.Segmenter`."""

    @property
    def card(self) -> ModelCard:
        """The model card."""

    def predict(self, images: Bytes) -> Singles:
        """Return road probability (N, H, W) of images (N, H, W, B)."""

    def predict_classes(self, images: Bytes) -> Singles:
        """Return the probability of each class (N, H, W, C) of images (N, H, W, B)."""


class KerasPredictor:
    """A Keras model in memory, such as the one being trained.

    Parameters
    ----------
    model : keras.Model
        Outputs probabilities (N, H, W, C).
    """

    def __init__(self, model: Any, card: ModelCard) -> None:
        self.card = card
        self._model = model
        self._scaling = Scaling(card)

    def predict_classes(self, images: Bytes) -> Singles:
        """Return the probability of each class.

        Raises
        ------
        ModelError
            If the output is not finite.
        """
        output = np.asarray(self._model(self._scaling(images), training=False), np.float32)
        if not np.isfinite(output).all():
            raise ModelError(
                "The output of the model is not finite (NaN or infinite): its weights diverged in "
                "training. Start anew with a lower --peak-rate."
            )
        return output

    def predict(self, images: Bytes) -> Singles:
        """Return road probability."""
        road: Singles = self.predict_classes(images)[..., self.card.road_class]
        return road


def to_levels(probability: Singles) -> Bytes:
    """Return stored probability, uint8 0..254."""
    levels: Bytes = np.rint(probability * np.float32(TOP_LEVEL)).astype(np.uint8)
    return levels


@dataclass(frozen=True)
class _Tiling:
    """Cores of `core` (rows, columns) pixels in tiles with a margin of `margin` px."""

    margin: int
    core: tuple[int, int]
    side: tuple[int, int]

    @classmethod
    def of(cls, card: ModelCard, height: int, width: int, tile_px: int) -> _Tiling:
        margin, stride = card.margin_px, card.stride
        if card.tile_px is not None:
            core = card.tile_px - 2 * margin
            return cls(margin, (core, core), (card.tile_px, card.tile_px))
        largest = max(tile_px - 2 * margin, stride) // stride * stride

        def even(size: int) -> int:
            # Tiles of equal size: a nearly empty last one would cost as much as the rest.
            return -(-size // (-(-size // largest) * stride)) * stride

        rows, cols = even(height), even(width)
        return cls(margin, (rows, cols), (rows + 2 * margin, cols + 2 * margin))


class ScenePrediction:
    """Road probability, and the most probable class, of any window of a scene.

    Tiles are predicted on demand and dropped once windows have moved past them, so reading in rows
    of windows predicts each tile once and keeps a few rows of tiles.

    Parameters
    ----------
    height, width : int
        Size of the scene; outside is the fill value.
    tile_px : int
        Largest side of a tile including its margins; raised to the minimum for margin and stride.
        Ignored by models with a fixed tile size.
    """

    def __init__(
        self,
        predictor: Predictor,
        read: ReadImage,
        height: int,
        width: int,
        *,
        tile_px: int = TILE_PX,
    ) -> None:
        self._predictor = predictor
        self._read = read
        self._size = (height, width)
        self._tiling = _Tiling.of(predictor.card, height, width, tile_px)
        self._kept: dict[tuple[int, int], tuple[Bytes, Any]] = {}

    def windows(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the tiles' cores (row, col, height, width) within the scene, row by row."""
        (height, width), (rows, cols) = self._size, self._tiling.core
        for row in range(0, height, rows):
            for col in range(0, width, cols):
                yield row, col, min(rows, height - row), min(cols, width - col)

    def probability(self, row: int, col: int) -> Singles:
        """Predict one tile.

        Parameters
        ----------
        row, col : int
            Top left pixel of its core, as of :meth:`windows`.

        Returns
        -------
        ndarray of float32, shape (h, w, C)
            The core's part within the scene; C is 1, road, for models of one class.
        """
        tiling, (height, width) = self._tiling, self._size
        image = self._padded(row - tiling.margin, col - tiling.margin)[None]
        if len(self._predictor.card.classes) == 1:
            answer = self._predictor.predict(image)[0][..., None]
        else:
            answer = self._predictor.predict_classes(image)[0]
        rows = slice(tiling.margin, tiling.margin + min(tiling.core[0], height - row))
        cols = slice(tiling.margin, tiling.margin + min(tiling.core[1], width - col))
        inside: Singles = answer[rows, cols]
        return inside

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes | None]:
        """Return the prediction for a window inside the scene.

        Returns
        -------
        levels : ndarray of uint8, shape (height, width)
            Road probability as stored, 0..254.
        classes : ndarray of uint8, shape (height, width), or None
            The most probable class; None for models of one class.
        """
        rows, cols = self._tiling.core
        first = row // rows
        self._kept = {key: tile for key, tile in self._kept.items() if key[0] >= first}
        levels = np.empty((height, width), np.uint8)
        classes = None
        if len(self._predictor.card.classes) > 1:
            classes = np.empty((height, width), np.uint8)
        for i in range(first, -(-(row + height) // rows)):
            for j in range(col // cols, -(-(col + width) // cols)):
                tile_levels, tile_classes = self._tile(i, j)
                top, left = max(i * rows, row), max(j * cols, col)
                bottom = min(i * rows + tile_levels.shape[0], row + height)
                right = min(j * cols + tile_levels.shape[1], col + width)
                here = np.s_[top - row : bottom - row, left - col : right - col]
                there = np.s_[
                    top - i * rows : bottom - i * rows, left - j * cols : right - j * cols
                ]
                levels[here] = tile_levels[there]
                if classes is not None:
                    classes[here] = tile_classes[there]
        return levels, classes

    def _tile(self, i: int, j: int) -> tuple[Bytes, Any]:
        if (i, j) not in self._kept:
            card = self._predictor.card
            answer = self.probability(i * self._tiling.core[0], j * self._tiling.core[1])
            binary = len(card.classes) == 1
            classes = None if binary else answer.argmax(axis=-1).astype(np.uint8)
            self._kept[i, j] = (to_levels(answer[..., card.road_class]), classes)
        return self._kept[i, j]

    def _padded(self, row: int, col: int) -> Bytes:
        """Read a tile, with the fill value outside the scene."""
        side = self._tiling.side
        starts = (max(row, 0), max(col, 0))
        stops = [min(s + n, size) for s, n, size in zip((row, col), side, self._size, strict=True)]
        image = self._read(*starts, *(b - a for a, b in zip(starts, stops, strict=True)))
        around = [
            (start - at, at + length - stop)
            for start, stop, at, length in zip(starts, stops, (row, col), side, strict=True)
        ]
        return np.pad(image, [*around, (0, 0)], constant_values=INVALID_FILL)


def predict_scene(
    predictor: Predictor, image: Bytes | LabelledScene, *, tile_px: int = TILE_PX
) -> Singles:
    """Return road probability of a whole scene.

    Tiles start on multiples of the stride from the scene's corner, and their margin is cropped.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, B), or LabelledScene
        Any size. A scene is normalized as the card says, an array is used unchanged.
    tile_px : int
        See :class:`ScenePrediction`.
    """
    if isinstance(image, np.ndarray):
        read, (height, width) = _array_reader(image), image.shape[:2]
    else:
        read, height, width = image_reader(image, predictor.card), image.height, image.width
    prediction = ScenePrediction(predictor, read, height, width, tile_px=tile_px)
    result = np.empty((height, width), np.float32)
    road = predictor.card.road_class
    for row, col, rows, cols in prediction.windows():
        result[row : row + rows, col : col + cols] = prediction.probability(row, col)[..., road]
    return result


def image_reader(scene: LabelledScene, card: ModelCard) -> ReadImage:
    """Return a reader of a scene's image, normalized as the model card says."""
    (scene,) = normalize_scenes([scene], card.normalize_to)

    def read(row: int, col: int, height: int, width: int) -> Bytes:
        return scene.read(row, col, height, width)[0]

    return read


def _array_reader(pixels: Bytes) -> ReadImage:
    def read(row: int, col: int, height: int, width: int) -> Bytes:
        return pixels[row : row + height, col : col + width]

    return read
