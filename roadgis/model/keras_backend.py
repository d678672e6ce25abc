"""Choose the backend of Keras and import Keras."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from roadgis.errors import InputError, MissingExtraError, how_to_install

#: Supported backends of Keras.
Backend = Literal["tensorflow", "jax"]

# Of tensorflow's C++ code: real errors are raised as exceptions as well; others, such as a missing
# GPU, are harmless.
_LOG_LEVEL = "3"
# JAX includes a CPU backend; GPU support is a separate plugin package.
_JAX_GPU_PLUGINS = (
    "jax_cuda12_plugin",
    "jax_cuda13_plugin",
    "jax_rocm60_plugin",
    "jax_rocm7_plugin",
)
# oneDNN's convolutions, which are off by default on some processors: on two cores without AVX512 a
# training step took 4.0 s with them and 5.1 s without.
_ONEDNN = "1"
_GPU_DEVICES = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


def choose_backend() -> Backend:
    """Choose the backend for Keras.

    In this order: the backend of Keras if it is already imported, as it cannot change in a
    process; that of the environment variable ``KERAS_BACKEND``; jax, if it is installed with GPU
    support on a machine with a GPU that tensorflow does not see; tensorflow.

    Nothing is imported for this, except tensorflow if jax with GPU support and a GPU are present.
    ``~/.keras/keras.json`` is ignored.

    Raises
    ------
    InputError
        If ``KERAS_BACKEND`` names a backend that is not supported.
    """
    keras = sys.modules.get("keras")
    asked = os.environ.get("KERAS_BACKEND", "")
    if keras is not None and hasattr(keras, "config"):
        asked = keras.config.backend()
    if asked == "jax":
        return "jax"
    if asked not in ("", "tensorflow"):
        raise InputError(
            f"Found the Keras backend {asked!r} (KERAS_BACKEND), expected tensorflow or jax. "
            "Set KERAS_BACKEND to one of these, or unset it."
        )
    if not asked and _jax_has_gpu() and not _tensorflow_sees_gpu():
        return "jax"
    return "tensorflow"


def _jax_has_gpu() -> bool:
    """Return whether jax has GPU support and the machine a GPU, without imports."""
    if not _is_installed("jax"):
        return False
    return any(map(_is_installed, _JAX_GPU_PLUGINS)) and any(map(Path.exists, _GPU_DEVICES))


def _tensorflow_sees_gpu() -> bool:
    if not _is_installed("tensorflow"):
        return False
    _prepare_tensorflow()
    with _native_stderr_held():
        import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _prepare_tensorflow() -> None:
    """Set the environment variables that tensorflow reads on import, unless they are set."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _LOG_LEVEL)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", _ONEDNN)


@contextlib.contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Hide the output of tensorflow's C++ code on import; it is shown if the import fails.

    Four lines on processor and CUDA appear before its log level takes effect.
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        yield  # already imported: nothing is printed
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def import_keras() -> Any:
    """Return the ``keras`` module on the backend of :func:`choose_backend`.

    Raises
    ------
    InputError
        See :func:`choose_backend`.
    MissingExtraError
        If Keras or its backend is not installed.
    """
    _prepare_tensorflow()
    backend = choose_backend()
    os.environ["KERAS_BACKEND"] = backend
    if not _is_installed(backend):
        raise MissingExtraError(
            f"Training and Keras models need {backend}, which is not installed. "
            + (
                how_to_install("train")
                if backend == "tensorflow"
                else "Install it with: pip install 'jax[cuda12]' (or unset KERAS_BACKEND)."
            )
        )
    try:
        with _native_stderr_held():
            import keras
    except ImportError as error:
        raise MissingExtraError(
            f"Training and Keras models need Keras on {backend}, which does not import ({error}). "
            f"{how_to_install('train')}"
        ) from error
    return keras
