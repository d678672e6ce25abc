"""Find models: those of the package, those in the user's folder of models, and files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from roadgis.errors import ModelError
from roadgis.model.card import ModelCard, read_card_file
from roadgis.model.foreign import find_card, reject_description
from roadgis.model.onnx_file import open_session_for_reading
from roadgis.options.model import ModelDescription

#: Name of the bundled model that is used by default.
DEFAULT_MODEL = "default"
_WEIGHTS = Path(__file__).resolve().parent / "weights"
#: The model in the folder of a training run.
RUN_MODEL = "model.keras"
_SUFFIXES = (".onnx", ".keras")
# The environment variable that names the folder of installed models, and the folder without it.
_FOLDER_VARIABLE = "ROADGIS_MODELS"
_FOLDER = Path(".roadgis") / "models"


def bundled_models() -> dict[str, Path]:
    """Return the models that come with the package, by name."""
    return {path.stem: path for path in sorted(_WEIGHTS.glob("*.onnx"))}


def installed_models() -> dict[str, Path]:
    """Return the models in the user's folder of models, by name.

    The folder is that of the environment variable ``ROADGIS_MODELS``, by default
    ``.roadgis/models`` in the home directory. To install a model, copy it there.
    """
    named = os.environ.get(_FOLDER_VARIABLE)
    folder = Path(named) if named else Path.home() / _FOLDER
    return {path.stem: path for path in sorted(folder.glob("[!.]*.onnx"))}


def resolve_model(model: str | Path | None = None) -> Path:
    """Find a model file.

    Parameters
    ----------
    model : str or Path, optional
        A path to an ``.onnx`` or ``.keras`` file, to the folder of a training run (its
        ``model.keras``), or the name of a bundled or installed model. Default: the bundled model
        :data:`DEFAULT_MODEL`.

    Raises
    ------
    ModelError
        If there is no such model, a folder contains none, or the suffix is unknown.
    """
    name = str(DEFAULT_MODEL if model is None else model)
    known = {**installed_models(), **bundled_models()}
    path = Path(name)
    if name in known and not path.is_file():
        return known[name]
    if "://" in name:
        raise ModelError(
            f"{name}: models are read from files only. Download it, then name the file."
        )
    if path.is_dir():
        return _model_of_run(path)
    if path.is_file():
        if path.suffix.lower() in _SUFFIXES:
            return path
        raise ModelError(
            f"{name}: found a file that ends in {path.suffix!r}, expected a model: "
            f"{' or '.join(_SUFFIXES)}."
        )
    raise ModelError(
        f"{name}: found no such model file, nor a model of that name; expected a path to "
        f"an {' or '.join(_SUFFIXES)} file, to the folder of a training run, or one of "
        f"{sorted(known)}."
    )


def _model_of_run(folder: Path) -> Path:
    path = folder / RUN_MODEL
    if path.is_file():
        return path
    raise ModelError(
        f"{folder}: found a folder without {RUN_MODEL}, expected the folder of a training run that "
        "has finished an epoch, or the path to a model file."
    )


def read_card(
    model: str | Path | None = None, description: ModelDescription | None = None
) -> ModelCard:
    """Read a model's card without loading its weights into a framework.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`resolve_model`.
    description : ModelDescription, optional
        Describes an ONNX file without a card; such a file is run on one or two test images.

    Raises
    ------
    ModelError
        If the model or its card is missing or cannot be read, or a model with a card is described.
    """
    path = resolve_model(model)
    if path.suffix.lower() == ".keras":
        reject_description(path, description)
        return read_card_file(path)
    return find_card(open_session_for_reading(path), path, description)


def model_fingerprint(*paths: Path, text: str = "") -> str:
    """Return the SHA-256 (hexadecimal) of a model's files, and of a card that is not in them."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    digest.update(text.encode())
    return digest.hexdigest()
