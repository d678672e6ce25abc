"""Imports of the training stack, with the settings that they need before the import."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from types import ModuleType

from roadgis.errors import MissingExtraError
from roadgis.model.keras_backend import import_keras

__all__ = ["import_keras", "import_segmentation_models"]


def import_segmentation_models() -> ModuleType:
    """Return ``segmentation_models``, set to run on Keras 3.

    It must be told ``tf.keras`` before its first import, and prints a line on it.

    Raises
    ------
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    import_keras()
    os.environ["SM_FRAMEWORK"] = "tf.keras"
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # Escapes in its docstrings, seen when it is compiled for the first time.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            import segmentation_models
    except ImportError as error:
        raise MissingExtraError(
            f"Training needs segmentation-models, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    module: ModuleType = segmentation_models
    return module
