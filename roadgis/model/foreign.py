"""Model cards for ONNX files without one: from a description, Deepness's metadata and test runs."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.errors import ModelError
from roadgis.model.card import ModelCard
from roadgis.model.description import deepness_description
from roadgis.model.onnx_file import (
    open_session_for_reading,
    session_card,
    session_metadata,
    write_onnx_card,
)
from roadgis.model.probe import Answer, Signature, find_activation, read_signature, try_out
from roadgis.options.model import ModelDescription

logger = logging.getLogger(__name__)

_ROAD_NOUNS = ("road", "roadway", "street", "highway", "motorway")
_ROAD_WORDS = frozenset([*_ROAD_NOUNS, *(f"{noun}s" for noun in _ROAD_NOUNS)])
# The second class of a road model is often called "not_road".
_NEGATIONS = frozenset(["no", "non", "not", "without"])
_OTHER_WORDS = _NEGATIONS | {"background", "other", "others", "nothing", "none", "void", "rest"}
#: Tile size for the default margin, and the margin's share of it.
_USUAL_TILE_PX = 512
_MARGIN_SHARE = 8
_BANDS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "nir")}


def find_card(session: Any, path: Path, description: ModelDescription | None = None) -> ModelCard:
    """Return the card of an open ONNX file: its own, or one made for it.

    Raises
    ------
    ModelError
        See :func:`foreign_card`; or if a file with a card is described.
    """
    card = session_card(session, path)
    if card is None:
        return foreign_card(session, path, description)
    reject_description(path, description)
    return card


def reject_description(path: Path, description: ModelDescription | None) -> None:
    """Raise :class:`ModelError` if a model with a card is described."""
    if description is not None and description.given:
        raise ModelError(
            f"{path}: this model has a card, but was also described "
            f"({', '.join(description.given)}). Leave the --model-... options out."
        )


def adopt(
    source: Path,
    output: Path,
    description: ModelDescription | None = None,
    *,
    licence: str | None = None,
    attribution: tuple[str, ...] = (),
) -> ModelCard:
    """Copy an ONNX file of another program and add a model card.

    Parameters
    ----------
    source : Path
        An ONNX file without a card.
    output : Path
        The ``.onnx`` file to write; may be `source`.
    description : ModelDescription, optional
        Values that are not in its metadata.
    licence : str, optional
        Licence of the model. Default: that in its metadata.
    attribution : tuple of str
        Credits, one sentence for each source. Default: the author in its metadata.

    Raises
    ------
    ModelError
        If it has a card, or cannot be used; see :func:`foreign_card`.
    MissingExtraError
        If ``onnx`` is not installed.
    OutputError
        If the output cannot be written.
    """
    session = open_session_for_reading(source)
    if session_card(session, source) is not None:
        raise ModelError(
            f"{source}: this model has a card; 'roadgis model info' shows it. Adopt the file that "
            "it was made from."
        )
    card = foreign_card(session, source, description)
    card = dataclasses.replace(
        card,
        licence=card.licence if licence is None else licence,
        attribution=attribution or card.attribution,
    )
    write_onnx_card(source, card, output)
    return card


def foreign_card(
    session: Any, path: Path, description: ModelDescription | None = None
) -> ModelCard:
    """Make a card for an ONNX file without one.

    The model is run on one or two test images, and the decisions are logged. The model counts as
    not local, because its receptive field is unknown.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of the file.
    path : Path
        The file; the card is named after it.
    description : ModelDescription, optional
        Overrides the file's metadata.

    Raises
    ------
    ModelError
        If too little is known; the message lists the missing options. Or if the file is not a
        segmentation model, or does not match its description.
    """
    metadata = session_metadata(session)
    deepness = deepness_description(metadata, path)
    given = (description or ModelDescription()).over(deepness or ModelDescription())
    missing: list[str] = []
    if given.gsd_m is None:
        missing.append("--model-gsd (pixel size of its training data, in metres)")
    signature = read_signature(session, path, given.layout)
    if signature.layout is None:
        shape = session.get_inputs()[0].shape
        missing.append(f"--model-layout (nchw or nhwc; its input has the shape {shape})")
        raise _too_little(path, missing)
    tile_px = _tile_side(path, given, signature)
    card = _input_card(path, given, signature)
    answer = try_out(session, path, signature, card, tile_px)
    classes, road = _classes(path, given, answer, missing)
    if missing:
        raise _too_little(path, missing)
    activation, reason = (
        (given.activation, "given")
        if given.activation is not None
        else find_activation(path, answer)
    )
    card = dataclasses.replace(
        card,
        classes=classes,
        road_class=road,
        gsd_m=given.gsd_m or card.gsd_m,
        stride=answer.stride,
        margin_px=_margin(given, tile_px, answer.stride),
        threshold=0.5 if given.threshold is None else given.threshold,
        tile_px=tile_px,
        output_layout=answer.layout,
        activation=activation,
        **_terms(metadata),
    )
    is_scaled = deepness is not None or given.mean is not None or given.std is not None
    if not is_scaled and signature.dtype != np.uint8:
        logger.warning(
            "%s: the scaling of its input is unknown; values from 0 to %d are used. See "
            "--model-mean and --model-std",
            path.name, 255 if given.value_range == "byte" else 1,
        )  # fmt: skip
    _log_decisions(path, card, reason)
    return card


def _terms(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return licence and attribution from the standard metadata of ONNX."""
    author = metadata.get("model_author", "").strip()
    return {
        "licence": metadata.get("model_license", "").strip(),
        "attribution": (f"Model by {author}.",) if author else (),
    }


def _too_little(path: Path, missing: list[str]) -> ModelError:
    return ModelError(
        f"{path}: found no model card, and too little is known to run the model. Missing: "
        f"{'; '.join(missing)}. Give these options with every run, or once to 'roadgis model "
        "adopt', which writes them into the file; 'roadgis export' makes files with a card."
    )


def _log_decisions(path: Path, card: ModelCard, reason: str) -> None:
    applied = "nothing" if card.activation == "none" else card.activation
    tiles = (
        f"tiles of {card.tile_px} px"
        if card.tile_px
        else f"tiles of any multiple of {card.stride} px"
    )
    logger.info(
        "%s has no card: input %s, output %s; activation %s (%s); road is class %d of %s; "
        "%s with a margin of %d px; %.4g m a pixel",
        path.name, card.input_layout, card.output_layout, applied, reason, card.road_class,
        ", ".join(card.classes), tiles, card.margin_px, card.gsd_m,
    )  # fmt: skip


def _tile_side(path: Path, given: ModelDescription, signature: Signature) -> int | None:
    if given.tile_px is None or signature.tile_px in (None, given.tile_px):
        return signature.tile_px or given.tile_px
    raise ModelError(
        f"{path}: the model takes only tiles of {signature.tile_px} px, but was described with "
        f"tiles of {given.tile_px} px. Leave --model-tile-px out, or make it {signature.tile_px}."
    )


def _input_card(path: Path, given: ModelDescription, signature: Signature) -> ModelCard:
    """Return a card with scaling and layout of the input."""
    bands = signature.bands
    byte = given.value_range == "byte" or signature.dtype == np.uint8
    unit = 255.0 if byte else 1.0
    mean, std = given.mean or (0.0,) * bands, given.std or (1.0,) * bands
    if not len(mean) == len(std) == bands:
        raise ModelError(
            f"{path}: the model takes {bands} bands; found {len(mean)} values of mean and "
            f"{len(std)} of standard deviation. Give one value per band to --model-mean and "
            "--model-std."
        )
    if signature.dtype == np.uint8 and (given.mean or given.std):
        raise ModelError(
            f"{path}: the model takes bytes, which it scales itself; mean and standard "
            "deviation cannot be applied. Leave --model-mean and --model-std out."
        )
    assert signature.layout is not None
    return ModelCard(
        name=path.stem,
        version="unknown",
        bands=_BANDS.get(bands, tuple(f"band {number}" for number in range(1, bands + 1))),
        mean=tuple(value / unit for value in mean),
        std=tuple(value / unit for value in std),
        local=False,
        input_layout=signature.layout,
    )


def _margin(given: ModelDescription, tile_px: int | None, stride: int) -> int:
    tile = tile_px or _USUAL_TILE_PX
    if given.margin_px is not None:
        wanted = float(given.margin_px)
    elif given.overlap_percent is not None:
        wanted = tile * given.overlap_percent / 200
    else:
        wanted = tile / _MARGIN_SHARE
    return int(-(-wanted // stride)) * stride


def _classes(
    path: Path, given: ModelDescription, answer: Answer, missing: list[str]
) -> tuple[tuple[str, ...], int]:
    """Return the class names and the index of road; add missing options to `missing`."""
    names = given.classes
    if answer.is_class_map:
        if names is None:
            missing.append("--model-classes (names in the order of the class numbers)")
            return ("road",), 0
        names = ("background", *names) if len(names) == 1 else names
        return names, _road(path, given, names)
    channels = answer.channels
    if names is None and channels == 1:
        return ("road",), 0
    if names is None:
        if given.road is None or not given.road.isdigit():
            missing.append(
                f"--model-classes (names of the {channels} channels of its output), or "
                f"--model-road (the number of the road channel, 0 to {channels - 1})"
            )
            return ("road",), 0
        names = tuple(f"class {number}" for number in range(channels))
    elif channels == 1 and len(names) == 2:
        # With two classes and one channel, the channel is the probability of the second.
        _second_is_road(path, given, names)
        return names[1:], 0
    elif len(names) == channels - 1 and not any(_words(name) & _OTHER_WORDS for name in names):
        names = ("background", *names)
    if len(names) != channels:
        raise ModelError(
            f"{path}: found {channels} channels in its output and {len(names)} names of classes "
            f"({', '.join(names)}). Name one class per channel with --model-classes."
        )
    return names, _road(path, given, names)


def _second_is_road(path: Path, given: ModelDescription, names: tuple[str, ...]) -> None:
    if _road(path, given, names) != 1:
        raise ModelError(
            f"{path}: its output has one channel, which counts as the second of its two classes, "
            f"{names[1]!r}, but road is {names[0]!r}. Name the class of the channel with "
            "--model-classes."
        )


def _road(path: Path, given: ModelDescription, names: tuple[str, ...]) -> int:
    if given.road is not None:
        wanted = given.road.strip().lower()
        found = [index for index, name in enumerate(names) if name.strip().lower() == wanted]
        if not found and wanted.isdigit() and int(wanted) < len(names):
            found = [int(wanted)]
    else:
        found = [
            index
            for index, name in enumerate(names)
            if (words := _words(name)) & _ROAD_WORDS and not words & _NEGATIONS
        ]
    if len(found) == 1:
        return found[0]
    what = "no class" if not found else f"{len(found)} classes"
    whose = "of that name" if given.road is not None else "with a name for roads"
    raise ModelError(
        f"{path}: found {what} {whose} among {', '.join(names)}; expected one. Name it with "
        "--model-road."
    )


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", name.lower()))
