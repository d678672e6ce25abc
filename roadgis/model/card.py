"""The model card: everything needed to run a model correctly, stored with its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from roadgis.errors import ModelError
from roadgis.options.model import MOST_PX, Activation, Layout
from roadgis.plain_values import converted, parse_json, shown

#: Properties of a scene whose range in the training imagery a card may contain.
LOOKS = ("brightness", "contrast", "saturation", "sharpness")

#: The key of the card among an ONNX file's metadata properties.
CARD_KEY = "roadgis.card"
_FORMAT = 1
# Limits of valid cards: larger values would need endless grids or tiles, or numbers that float32
# cannot represent.
_GSD_M = (0.01, 100.0)
_STD = (1e-6, 1e6)
_MOST_MEAN = 1e6


@dataclass(frozen=True)
class ModelCard:
    """Inputs, outputs and origin of a segmentation model.

    Attributes
    ----------
    name, version : str
        Shown to users and written into outputs.
    classes : tuple of str
        One per output channel, or per value if the output is a map of class numbers.
    road_class : int
        Index into `classes` of the road channel; other channels are not added to it.
    bands : tuple of str
        The input channels in order, e.g. ``("red", "green", "blue")``.
    mean, std : tuple of float
        Per band, applied to values in 0..1: ``(value - mean) / std``.
    gsd_m : float
        Ground sampling distance that the model was trained at, metres per pixel.
    gsd_range_m : tuple of two floats, or None
        Smallest and largest ground sampling distance that the model works at: imagery in between
        is read at its own pixel size. None: only `gsd_m`.
    normalize_to : tuple of two floats, or None
        Mean and standard deviation, 0..255, that each band of a scene is brought to before `mean`
        and `std` apply, by the statistics of the whole scene; None for no normalization.
    looks : dict of str to tuple of two floats
        Range of each figure of :class:`~roadgis.imagery.values.look.Look` in the training imagery.
        A scene outside of it is reported, and the confidence of its roads is lowered.
    stride : int
        Total downsampling; tiles start and end on its multiples, in pixels.
    margin_px : int
        Distance to which a tile's border affects its output; a multiple of `stride`. For a local
        model, pixels at least this far from the border do not depend on where the tile is cut.
    local : bool
        False if the model averages over the whole tile (squeeze-and-excitation, pyramid
        pooling), so that its output depends on the tile with any margin.
    threshold : float
        Probability from which a pixel is road, chosen on validation data.
    tile_px : int or None
        Side in pixels of the tiles, if the model accepts only one; None if it accepts every
        multiple of `stride`.
    input_layout, output_layout : {"NHWC", "NCHW"}
        Axis order of input and output.
    activation : {"none", "sigmoid", "softmax"}
        Activation to apply to the output to obtain probabilities.
    training_data, licence : str
        Training data of the weights, and the licence of the model.
    attribution : tuple of str
        Credits, one sentence for each source; written into outputs.
    scores : dict
        Figures with the name of the data that they were measured on. Under ``places``, a list
        of mappings: ``place``, and by name the figures of that place.
    recipe : dict
        Settings of the training run.
    """

    name: str
    version: str
    classes: tuple[str, ...] = ("road",)
    road_class: int = 0
    bands: tuple[str, ...] = ("red", "green", "blue")
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    gsd_m: float = 1.0
    gsd_range_m: tuple[float, float] | None = None
    normalize_to: tuple[float, float] | None = None
    looks: dict[str, tuple[float, float]] = field(default_factory=dict)
    stride: int = 1
    margin_px: int = 0
    local: bool = True
    threshold: float = 0.5
    tile_px: int | None = None
    input_layout: Layout = "NHWC"
    output_layout: Layout = "NHWC"
    activation: Activation = "none"
    training_data: str = ""
    licence: str = ""
    attribution: tuple[str, ...] = ()
    scores: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def reject(what: str) -> None:
            raise ModelError(f"Model card of {shown(self.name)}: {what}")

        if not self.classes or not 0 <= self.road_class < len(self.classes):
            reject(
                f"road_class is {self.road_class}, expected an index into {shown(self.classes)}."
            )
        if not len(self.bands) == len(self.mean) == len(self.std) >= 1:
            reject("bands, mean and std must have the same length, at least 1.")
        if not all(abs(m) <= _MOST_MEAN for m in self.mean):
            reject(f"mean is {shown(self.mean)}, expected numbers of at most {_MOST_MEAN:g}.")
        if not all(_STD[0] <= s <= _STD[1] for s in self.std):
            reject(f"std is {shown(self.std)}, expected numbers from {_STD[0]:g} to {_STD[1]:g}.")
        if not _GSD_M[0] <= self.gsd_m <= _GSD_M[1]:
            reject(f"gsd_m is {self.gsd_m}, expected {_GSD_M[0]:g} to {_GSD_M[1]:g} metres.")
        if self.gsd_range_m is not None and not (
            len(self.gsd_range_m) == 2
            and _GSD_M[0] <= self.gsd_range_m[0] <= self.gsd_range_m[1] <= _GSD_M[1]
        ):
            reject(
                f"gsd_range_m is {shown(self.gsd_range_m)}, expected two rising numbers from "
                f"{_GSD_M[0]:g} to {_GSD_M[1]:g} metres."
            )
        if self.normalize_to is not None and not (
            0 <= self.normalize_to[0] <= 255 and 0 < self.normalize_to[1] <= 255
        ):
            reject(
                f"normalize_to is {shown(self.normalize_to)}, expected a mean and a standard "
                "deviation, 0 to 255."
            )
        for name, ends in self.looks.items():
            if name not in LOOKS or len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
                reject(
                    f"looks has {shown(name)} with {shown(ends)}, expected one of "
                    f"{', '.join(LOOKS)} with two rising numbers."
                )
        if not 1 <= self.stride <= MOST_PX:
            reject(f"stride is {self.stride}, expected 1 to {MOST_PX} px.")
        if not 0 <= self.margin_px <= MOST_PX or self.margin_px % self.stride:
            reject(
                f"margin_px is {self.margin_px} with stride {self.stride}, "
                f"expected a multiple of the stride of at most {MOST_PX} px."
            )
        if not 0 < self.threshold < 1:
            reject(f"threshold is {self.threshold}, expected a number between 0 and 1.")
        if self.tile_px is not None and (
            self.tile_px % self.stride
            or not 2 * self.margin_px + self.stride <= self.tile_px <= MOST_PX
        ):
            reject(
                f"tile_px is {self.tile_px}, expected a multiple of the stride ({self.stride}) of "
                f"more than twice the margin ({self.margin_px}) and at most {MOST_PX} px."
            )
        for name, known in (
            ("input_layout", get_args(Layout)),
            ("output_layout", get_args(Layout)),
            ("activation", get_args(Activation)),
        ):
            if getattr(self, name) not in known:
                reject(f"{name} is {getattr(self, name)!r}, expected one of {known}.")

    @property
    def working_gsd_m(self) -> float | tuple[float, float]:
        """Pixel size to read imagery at, or the range of pixel sizes that are kept."""
        return self.gsd_m if self.gsd_range_m is None else self.gsd_range_m

    def provenance(self, fingerprint: str) -> dict[str, Any]:
        """Return the description of the model for outputs, as JSON values.

        Parameters
        ----------
        fingerprint : str
            See :attr:`roadgis.model.runtime.Segmenter.fingerprint`.
        """
        return {
            "name": self.name,
            "version": self.version,
            "sha256": fingerprint,
            "training_data": self.training_data,
            "licence": self.licence,
            "attribution": list(self.attribution),
        }

    def to_json(self) -> str:
        """Return the card as JSON text with sorted keys."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> ModelCard:
        """Read a card from JSON text.

        Parameters
        ----------
        text : str or bytes
            Written by :meth:`to_json`; bytes are UTF-8.
        where : str
            Name of the source, for error messages.

        Raises
        ------
        ModelError
            If the text is not a card, a value is of the wrong type or out of range, or values
            contradict each other.
        """
        try:
            values = parse_json(text)
        except ValueError as error:
            raise ModelError(
                f"{where}: the model card is not valid JSON ({error}). Export the model again "
                "with 'roadgis export'."
            ) from error
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            raise ModelError(
                f"{where}: found a model card of format "
                f"{shown(values.get('format') if isinstance(values, dict) else values)}, "
                f"expected {_FORMAT}. Use the roadgis that wrote it, or export the model again."
            )
        hints = get_type_hints(cls)
        unknown = sorted(set(values) - set(hints) - {"format"})
        missing = sorted({"name", "version"} - set(values))
        if unknown or missing:
            raise ModelError(
                f"{where}: the model card "
                + " and ".join(
                    f"{what} {shown(names)}"
                    for what, names in (("has unknown fields", unknown), ("lacks", missing))
                    if names
                )
                + ". Export the model again with 'roadgis export'."
            )
        arguments: dict[str, Any] = {}
        for name, value in values.items():
            if name == "format":
                continue
            try:
                arguments[name] = converted(value, hints[name])
            except ValueError as error:
                raise ModelError(
                    f"{where}: the model card is damaged: {name} {error}. Get the file again, or "
                    "export the model again with 'roadgis export'."
                ) from error
        try:
            return cls(**arguments)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error


def named_models(*provenances: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models of several provenances, for an output made from all of them.

    Parameters
    ----------
    *provenances : mapping
        Provenance of files or rasters: ``model`` is a result of :meth:`ModelCard.provenance`,
        ``models`` a list of them.

    Returns
    -------
    dict
        ``model`` for one, ``models`` for several; empty if there is none.
    """
    models: list[Any] = []
    for made_by in provenances:
        several = made_by.get("models")
        given = [made_by["model"]] if "model" in made_by else []
        models += [*given, *(several if isinstance(several, list) else [])]
    distinct = [item for place, item in enumerate(models) if item not in models[:place]]
    if len(distinct) > 1:
        return {"models": distinct}
    return {"model": distinct[0]} if distinct else {}


def card_path(model: Path) -> Path:
    """Return the path of the card of a ``.keras`` file: ``NAME.keras.json`` next to it."""
    return model.with_name(model.name + ".json")


def write_card_file(card: ModelCard, model: Path) -> Path:
    """Write the card of a ``.keras`` file next to it and return its path."""
    path = card_path(model)
    partial = path.with_name(path.name + ".part")
    partial.write_text(card.to_json() + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def read_card_file(model: Path) -> ModelCard:
    """Read the card of a ``.keras`` file.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    path = card_path(model)
    if not path.is_file():
        raise ModelError(
            f"{model}: found no model card; expected it at {path}. "
            "Train with 'roadgis train', which writes one."
        )
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model card cannot be read ({error}).") from error
    return ModelCard.from_json(text, str(path))
