"""A small ``.keras`` file: what ships for fine-tuning."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.atomic import atomic_path
from roadgis.model.card import ModelCard, write_card_file
from roadgis.train.starting_model import load_trained

__all__ = ["write_compact"]


def write_compact(source: Path, output: Path) -> ModelCard:
    """Write a trained model with its weights rounded to 16 bits, about a third of the size.

    The file stays an ordinary ``.keras`` file with float32 weights: the bits that rounding has
    emptied cost nothing once the archive is compressed.

    Parameters
    ----------
    source : Path
        A ``.keras`` file with its card.
    output : Path
        Another one; its card is written beside it.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If the source cannot be loaded.
    OutputError
        If the output cannot be written.
    """
    model, card = load_trained(source)
    for variable in model.variables:
        values = np.asarray(variable)
        if np.issubdtype(values.dtype, np.floating):
            variable.assign(_rounded(values))
    with tempfile.TemporaryDirectory(prefix="roadgis-compact-") as scratch:
        whole = Path(scratch) / "model.keras"
        model.save(whole)
        with atomic_path(output) as partial:
            _compress(whole, partial)
    write_card_file(card, output)
    return card


def _rounded(values: Any) -> Any:
    half = values.astype(np.float16)
    # Beyond the range of 16 bits (a variance can be) the number stays as it is.
    fits = np.isfinite(half) & ((half != 0) | (values == 0))
    return np.where(fits, half.astype(values.dtype), values)


def _compress(source: Path, output: Path) -> None:
    with (
        zipfile.ZipFile(source) as before,
        zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as after,
    ):
        for name in before.namelist():
            after.writestr(name, before.read(name))
