"""Pixel classes of frames of any size."""

from __future__ import annotations

import numpy as np

from roadgis.arrays import Bytes, Singles
from roadgis.errors import InputError
from roadgis.model.card import ModelCard
from roadgis.model.runtime import Segmenter
from roadgis.photos.frames import import_opencv

_DEFAULT_HEIGHT = 512


def drawn_classes(card: ModelCard) -> tuple[str, ...]:
    """Return the class names by index; index 0 is "other" for models of one class."""
    return ("other", *card.classes) if len(card.classes) == 1 else card.classes


class FrameSegmenter:
    """Predicts the class of each pixel of frames of any size.

    A frame is scaled to the height of the model input, keeping its proportions, and its edge
    repeated up to the next multiple of the stride; for models of a fixed tile size it is scaled to
    fit the tile. Probabilities are scaled back before the class is chosen, which keeps edges
    smooth.

    Parameters
    ----------
    height : int, optional
        Height of the model input in pixels, rounded to a multiple of its stride. Default: that of
        the training crops if the card's recipe has it, else 512.

    Raises
    ------
    InputError
        If the model does not take red, green, blue, or not this height.
    """

    def __init__(self, segmenter: Segmenter, height: int | None = None) -> None:
        card = segmenter.card
        if len(card.bands) != 3:
            raise InputError(
                f"The model {card.name!r} takes the bands {card.bands}; expected red, green and "
                "blue, which is what videos hold. Use another model."
            )
        if card.tile_px is not None and height not in (None, card.tile_px):
            raise InputError(
                f"height is {height}, but the model {card.name!r} takes tiles of {card.tile_px} px "
                "only; leave it out."
            )
        self._segmenter = segmenter
        self._card = card
        self._height = _model_height(card, height)
        self._cv2 = import_opencv()

    def labels(self, frame: Bytes) -> Bytes:
        """Return the class of each pixel.

        Returns
        -------
        ndarray of uint8, shape (H, W)
            Indices into :func:`drawn_classes`.

        Raises
        ------
        ModelError
            If the model fails.
        """
        rows, columns = self._scaled_size(*frame.shape[:2])
        small = frame
        if (rows, columns) != frame.shape[:2]:
            how = self._cv2.INTER_AREA if rows < frame.shape[0] else self._cv2.INTER_LINEAR
            small = self._cv2.resize(frame, (columns, rows), interpolation=how)
        padding = ((0, self._padded(rows) - rows), (0, self._padded(columns) - columns), (0, 0))
        image = np.pad(small, padding, mode="edge")
        probability = self._segmenter.predict_classes(image[None])[0, :rows, :columns]
        planes = [np.ascontiguousarray(probability[..., c]) for c in range(probability.shape[-1])]
        return self._choose(planes, frame.shape[0], frame.shape[1])

    def _scaled_size(self, height: int, width: int) -> tuple[int, int]:
        if self._card.tile_px is not None:
            scale = self._card.tile_px / max(height, width)
            return max(1, round(height * scale)), max(1, round(width * scale))
        return self._height, max(1, round(width * self._height / height))

    def _padded(self, length: int) -> int:
        step = self._card.tile_px or self._card.stride
        return -(-length // step) * step

    def _choose(self, planes: list[Singles], height: int, width: int) -> Bytes:
        """Return the most probable class at the frame's size, plane by plane to save memory."""
        labels = np.zeros((height, width), np.uint8)
        if len(planes) == 1:
            return (self._enlarged(planes[0], height, width) >= self._card.threshold).view(np.uint8)
        best = self._enlarged(planes[0], height, width)
        for index, plane in enumerate(planes[1:], start=1):
            large = self._enlarged(plane, height, width)
            labels[large > best] = index
            best = np.maximum(best, large)
        return labels

    def _enlarged(self, plane: Singles, height: int, width: int) -> Singles:
        if plane.shape == (height, width):
            return plane
        large: Singles = self._cv2.resize(
            plane, (width, height), interpolation=self._cv2.INTER_LINEAR
        )
        return large


def _model_height(card: ModelCard, asked: int | None) -> int:
    if card.tile_px is not None:
        return card.tile_px
    # A recipe is free text: accept a plain number of pixels only, among the settings of the
    # training data or, in older cards, outside of them.
    data = card.recipe.get("data")
    crop = (data if isinstance(data, dict) else card.recipe).get("crop_px")
    known = crop if isinstance(crop, int) and crop > 0 else _DEFAULT_HEIGHT
    return max(1, round((asked or known) / card.stride)) * card.stride
