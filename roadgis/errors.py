"""The package's errors.

::

    RoadgisError
     ├── InputError        (ValueError)   input or option of the user that cannot be used
     │    ├── SceneError                  imagery: unreadable, no CRS, wrong bands, too coarse
     │    ├── ModelError                  model files and cards
     │    ├── DataError                   training data, layers of lines
     │    └── EmptyTruthError             nothing to evaluate against
     ├── ReadError         (OSError)      a file or URL failed while it was read
     ├── OutputError       (OSError)      an output cannot be written
     ├── TileError         (RuntimeError) a tile failed in the network; names the tile
     ├── ResumeError       (RuntimeError) a mosaic belongs to other inputs or settings
     ├── MissingExtraError (ImportError)  an optional dependency is not installed
     └── Cancelled                        the caller asked to stop

Every message says what was found, what was expected and what to do.
"""

from __future__ import annotations


class RoadgisError(Exception):
    """Base of all errors that roadgis raises on purpose."""


class InputError(RoadgisError, ValueError):
    """An input or an option cannot be used as given."""


class SceneError(InputError):
    """Imagery cannot be used: no raster, no CRS, no valid pixel, wrong bands, too coarse."""


class ModelError(InputError):
    """A model file or its card cannot be used."""


class DataError(InputError):
    """Training data, labels or a layer of lines cannot be used."""


class EmptyTruthError(InputError):
    """The truth holds no line where a network is to be evaluated: no score applies."""


class ReadError(RoadgisError, OSError):
    """Reading a file or URL failed part of the way.

    Attributes
    ----------
    sheet : str or None
        The name of the input raster that failed, where it was one.
    """

    sheet: str | None = None


class OutputError(RoadgisError, OSError):
    """An output cannot be written where it was asked for."""


class TileError(RoadgisError, RuntimeError):
    """The network failed on a tile; the message names the tile."""


class ResumeError(RoadgisError, RuntimeError):
    """A stored mosaic was made from other inputs or with other settings."""


class MissingExtraError(RoadgisError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def how_to_install(extra: str) -> str:
    """Return the sentence that says how to install an optional dependency.

    Parameters
    ----------
    extra : str
        The extra of roadgis that has it.
    """
    return (
        f"To install it, run pip install '.[{extra}]' (or uv sync --extra {extra}) in a copy of "
        "roadgis's repository."
    )


class Cancelled(RoadgisError):
    """The caller asked to stop; what is finished stays on disk."""
