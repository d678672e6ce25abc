"""Scaling and axis order of the input and output of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError, ModelError
from roadgis.model.card import ModelCard

# Rounding in the last layer, or in dequantizing it, may exceed 0..1 by this.
_TOLERANCE = 1e-3
#: Rows that are scaled at once.
_ROWS = 16


class Scaling:
    """Scales uint8 images as in training.

    Parameters
    ----------
    card : ModelCard
        Mean, standard deviation, bands, stride and tile size.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        std = np.asarray(card.std, np.float64)
        self._factor = (1.0 / (255.0 * std)).astype(np.float32)
        self._offset = (np.asarray(card.mean, np.float64) / std).astype(np.float32)

    @property
    def is_identity(self) -> bool:
        """Whether the model takes unscaled values, 0..255."""
        return bool((self._factor == 1).all() and (self._offset == 0).all())

    def check(self, images: npt.NDArray[np.uint8]) -> None:
        """Raise :class:`InputError` if the images do not fit the card."""
        bands, stride, tile = len(self._card.bands), self._card.stride, self._card.tile_px
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != bands:
            raise InputError(
                f"Found images of shape {images.shape} and type {images.dtype}; the model "
                f"{self._card.name!r} expects (N, H, W, {bands}) of uint8."
            )
        found = f"Found {images.shape[0]} images of {images.shape[2]} x {images.shape[1]} px; the "
        if images.size == 0 or images.shape[1] % stride or images.shape[2] % stride:
            raise InputError(
                f"{found}model {self._card.name!r} expects multiples of its stride, {stride} px."
            )
        if tile is not None and images.shape[1:3] != (tile, tile):
            raise InputError(
                f"{found}model {self._card.name!r} expects tiles of {tile} x {tile} px only."
            )

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return ``(value / 255 - mean) / std``.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W, B)
            Bands in the card's order; H and W are multiples of its stride, or equal to its tile
            size if it has one.

        Raises
        ------
        InputError
            If the images do not fit the card.
        """
        self.check(images)
        return self.scaled(images)

    def scaled(
        self, images: npt.NDArray[np.uint8], *, bands_second: bool = False
    ) -> npt.NDArray[np.float32]:
        """Scale images of any size; with `bands_second` the result is (N, B, H, W).

        A few rows are scaled at a time, so that they stay in the processor's cache, and whole
        rows, as operations over three bands are slow.
        """
        count, height, width, bands = images.shape
        if bands_second:
            result = np.empty((count, bands, height, width), np.float32)
            parts = [
                (images[..., band], result[:, band], self._factor[band], self._offset[band])
                for band in range(bands)
            ]
        else:
            result = np.empty(images.shape, np.float32)
            shape = (count, height, width * bands)
            factor, offset = np.tile(self._factor, width), np.tile(self._offset, width)
            parts = [(images.reshape(shape), result.reshape(shape), factor, offset)]
        for values, out, factor, offset in parts:
            for row in range(0, height, _ROWS):
                rows = out[:, row : row + _ROWS]
                np.multiply(values[:, row : row + _ROWS], factor, out=rows, dtype=np.float32)
                rows -= offset
        return result


def network_input(
    images: npt.NDArray[np.uint8], scaling: Scaling, card: ModelCard, dtype: Any = np.float32
) -> npt.NDArray[Any]:
    """Return images as input of the model: scaled, in its layout and type.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W, B)
        See :class:`Scaling`.
    dtype : numpy type
        Type of the input; for integers the images are not scaled.

    Returns
    -------
    ndarray of `dtype`, shape (N, H, W, B) or (N, B, H, W)
        C-contiguous.
    """
    scaling.check(images)
    bands_second = card.input_layout == "NCHW"
    if not np.issubdtype(dtype, np.integer):
        return scaling.scaled(images, bands_second=bands_second).astype(dtype, copy=False)
    values = images.transpose(0, 3, 1, 2) if bands_second else images
    return np.ascontiguousarray(values, dtype)


def class_probability(
    output: npt.NDArray[Any], shape: tuple[int, ...], card: ModelCard, path: Path
) -> npt.NDArray[np.float32]:
    """Return the probability of every class.

    Parameters
    ----------
    output : ndarray
        Output of the model: floats (N, H, W, C), (N, C, H, W) or, for one class, (N, H, W); or
        class numbers as integers, without C or with C = 1.
    shape : tuple of int
        Shape of the images, (N, H, W, B).
    card : ModelCard
        Layout, activation and classes.
    path : Path
        The model file, for error messages.

    Returns
    -------
    ndarray of float32, shape (N, H, W, C)
        0..1.

    Raises
    ------
    ModelError
        If the output has another shape, or holds NaN or values outside 0..1.
    """
    if output.dtype.kind in "iub":
        return _one_hot(_class_numbers(output, shape, card, path), len(card.classes))
    values = _bands_last(output, shape, len(card.classes), card, path).astype(np.float32)
    return _checked(_activated(values, card), path)


def road_probability(
    output: npt.NDArray[Any], shape: tuple[int, ...], card: ModelCard, path: Path
) -> npt.NDArray[np.float32]:
    """Return the probability of the card's road class, float32 (N, H, W).

    Parameters and errors are those of :func:`class_probability`. Other classes are computed only
    as far as needed.
    """
    if output.dtype.kind in "iub":
        numbers = _class_numbers(output, shape, card, path)
        return np.asarray(numbers == card.road_class, np.float32)
    values = _bands_last(output, shape, len(card.classes), card, path)
    if card.activation == "softmax":
        values = _activated(values.astype(np.float32), card)
    road = np.asarray(values[..., card.road_class], np.float32)
    if card.activation == "sigmoid":
        road = _activated(road, card)
    return _checked(road, path)


def _bands_last(
    output: npt.NDArray[Any], shape: tuple[int, ...], channels: int, card: ModelCard, path: Path
) -> npt.NDArray[Any]:
    values = output
    if values.ndim == 3 and channels == 1:
        values = values[..., None]
    elif values.ndim == 4 and card.output_layout == "NCHW":
        values = values.transpose(0, 2, 3, 1)
    expected = (*shape[:3], channels)
    if values.shape != expected:
        raise ModelError(
            f"{path}: the model returned an output of shape {output.shape} for images of shape "
            f"{shape}; expected {expected}, one channel for each class of its card"
            f"{', with the channels second' if card.output_layout == 'NCHW' else ''}."
        )
    return values


def _class_numbers(
    output: npt.NDArray[Any], shape: tuple[int, ...], card: ModelCard, path: Path
) -> npt.NDArray[Any]:
    numbers = _bands_last(output, shape, 1, card, path)[..., 0]
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= len(card.classes):
        raise ModelError(
            f"{path}: the model returned class numbers from {low} to {high}; its card has "
            f"{len(card.classes)} classes, {', '.join(card.classes)}. Name all of its classes with "
            "--model-classes."
        )
    return numbers


def _one_hot(numbers: npt.NDArray[Any], classes: int) -> npt.NDArray[np.float32]:
    return np.asarray(numbers[..., None] == np.arange(classes), np.float32)


def _activated(values: npt.NDArray[np.float32], card: ModelCard) -> npt.NDArray[np.float32]:
    if card.activation == "none":
        return values
    from scipy import special

    if card.activation == "softmax":
        return np.asarray(special.softmax(values, axis=-1), np.float32)
    return np.asarray(special.expit(values), np.float32)


def _checked(values: npt.NDArray[np.float32], path: Path) -> npt.NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelError(
            f"{path}: the model returned values that are not numbers (NaN or infinite). Its "
            "weights or its scaling are damaged; try another model."
        )
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise ModelError(
            f"{path}: the model returned values from {low:.3g} to {high:.3g}, expected "
            "probabilities between 0 and 1. Export it with its last activation (sigmoid), or "
            "describe it with --model-activation."
        )
    return np.clip(values, 0.0, 1.0)
