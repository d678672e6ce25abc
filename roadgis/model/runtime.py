"""Model inference: a small protocol, with adapters for ONNX Runtime and Keras."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from roadgis.errors import InputError, ModelError
from roadgis.model.card import ModelCard
from roadgis.model.catalog import model_fingerprint, resolve_model
from roadgis.model.foreign import foreign_card, reject_description
from roadgis.model.keras_segmenter import KerasSegmenter
from roadgis.model.layout import Scaling, class_probability, network_input, road_probability
from roadgis.model.onnx_file import (
    WINDOW_INPUT,
    onnxruntime_errors,
    open_session,
    open_session_for_reading,
    session_card,
    window_margin,
)
from roadgis.model.probe import INPUT_TYPES
from roadgis.options.model import ModelDescription

__all__ = [
    "Device",
    "KerasSegmenter",
    "OnnxSegmenter",
    "Scaling",
    "Segmenter",
    "available_threads",
    "load_model",
    "predict_part",
    "preferred_provider",
]

logger = logging.getLogger(__name__)

#: Where to run: a GPU if there is one, the CPU, or only a GPU.
Device = Literal["auto", "cpu", "cuda"]


class Segmenter(Protocol):
    """A model that returns road probability; safe to use from several threads."""

    @property
    def card(self) -> ModelCard:
        """Inputs and outputs of the model."""

    @property
    def device(self) -> str:
        """Runtime and device, in words."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the files that determine the output."""

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W, B)
            Bands in the card's order; H and W are multiples of the card's stride, and equal to
            its `tile_px` if it has one.

        Returns
        -------
        ndarray of float32, shape (N, H, W)
            Probability of road, 0..1: that of the card's `road_class`.

        Raises
        ------
        InputError
            If the images do not fit the card.
        ModelError
            If the model fails, or returns NaN, values outside 0..1 or another shape.
        """

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probability of every class.

        Parameters and errors are those of :meth:`predict`.

        Returns
        -------
        ndarray of float32, shape (N, H, W, C)
            In the order of the card's classes, 0..1; C = 1 for a model of road or not.
        """

    def release(self) -> None:
        """Free the memory of inference; the next `predict` allocates it again."""


def predict_part(
    segmenter: Segmenter, images: npt.NDArray[np.uint8], rows: slice, cols: slice
) -> npt.NDArray[np.float32]:
    """Return some rows and columns of a model's road probability, float32 (N, rows, cols).

    Parameters
    ----------
    segmenter : Segmenter
        Some models need less work for a part.
    images : ndarray of uint8, shape (N, H, W, B)
        See :meth:`Segmenter.predict`.
    rows, cols : slice
        Start and stop of the part.
    """
    if isinstance(segmenter, OnnxSegmenter):
        return segmenter.predict_part(images, rows, cols)
    return segmenter.predict(images)[:, rows, cols]


def available_threads() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_model(
    model: str | Path | None = None,
    *,
    threads: int | None = None,
    device: Device = "auto",
    description: ModelDescription | None = None,
) -> Segmenter:
    """Load a model for inference.

    Parameters
    ----------
    model : str or Path, optional
        An ``.onnx`` file (run by ONNX Runtime), a ``.keras`` file (run by Keras, which needs
        the ``train`` extra), the folder of a training run, or the name of a bundled model.
        Default: the bundled one.
    threads : int, optional
        Number of CPU threads. Default: all cores that this process may use.
    device : {"auto", "cpu", "cuda"}
        "auto" uses a GPU if ONNX Runtime offers one: CUDA, DirectML or CoreML.
    description : ModelDescription, optional
        Describes an ONNX file without a model card. Such a file is run on one or two test images,
        and the decisions are logged.

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
        reject_description(path, description)
        segmenter = KerasSegmenter(path, device=device)
    else:
        segmenter = OnnxSegmenter(path, threads=threads, device=device, description=description)
    card = segmenter.card
    logger.info("model %s %s (%s) on %s", card.name, card.version, path.name, segmenter.device)
    return segmenter


class OnnxSegmenter:
    """An ONNX file run by ONNX Runtime.

    Parameters
    ----------
    path : Path
        An ONNX file with one input, images in the layout of its card, and one output: classes
        in the layout of its card, or a map of class numbers.
    threads, device, description
        See :func:`load_model`.

    Attributes
    ----------
    card : ModelCard
        From the file's metadata, or made for a file without one.
    device : str
        Runtime and device, in words.
    fingerprint : str
        SHA-256 of the file, and of the card if it is not in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        device: Device = "auto",
        description: ModelDescription | None = None,
    ) -> None:
        self._path = path
        self._provider = _choose_provider(device)
        self._threads = threads or available_threads()
        self._lock = threading.Lock()
        self._session: Any = None
        session = self._open()
        self._errors = onnxruntime_errors()
        card = session_card(session, path)
        if card is None:
            self.card = foreign_card(open_session_for_reading(path), path, description)
            self.fingerprint = model_fingerprint(path, text=self.card.to_json())
        else:
            reject_description(path, description)
            self.card, self.fingerprint = card, model_fingerprint(path)
        # A GPU that is offered may still fail to start; ONNX Runtime then uses the CPU.
        actual = session.get_providers()[0]
        if actual != self._provider:
            text = f"ONNX Runtime offers {self._provider} but could not start it"
            if device == "cuda":
                raise InputError(f"{text}; check the driver and CUDA libraries, or use the CPU.")
            logger.warning("%s; running on the CPU", text)
        self.device = f"ONNX Runtime, {_DEVICE_NAMES.get(actual, actual)}"
        self._scaling = Scaling(self.card)
        self._input, self._dtype, self._one_by_one = self._check_signature(session)
        self._window_margin = window_margin(session)

    def _open(self) -> Any:
        """Return the session, opened if needed; other threads may still use a released one."""
        import onnxruntime

        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.inter_op_num_threads = 1
                # A memory plan needs up to twice the memory, and one for every tile shape.
                options.enable_mem_pattern = False
                # Spinning threads would take CPU time from reading and vectorizing.
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

    def _check_signature(self, session: Any) -> tuple[str, Any, bool]:
        """Return the input's name and type, and whether it takes one image at a time."""
        card, path = self.card, self._path
        inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
        outputs = session.get_outputs()
        bands = len(card.bands)
        if len(inputs) != 1 or inputs[0][1] not in INPUT_TYPES or not _fits(inputs[0][2], card):
            found = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in inputs)
            layout = f"(N, H, W, {bands}), bands last,"
            if card.input_layout == "NCHW":
                layout = f"(N, {bands}, H, W), bands second,"
            raise ModelError(
                f"{path}: found the inputs {found}; expected one float tensor {layout} "
                f"{f'with tiles of {card.tile_px} px, ' if card.tile_px else ''}as its card says. "
                "Export the model again."
            )
        if len(outputs) != 1:
            raise ModelError(
                f"{path}: found {len(outputs)} outputs, expected one of shape "
                f"(N, H, W, {len(card.classes)})."
            )
        name, kind, shape = inputs[0]
        if INPUT_TYPES[kind] is np.uint8 and not self._scaling.is_identity:
            raise ModelError(
                f"{path}: the model takes bytes, but its card has a mean of {card.mean} and a "
                f"standard deviation of {card.std}; expected 0 and 1/255. Export the model again."
            )
        return str(name), INPUT_TYPES[kind], shape[0] == 1

    def _run(self, images: npt.NDArray[np.uint8], **others: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = network_input(images, self._scaling, self.card, self._dtype)
        batches = [values]
        if self._one_by_one and len(values) > 1:
            batches = [values[index : index + 1] for index in range(len(values))]
        session = self._open()
        try:
            outputs = [session.run(None, {self._input: batch, **others})[0] for batch in batches]
        except self._errors as error:
            raise ModelError(
                f"{self._path}: the model failed on images of shape {images.shape}: {error}"
            ) from error
        return np.concatenate(outputs) if len(outputs) > 1 else np.asarray(outputs[0])

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return road probability; see :meth:`Segmenter.predict`."""
        return road_probability(self._run(images), images.shape, self.card, self._path)

    def predict_part(
        self, images: npt.NDArray[np.uint8], rows: slice, cols: slice
    ) -> npt.NDArray[np.float32]:
        """Return some rows and columns of what :meth:`predict` returns, with less work.

        Models with a window input compute only the part of the decoder that is needed.
        """
        if self._window_margin is None:
            return self.predict(images)[:, rows, cols]
        stride, margin = self.card.stride, self._window_margin
        start, end = [], []
        for part, side in zip((rows, cols), images.shape[1:3], strict=True):
            start.append(max(part.start // stride * stride - margin, 0))
            end.append(min(-(-part.stop // stride) * stride + margin, side))
        output = self._run(images, **{WINDOW_INPUT: np.array([*start, *end], np.int64)})
        shape = (len(images), end[0] - start[0], end[1] - start[1], images.shape[3])
        found = road_probability(output, shape, self.card, self._path)
        return found[
            :,
            rows.start - start[0] : rows.stop - start[0],
            cols.start - start[1] : cols.stop - start[1],
        ]

    def predict_classes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probability of every class; see :meth:`Segmenter.predict_classes`."""
        return class_probability(self._run(images), images.shape, self.card, self._path)


_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
#: In the order in which "auto" prefers them.
_DEVICE_NAMES = {
    _CUDA: "CUDA",
    "DmlExecutionProvider": "DirectML",
    "CoreMLExecutionProvider": "CoreML",
    _CPU: "CPU",
}


def _choose_provider(device: Device) -> str:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if device == "cuda" and _CUDA not in available:
        raise InputError(
            f"device is 'cuda', but ONNX Runtime {onnxruntime.__version__} offers only "
            f"{available}. Install onnxruntime-gpu in place of onnxruntime, or use 'cpu'."
        )
    return preferred_provider(device, available)


def preferred_provider(device: Device, available: Sequence[str]) -> str:
    """Return the execution provider to use, one of those that ONNX Runtime offers."""
    if device == "cpu":
        return _CPU
    return next((name for name in _DEVICE_NAMES if name in available), _CPU)


def _fits(shape: list[int | str | None], card: ModelCard) -> bool:
    """Return whether an input shape fits the card; free axes are names or None."""
    if len(shape) != 4:
        return False
    last = card.input_layout == "NHWC"
    here, elsewhere = (shape[3], shape[1]) if last else (shape[1], shape[3])
    # If the axis of the bands is free, a fixed axis in the other place is that of the bands.
    is_free = not isinstance(here, int) and not (isinstance(elsewhere, int) and not card.tile_px)
    sides = shape[1:3] if last else shape[2:]
    fixed = {side for side in sides if isinstance(side, int)}
    return (here == len(card.bands) or is_free) and fixed <= {card.tile_px}
