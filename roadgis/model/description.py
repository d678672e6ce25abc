"""Description of ONNX files from the metadata of the QGIS plugin Deepness."""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadgis.errors import ModelError
from roadgis.options.model import ModelDescription
from roadgis.plain_values import converted, parse_json, shown

logger = logging.getLogger(__name__)

#: Metadata keys of Deepness; the first is the kind of model.
_TYPE = "model_type"
_CLASS_KEYS = ("class_names", "names")
_NUMBERS = ("resolution", "tile_size", "tiles_overlap", "seg_thresh")


def deepness_description(metadata: Mapping[str, str], path: Path) -> ModelDescription | None:
    """Read the metadata that Deepness writes into ONNX files; None if there is none.

    Parameters
    ----------
    metadata : mapping of str to str
        The file's properties; Deepness's values are JSON.
    path : Path
        The file, for error messages.

    Raises
    ------
    ModelError
        If it is not a segmentation model, or a value is of the wrong type.
    """
    known = {key: metadata[key] for key in (_TYPE, *_CLASS_KEYS, *_NUMBERS) if key in metadata}
    if not known:
        return None
    if _TYPE in known:
        kind = str(_value(known, _TYPE, path))
        if kind.lower() != "segmentor":
            raise ModelError(
                f"{path}: found a Deepness model of type {kind!r}, expected 'Segmentor': roads "
                "need a probability for each pixel, which other types do not provide."
            )
    if "seg_small_segment" in metadata:
        logger.info(
            "%s: seg_small_segment is ignored; short pieces of road are removed by length", path
        )
    numbers = {key: _number(known, key, path) for key in _NUMBERS if key in known}
    resolution, tile = numbers.get("resolution"), numbers.get("tile_size")
    return ModelDescription(
        gsd_m=None if resolution is None else resolution / 100,
        mean=_numbers(metadata, "standardization_mean", path),
        std=_numbers(metadata, "standardization_std", path),
        classes=_class_names(known, path),
        tile_px=None if tile is None else int(tile),
        overlap_percent=numbers.get("tiles_overlap"),
        threshold=numbers.get("seg_thresh"),
    )


def _value(metadata: Mapping[str, str], key: str, path: Path) -> Any:
    text = metadata[key]
    try:
        return parse_json(text)
    except ValueError:
        pass
    # Ultralytics writes Python literals, which Deepness reads too.
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        if key == _TYPE:
            return text.strip()
        raise ModelError(
            f"{path}: the metadata {key!r} is {shown(text)}, expected JSON. Describe the model "
            "with --model-... options, or correct its metadata."
        ) from None


def _number(metadata: Mapping[str, str], key: str, path: Path) -> float:
    return float(_checked(metadata, key, path, float, "a number"))


def _numbers(metadata: Mapping[str, str], key: str, path: Path) -> tuple[float, ...] | None:
    if key not in metadata:
        return None
    kind = tuple[float, ...]
    return tuple(_checked(metadata, key, path, kind, "a list of numbers, one per band"))


def _checked(metadata: Mapping[str, str], key: str, path: Path, kind: Any, expected: str) -> Any:
    value = _value(metadata, key, path)
    try:
        return converted(value, kind)
    except ValueError:
        raise ModelError(
            f"{path}: the metadata {key!r} is {shown(value)}, expected {expected}. Describe the "
            "model with --model-... options, or correct its metadata."
        ) from None


def _class_names(metadata: Mapping[str, str], path: Path) -> tuple[str, ...] | None:
    key = next((key for key in _CLASS_KEYS if key in metadata), None)
    if key is None:
        return None
    value = _value(metadata, key, path)
    if isinstance(value, dict):
        numbered = {str(number): str(name) for number, name in value.items()}
        if sorted(numbered) == sorted(str(number) for number in range(len(numbered))):
            return tuple(numbered[str(number)] for number in range(len(numbered)))
    raise ModelError(
        f"{path}: the metadata {key!r} is {shown(value)}, expected names by number from 0, such as "
        '{"0": "background", "1": "road"}.'
    )
