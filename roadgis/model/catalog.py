"""Where models are found: the one that comes with the package, and files."""

from __future__ import annotations

from pathlib import Path

from roadgis.errors import ModelError
from roadgis.model.card import ModelCard, read_card_file
from roadgis.model.onnx_file import read_onnx_card

__all__ = ["DEFAULT_MODEL", "bundled_models", "read_card", "resolve_model"]

#: The name of the bundled model that is used when none is named.
DEFAULT_MODEL = "default"
_WEIGHTS = Path(__file__).resolve().parent / "weights"
_SUFFIXES = (".onnx", ".keras")


def bundled_models() -> dict[str, Path]:
    """Return the models that come with the package, by name."""
    return {path.stem: path for path in sorted(_WEIGHTS.glob("*.onnx"))}


def resolve_model(model: str | Path | None = None) -> Path:
    """Find a model file.

    Parameters
    ----------
    model : str or Path, optional
        A path to an ``.onnx`` or ``.keras`` file, or the name of a bundled model.
        Default: the bundled model :data:`DEFAULT_MODEL`.

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    ModelError
        If there is no such model, or its suffix is of no known kind.
    """
    name = str(DEFAULT_MODEL if model is None else model)
    bundled = bundled_models()
    path = Path(name)
    if name in bundled and not path.is_file():
        return bundled[name]
    if "://" in name:
        raise ModelError(
            f"{name}: models are read from files only. Download it, then name the file."
        )
    if path.is_file():
        if path.suffix.lower() in _SUFFIXES:
            return path
        raise ModelError(
            f"{name}: found a file that ends in {path.suffix!r}, expected a model: "
            f"{' or '.join(_SUFFIXES)}."
        )
    raise ModelError(
        f"{name}: found no such model file, nor a bundled model of that name; expected a path to "
        f"an {' or '.join(_SUFFIXES)} file, or one of {sorted(bundled)}."
    )


def read_card(model: str | Path | None = None) -> ModelCard:
    """Read a model's card without loading its weights into a framework.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`resolve_model`.

    Returns
    -------
    ModelCard
        From the ONNX file's metadata, or from beside the ``.keras`` file.

    Raises
    ------
    ModelError
        If the model or its card is missing or cannot be read.
    """
    path = resolve_model(model)
    if path.suffix.lower() == ".keras":
        return read_card_file(path)
    return read_onnx_card(path)
