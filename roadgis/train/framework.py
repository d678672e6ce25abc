"""Imports of the training stack, with the settings that they need before the import."""

from __future__ import annotations

import contextlib
import io
import os
from types import ModuleType
from typing import Any

from roadgis.errors import MissingExtraError

__all__ = ["import_keras", "import_segmentation_models"]


def import_keras() -> Any:
    """Return the ``keras`` module on the tensorflow backend.

    Raises
    ------
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow  # noqa: F401
        import keras
    except ImportError as error:
        raise MissingExtraError(
            f"Training and Keras models need tensorflow, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    return keras


def import_segmentation_models() -> ModuleType:
    """Return ``segmentation_models``, set to run on Keras 3.

    It must be told ``tf.keras`` before its first import, and prints a line on it.
    """
    import_keras()
    os.environ["SM_FRAMEWORK"] = "tf.keras"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import segmentation_models
    except ImportError as error:
        raise MissingExtraError(
            f"Training needs segmentation-models, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    module: ModuleType = segmentation_models
    return module
