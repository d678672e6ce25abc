"""The import of Keras on tensorflow, with the settings that it needs before the import."""

from __future__ import annotations

import os
from typing import Any

from roadgis.errors import MissingExtraError

__all__ = ["import_keras"]


def import_keras() -> Any:
    """Return the ``keras`` module on the tensorflow backend.

    Raises
    ------
    MissingExtraError
        If the ``train`` extra is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Training and Keras models need tensorflow, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    return keras
