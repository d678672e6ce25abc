"""Running a model: one small protocol, with adapters for ONNX Runtime and Keras."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError, ModelError
from roadgis.model.card import ModelCard, card_path, read_card_file
from roadgis.model.catalog import resolve_model
from roadgis.model.keras_backend import import_keras
from roadgis.model.onnx_file import onnxruntime_errors, open_session, session_card

__all__ = [
    "Device",
    "KerasSegmenter",
    "OnnxSegmenter",
    "Scaling",
    "Segmenter",
    "available_threads",
    "load_model",
]

logger = logging.getLogger(__name__)

#: Where to run: a GPU when there is one, the CPU, or a GPU and nothing else.
Device = Literal["auto", "cpu", "cuda"]
# Rounding in the last layer, or in dequantizing it, may leave 0..1 by this much.
_TOLERANCE = 1e-3


class Segmenter(Protocol):
    """A model that can be asked for road probability; safe to use from several threads."""

    @property
    def card(self) -> ModelCard:
        """What the model expects and gives."""

    @property
    def device(self) -> str:
        """What it runs on, in words."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of what decides its answers."""

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W, B)
            Bands in the card's order; H and W are multiples of the card's stride.

        Returns
        -------
        ndarray of float32, shape (N, H, W)
            Probability of road, 0..1.

        Raises
        ------
        InputError
            If the images do not fit the card.
        ModelError
            If the network fails, or gives NaN, values outside 0..1 or another shape.
        """

    def release(self) -> None:
        """Give back the memory that inference holds; the next `predict` takes it again."""


def available_threads() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_model(
    model: str | Path | None = None,
    *,
    threads: int | None = None,
    device: Device = "auto",
) -> Segmenter:
    """Load a model for inference.

    Parameters
    ----------
    model : str or Path, optional
        An ``.onnx`` file (run by ONNX Runtime), a ``.keras`` file (run by Keras, which needs
        the ``train`` extra), or the name of a bundled model. Default: the bundled one.
    threads : int, optional
        Threads inside the network. Default: all cores that this process may use.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA when ONNX Runtime offers it.

    Returns
    -------
    Segmenter
        The model with its card.

    Raises
    ------
    ModelError
        If the model or its card is missing or cannot be used.
    InputError
        If an option cannot be used on this machine.
    MissingExtraError
        If it is a Keras model and tensorflow is not installed.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}, expected 'auto', 'cpu' or 'cuda'.")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}, expected at least 1.")
    path = resolve_model(model)
    segmenter: Segmenter
    if path.suffix.lower() == ".keras":
        segmenter = KerasSegmenter(path, device=device)
    else:
        segmenter = OnnxSegmenter(path, threads=threads, device=device)
    card = segmenter.card
    logger.info("model %s %s (%s) on %s", card.name, card.version, path.name, segmenter.device)
    return segmenter


class OnnxSegmenter:
    """An ONNX file run by ONNX Runtime.

    Parameters
    ----------
    path : Path
        An ONNX file with a model card; input (N, H, W, B) and output (N, H, W, classes),
        float32.
    threads : int, optional
        Threads inside the network. Default: all cores that this process may use.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA when ONNX Runtime offers it.

    Attributes
    ----------
    card : ModelCard
        From the file's metadata.
    device : str
        What it runs on.
    fingerprint : str
        SHA-256 of the file.
    """

    def __init__(self, path: Path, *, threads: int | None = None, device: Device = "auto") -> None:
        self._path = path
        self._provider = _choose_provider(device)
        self._threads = threads or available_threads()
        self._lock = threading.Lock()
        self._session: Any = None
        session = self._open()
        self._errors = onnxruntime_errors()
        self.card = session_card(session, path)
        self.fingerprint = _sha256(path)
        # A GPU that is offered may still fail to start; ONNX Runtime then takes the CPU.
        actual = session.get_providers()[0]
        if actual != self._provider:
            text = f"ONNX Runtime offers {self._provider} but could not start it"
            if device == "cuda":
                raise InputError(f"{text}; check the driver and CUDA libraries, or use the CPU.")
            logger.warning("%s; running on the CPU", text)
        self.device = f"ONNX Runtime, {_DEVICE_NAMES.get(actual, actual)}"
        self._input = self._check_signature(session)
        self._scaling = Scaling(self.card)

    def _open(self) -> Any:
        """Return the session, opened when there is none; any thread may hold one on."""
        import onnxruntime

        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.inter_op_num_threads = 1
                # Planned memory needs up to twice as much, and a plan for every shape of tile.
                options.enable_mem_pattern = False
                # Waiting threads that spin would take the cores from reading and vectorizing.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                options.log_severity_level = 3
                provider = self._provider
                names = [provider] if provider == _CPU else [provider, _CPU]
                self._session = open_session(self._path, options, names)
            return self._session

    def release(self) -> None:
        """Give back the memory that inference holds; see :meth:`Segmenter.release`."""
        with self._lock:
            self._session = None

    def _check_signature(self, session: Any) -> str:
        inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
        outputs = session.get_outputs()
        bands = len(self.card.bands)
        fits = (
            len(inputs) == 1
            and inputs[0][1] == "tensor(float)"
            and len(inputs[0][2]) == 4
            and _bands_are_last(inputs[0][2], bands)
        )
        if not fits:
            found = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in inputs)
            raise ModelError(
                f"{self._path}: found the inputs {found}; expected one float tensor "
                f"(N, H, W, {bands}), bands last, as its card says. Export the model again."
            )
        if len(outputs) != 1:
            raise ModelError(
                f"{self._path}: found {len(outputs)} outputs, expected one of shape "
                f"(N, H, W, {len(self.card.classes)})."
            )
        return str(inputs[0][0])

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability; see :meth:`Segmenter.predict`."""
        feed = {self._input: self._scaling(images)}
        try:
            output = self._open().run(None, feed)[0]
        except self._errors as error:
            raise ModelError(
                f"{self._path}: the network failed on images of shape {images.shape}: {error}"
            ) from error
        return _road_probability(output, images.shape, self.card, self._path)


class KerasSegmenter:
    """A ``.keras`` file run by Keras on tensorflow.

    Parameters
    ----------
    path : Path
        A ``.keras`` file with its card beside it.
    device : {"auto", "cpu", "cuda"}
        "auto" leaves the choice to tensorflow.

    Attributes
    ----------
    card : ModelCard
        From beside the file.
    device : str
        What it runs on.
    fingerprint : str
        SHA-256 of the file and its card.
    """

    def __init__(self, path: Path, *, device: Device = "auto") -> None:
        self.card = read_card_file(path)
        keras = import_keras()
        import tensorflow

        gpus = tensorflow.config.list_logical_devices("GPU")
        if device == "cuda" and not gpus:
            raise InputError("device is 'cuda', but tensorflow finds no GPU; use 'cpu' or 'auto'.")
        self._place = "/GPU:0" if gpus and device != "cpu" else "/CPU:0"
        self._tensorflow = tensorflow
        try:
            self._model = keras.models.load_model(path, compile=False)
        # What Keras raises for a file that is not one of its own: no archive, no such member.
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: cannot be loaded as a Keras model; it is damaged, of another kind, or "
                f"from another Keras than {keras.__version__} ({error}). Train it again."
            ) from error
        self._path = path
        self.device = f"Keras, {'CUDA' if self._place == '/GPU:0' else 'CPU'}"
        self.fingerprint = _sha256(path, card_path(path))
        self._scaling = Scaling(self.card)

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability; see :meth:`Segmenter.predict`."""
        scaled = self._scaling(images)
        try:
            with self._tensorflow.device(self._place):
                output = np.asarray(self._model(scaled, training=False))
        except (ValueError, self._tensorflow.errors.OpError) as error:
            raise ModelError(
                f"{self._path}: the network failed on images of shape {images.shape}: {error}"
            ) from error
        return _road_probability(output, images.shape, self.card, self._path)

    def release(self) -> None:
        """Do nothing: tensorflow keeps what it has taken until the process ends."""


_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_DEVICE_NAMES = {_CPU: "CPU", _CUDA: "CUDA"}


def _choose_provider(device: Device) -> str:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if device == "cuda" and _CUDA not in available:
        raise InputError(
            f"device is 'cuda', but ONNX Runtime {onnxruntime.__version__} offers only "
            f"{available}. Install onnxruntime-gpu in place of onnxruntime, or use 'cpu'."
        )
    return _CUDA if device != "cpu" and _CUDA in available else _CPU


def _bands_are_last(shape: list[int | str | None], bands: int) -> bool:
    # Free dimensions are names or None. With the last one free, a fixed second one says
    # (N, B, H, W).
    return shape[3] == bands or not (isinstance(shape[3], int) or isinstance(shape[1], int))


class Scaling:
    """Brings uint8 images to what a network was trained on.

    Parameters
    ----------
    card : ModelCard
        Says mean, standard deviation, bands and stride.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        std = np.asarray(card.std, np.float64)
        self._factor = (1.0 / (255.0 * std)).astype(np.float32)
        self._offset = (np.asarray(card.mean, np.float64) / std).astype(np.float32)

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return ``(value / 255 - mean) / std``.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W, B)
            Bands in the card's order; H and W are multiples of its stride.

        Returns
        -------
        ndarray of float32, shape (N, H, W, B)
            What the network takes.

        Raises
        ------
        InputError
            If the images do not fit the card.
        """
        bands, stride = len(self._card.bands), self._card.stride
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != bands:
            raise InputError(
                f"Found images of shape {images.shape} and type {images.dtype}; the model "
                f"{self._card.name!r} expects (N, H, W, {bands}) of uint8."
            )
        if images.size == 0 or images.shape[1] % stride or images.shape[2] % stride:
            raise InputError(
                f"Found {images.shape[0]} images of {images.shape[2]} x {images.shape[1]} px; the "
                f"model {self._card.name!r} expects multiples of its stride, {stride} px."
            )
        scaled = images.astype(np.float32)
        scaled *= self._factor
        scaled -= self._offset
        return scaled


def _road_probability(
    output: npt.NDArray[Any], shape: tuple[int, ...], card: ModelCard, path: Path
) -> npt.NDArray[np.float32]:
    expected = (*shape[:3], len(card.classes))
    if output.shape != expected:
        raise ModelError(
            f"{path}: the network gave an output of shape {output.shape} for images of shape "
            f"{shape}; expected {expected}, one channel for each class of its card."
        )
    road = np.asarray(output[..., card.road_class], np.float32)
    low, high = float(road.min()), float(road.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelError(
            f"{path}: the network gave values that are not numbers (NaN or infinite). Its weights "
            "or its scaling are damaged; try another model."
        )
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise ModelError(
            f"{path}: the network gave values from {low:.3g} to {high:.3g}, expected "
            "probabilities between 0 and 1. Export it with its last activation (sigmoid)."
        )
    return np.clip(road, 0.0, 1.0)


def _sha256(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
