"""What is told about an ONNX file that has no model card: by options, or by Deepness's metadata."""

from __future__ import annotations

import ast
import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roadgis.errors import InputError, ModelError
from roadgis.model.card import MOST_PX, Activation, Layout
from roadgis.plain_values import converted, parse_json, shown

__all__ = ["ModelDescription", "deepness_description"]

logger = logging.getLogger(__name__)

#: Metadata keys that Deepness writes; the first one says what the model is for.
_TYPE = "model_type"
_CLASS_KEYS = ("class_names", "names")
_NUMBERS = ("resolution", "tile_size", "tiles_overlap", "seg_thresh")


@dataclass(frozen=True)
class ModelDescription:
    """What a user, or a file's metadata, tells about a network; None where nothing is told.

    Attributes
    ----------
    gsd_m : float or None
        Ground sampling distance that it was trained at, metres per pixel.
    mean, std : tuple of float or None
        Per band: the network is given ``(value - mean) / std``.
    value_range : {"unit", "byte"} or None
        Whether `value` there is 0..1 (the default) or 0..255.
    classes : tuple of str or None
        Names of the output's channels in order, or of the numbers in a map of classes.
    road : str or None
        Which class is road: its name, or its number from 0.
    layout : {"NHWC", "NCHW"} or None
        Of the input; by default where the input's shape has the bands.
    activation : {"none", "sigmoid", "softmax"} or None
        What is still to be applied to the output; by default found out.
    tile_px : int or None
        Side of the tiles that the network is to be given, pixels.
    margin_px : int or None
        Border of a tile's output that is not used, pixels.
    overlap_percent : float or None
        How far neighbouring tiles overlap, in percent of their side; half of it is a margin.
    threshold : float or None
        Probability from which a pixel is road.
    """

    gsd_m: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    value_range: Literal["unit", "byte"] | None = None
    classes: tuple[str, ...] | None = None
    road: str | None = None
    layout: Layout | None = None
    activation: Activation | None = None
    tile_px: int | None = None
    margin_px: int | None = None
    overlap_percent: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.tile_px is not None and not 1 <= self.tile_px <= MOST_PX:
            raise InputError(f"--model-tile-px is {self.tile_px}, expected 1 to {MOST_PX}.")
        if self.margin_px is not None and not 0 <= self.margin_px <= MOST_PX:
            raise InputError(f"--model-margin is {self.margin_px}, expected 0 to {MOST_PX}.")
        if self.overlap_percent is not None and not 0 <= self.overlap_percent < 100:
            raise InputError(
                f"The overlap of tiles is {self.overlap_percent}, expected percent below 100."
            )
        if self.value_range not in (None, "unit", "byte"):
            raise InputError(
                f"value_range is {self.value_range!r}, expected 'unit' (0..1) or 'byte' (0..255)."
            )

    @property
    def told(self) -> dict[str, Any]:
        """What is told, by field."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) is not None
        }

    def over(self, other: ModelDescription) -> ModelDescription:
        """Return `other` with all that this description tells put in its place."""
        return dataclasses.replace(other, **self.told)


def deepness_description(metadata: Mapping[str, str], path: Path) -> ModelDescription | None:
    """Read the metadata that the QGIS plugin Deepness puts into ONNX files.

    Parameters
    ----------
    metadata : mapping of str to str
        The file's properties; Deepness's values are JSON.
    path : Path
        Named in errors.

    Returns
    -------
    ModelDescription or None
        None when there is no such metadata.

    Raises
    ------
    ModelError
        If the model is no segmentation model, or a value is of the wrong kind.
    """
    known = {key: metadata[key] for key in (_TYPE, *_CLASS_KEYS, *_NUMBERS) if key in metadata}
    if not known:
        return None
    if _TYPE in known:
        kind = str(_value(known, _TYPE, path))
        if kind.lower() != "segmentor":
            raise ModelError(
                f"{path}: found a Deepness model of type {kind!r}, expected 'Segmentor': roads "
                "are made from a probability for each pixel, which other types do not give."
            )
    if "seg_small_segment" in metadata:
        logger.info(
            "%s: seg_small_segment is not used; short pieces of road are removed by length", path
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
    # Ultralytics writes Python's own notation, and Deepness reads it too.
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
    return tuple(_checked(metadata, key, path, kind, "a list of numbers, one a band"))


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
