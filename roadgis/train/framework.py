"""Imports of the training stack, and adapters that let segmentation-models run on Keras 3."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from roadgis.errors import MissingExtraError, ModelError, ReadError, how_to_install
from roadgis.model.keras_backend import import_keras

__all__ = [
    "decoder_modules",
    "encoder_modules",
    "import_keras",
    "import_segmentation_models",
    "load_keras_model",
    "standard_activations",
    "upsample_bilinear",
]


def import_segmentation_models() -> ModuleType:
    """Import ``segmentation_models`` on Keras 3 and the backend in use.

    Its framework must be chosen before its first import, which prints a line.
    """
    keras = import_keras()
    if keras.config.backend() == "tensorflow":
        os.environ["SM_FRAMEWORK"] = "tf.keras"
    else:
        os.environ["SM_FRAMEWORK"] = "keras"
        # At import it registers custom objects through this Keras 2 function.
        if not hasattr(keras.utils, "generic_utils"):
            keras.utils.generic_utils = SimpleNamespace(
                get_custom_objects=keras.utils.get_custom_objects
            )
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # Invalid escapes in its docstrings.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            import segmentation_models
    except ImportError as error:
        # It tries a second framework after the first failure, which is the one that explains.
        cause = error.__context__ if isinstance(error.__context__, ImportError) else error
        raise MissingExtraError(
            f"Training needs segmentation-models, which cannot be imported ({cause}). "
            f"{how_to_install('train')}"
        ) from error
    module: ModuleType = segmentation_models
    return module


def load_keras_model(path: Path) -> Any:
    """Load a ``.keras`` file, not compiled.

    Raises
    ------
    ModelError
        If Keras cannot load it.
    """
    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False)
    # Errors of Keras for other files: not an archive, missing members.
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: cannot be loaded as a Keras model; it is damaged, of another kind, or "
            f"from another Keras than {keras.__version__} ({error})."
        ) from error


class _Backend:
    """The functions of Keras 2's ``backend`` that the builders call; Keras 3 dropped some."""

    @staticmethod
    def backend() -> str:
        # Neither theano nor tensorflow: both have branches for the internals of Keras 2.
        return "keras"

    @staticmethod
    def image_data_format() -> str:
        return "channels_last"

    @staticmethod
    def int_shape(tensor: Any) -> tuple[int | None, ...]:
        return tuple(tensor.shape)

    @staticmethod
    def is_keras_tensor(tensor: Any) -> bool:
        return bool(import_keras().backend.is_keras_tensor(tensor))


class _Utils:
    """``keras.utils`` whose download raises :class:`ReadError`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_keras().utils, name)

    @staticmethod
    def get_file(name: str, url: str, **options: Any) -> str:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return str(import_keras().utils.get_file(name, url, **options))
        except Exception as error:  # Keras raises bare Exception here.
            raise ReadError(
                f"The encoder weights could not be downloaded from {url} ({error}). Connect to "
                "the internet, or download that file elsewhere and name it in place of "
                "'imagenet', or train without encoder weights."
            ) from error


class _EncoderLayers:
    """``keras.layers`` for the encoders of segmentation-models on Keras 3.

    - Names may hold no slash (DenseNet's do).
    - Layers with weights and activations that the builders leave unnamed (SENet, Inception) are
      numbered, so that the same encoder has the same names whenever it is built: encoder weights
      are found by name, and skip connections too.
    - Lambda layers become standard layers and operations: Keras refuses to load Lambdas, and a
      saved model shall load without segmentation-models.
    """

    def __init__(self) -> None:
        self._layers = import_keras().layers
        self._numbers: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def _named(self, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if options.get("name") is None:
            self._numbers[kind] += 1
            options["name"] = f"encoder_{kind.lower()}_{self._numbers[kind]}"
        options["name"] = options["name"].replace("/", "_")
        return getattr(self._layers, kind)(*arguments, **options)

    def Conv2D(self, *arguments: Any, **options: Any) -> Any:
        return self._named("Conv2D", arguments, options)

    def BatchNormalization(self, *arguments: Any, **options: Any) -> Any:
        return self._named("BatchNormalization", arguments, options)

    def Activation(self, *arguments: Any, **options: Any) -> Any:
        return self._named("Activation", arguments, options)

    def Lambda(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        arguments: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> Callable[[Any], Any]:
        settings = arguments or {}
        if set(settings) == {"start", "stop", "axis"}:  # a group of a grouped convolution
            return lambda x: x[..., settings["start"] : settings["stop"]]
        if set(settings) == {"channels_axis"}:  # squeeze-and-excitation
            return lambda x: self._layers.Reshape((1, 1, x.shape[-1]))(x)
        if set(settings) == {"scale"}:  # Inception-ResNet's residual
            return lambda pair: self._layers.Add(name=name)(
                [pair[0], pair[1] * float(settings["scale"])]
            )
        raise ModelError(
            f"Found an unknown Lambda layer of segmentation-models ({function}, {settings}). "
            "Expected segmentation-models 1.0.1 with image-classifiers 1.0.0."
        )


class _DecoderLayers:
    """``keras.layers`` with a named last convolution and a float32 last activation."""

    def __init__(self) -> None:
        self._layers = import_keras().layers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def Conv2D(self, *arguments: Any, **options: Any) -> Any:
        if options.get("name") is None:  # Linknet's
            options["name"] = "final_conv"
        return self._layers.Conv2D(*arguments, **options)

    def Activation(self, activation: str, name: str | None = None) -> Any:
        # Half precision is too coarse for the logarithm in the loss.
        dtype = "float32" if activation in ("sigmoid", "softmax") else None
        return self._layers.Activation(activation, name=name, dtype=dtype)

    def UpSampling2D(self, size: Any, interpolation: str = "nearest", name: str = "") -> Any:
        factor = size if isinstance(size, int) else size[0]
        # PSPNet's pyramid has a fixed size, for which Keras's own upsampling works with any
        # factor.
        if interpolation == "bilinear" and not name.startswith("psp_level"):
            return lambda x: upsample_bilinear(x, factor, name)
        return self._layers.UpSampling2D(size, interpolation=interpolation, name=name)


def upsample_bilinear(x: Any, factor: int, name: str) -> Any:
    """Interpolate features bilinearly, with half-pixel centres and repeated edges.

    ``UpSampling2D(interpolation="bilinear")`` of Keras 3.15 fails in a graph (training, export) if
    the size is unknown. Repeating and averaging pixels gives the same numbers.

    Parameters
    ----------
    x : KerasTensor
        (N, H, W, C).
    factor : int
        1 or even.
    name : str
        Prefix of the layer names.

    Returns
    -------
    KerasTensor
        (N, factor * H, factor * W, C).
    """
    layers = import_keras().layers
    if factor == 1:
        return x
    x = layers.Concatenate(axis=1, name=f"{name}_rows")([x[:, :1], x, x[:, -1:]])
    x = layers.Concatenate(axis=2, name=f"{name}_columns")([x[:, :, :1], x, x[:, :, -1:]])
    x = layers.UpSampling2D(factor, name=name)(x)
    x = layers.Cropping2D(factor // 2, name=f"{name}_crop")(x)
    x = layers.AveragePooling2D(factor, strides=1, name=f"{name}_mean")(x)
    return layers.AveragePooling2D(2, strides=1, name=f"{name}_centre")(x)


def encoder_modules() -> dict[str, Any]:
    """Return the keyword arguments that pass Keras to an encoder's builder."""
    return {
        "backend": _Backend,
        "layers": _EncoderLayers(),
        "models": import_keras().models,
        "utils": _Utils(),
    }


def decoder_modules() -> dict[str, Any]:
    """Return the same for a decoder's builder."""
    return {**encoder_modules(), "layers": _DecoderLayers()}


@contextlib.contextmanager
def standard_activations() -> Iterator[None]:
    """Use Keras's own swish and dropout while an EfficientNet is built.

    Its own are custom objects, which a saved model could not be loaded without.
    """
    # By name, as it has no type hints.
    model: Any = importlib.import_module("efficientnet.model")

    before = model.get_swish, model.get_dropout
    model.get_swish = lambda **modules: "silu"
    model.get_dropout = lambda **modules: import_keras().layers.Dropout
    try:
        yield
    finally:
        model.get_swish, model.get_dropout = before
