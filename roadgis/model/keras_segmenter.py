"""Inference with a ``.keras`` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError, ModelError
from roadgis.model.card import card_path, read_card_file
from roadgis.model.catalog import model_fingerprint
from roadgis.model.keras_backend import import_keras
from roadgis.model.layout import Scaling, class_probability, network_input, road_probability


class KerasSegmenter:
    """A ``.keras`` file run by Keras, on tensorflow or jax.

    Parameters
    ----------
    path : Path
        A ``.keras`` file with its card next to it.
    device : {"auto", "cpu", "cuda"}
        "auto" uses a GPU if Keras's backend sees one.

    Attributes
    ----------
    card : ModelCard
        Card of the file.
    device : str
        Runtime and device, in words.
    fingerprint : str
        SHA-256 of the file and its card.
    """

    def __init__(self, path: Path, *, device: Literal["auto", "cpu", "cuda"] = "auto") -> None:
        self.card = read_card_file(path)
        keras = import_keras()
        has_gpu = _keras_has_gpu(keras)
        if device == "cuda" and not has_gpu:
            raise InputError("device is 'cuda', but Keras finds no GPU; use 'cpu' or 'auto'.")
        self._place = "gpu:0" if has_gpu and device != "cpu" else "cpu:0"
        self._keras = keras
        self._errors = _keras_errors(keras)
        try:
            self._model = keras.models.load_model(path, compile=False)
        # Keras raises these for other files: not an archive, no such member.
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: cannot be loaded as a Keras model; it is damaged, another kind of file, "
                f"or of another version than Keras {keras.__version__} ({error}). Train it again."
            ) from error
        self._path = path
        self.device = f"Keras, {'CUDA' if self._place == 'gpu:0' else 'CPU'}"
        self.fingerprint = model_fingerprint(path, card_path(path))
        self._scaling = Scaling(self.card)

    def _run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        values = network_input(images, self._scaling, self.card)
        try:
            with self._keras.device(self._place):
                output = self._model(values, training=False)
                return np.asarray(self._keras.ops.convert_to_numpy(output))
        except self._errors as error:
            raise ModelError(
                f"{self._path}: the model failed on images of shape {images.shape}: {error}"
            ) from error

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability; see :meth:`roadgis.model.runtime.Segmenter.predict`."""
        return road_probability(self._run(images), images.shape, self.card, self._path)

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probability of every class; see :class:`roadgis.model.runtime.Segmenter`."""
        return class_probability(self._run(images), images.shape, self.card, self._path)

    def release(self) -> None:
        """Do nothing: Keras's backend keeps its memory until the process ends."""


def _keras_has_gpu(keras: Any) -> bool:
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # jax, where there is none
        return False


def _keras_errors(keras: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions that a model may raise for unsupported images."""
    if keras.config.backend() != "tensorflow":
        return (ValueError, TypeError, RuntimeError)
    import tensorflow

    return (ValueError, TypeError, RuntimeError, tensorflow.errors.OpError)
