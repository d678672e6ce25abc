"""Describe a model as a STAC Item with the Machine Learning Model (MLM) extension."""

from __future__ import annotations

import re
from typing import Any

from roadgis.model.card import ModelCard

_EXTENSIONS = (
    "https://stac-extensions.github.io/mlm/v1.5.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
#: Multihash prefix: the code of SHA-256 and its length in bytes.
_SHA256_PREFIX = "1220"
#: Values of imagery of 8 bits; the mean and standard deviation of a card are for values of 0 to 1.
_WHITE = 255


def model_item(
    card: ModelCard, href: str, *, sha256: str | None = None, size: int | None = None
) -> dict[str, Any]:
    """Describe a model as a STAC 1.1 Item with the MLM extension.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    href : str
        Path or URL of the model file.
    sha256 : str, optional
        SHA-256 of the model file, hexadecimal.
    size : int, optional
        Size of the model file, bytes.

    Returns
    -------
    dict
        JSON values. The Item covers the whole Earth at any time, as the card does not say where
        the model works.
    """
    framework = "Keras" if href.lower().endswith(".keras") else "ONNX"
    asset = {
        "href": href,
        "title": f"{card.name} {card.version}",
        "type": f"application/octet-stream; application={framework.lower()}",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": framework.lower(),
        # Here and in the properties: STAC allows them there only if an asset has them, MLM asks
        # for them there.
        "bands": _bands(card),
        **({} if sha256 is None else {"file:checksum": _SHA256_PREFIX + sha256}),
        **({} if size is None else {"file:size": size}),
    }
    ring = [[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0], [-180.0, -90.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": _plain(f"{card.name}-{card.version}"),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [-180.0, -90.0, 180.0, 90.0],
        "properties": _properties(card, framework),
        "links": [],
        "assets": {"model": asset},
    }


def _properties(card: ModelCard, framework: str) -> dict[str, Any]:
    road = card.classes[card.road_class]
    network = card.recipe.get("network")
    named = network.get("architecture") if isinstance(network, dict) else None
    training = f" Training data: {card.training_data}." if card.training_data else ""
    return {
        "title": f"{card.name} {card.version}",
        "description": f"Segments {road} in {', '.join(card.bands)} imagery.{training}",
        "datetime": None,
        "start_datetime": "1900-01-01T00:00:00Z",
        "end_datetime": "9999-12-31T23:59:59Z",
        "license": _licence(card.licence),
        "attribution": " ".join(card.attribution),
        "bands": _bands(card),
        "mlm:name": _plain(card.name),
        "mlm:architecture": named if isinstance(named, str) else "unknown",
        "mlm:framework": framework,
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:pretrained": True,
        "mlm:accelerator": None,
        "mlm:accelerator_constrained": False,
        "mlm:hyperparameters": {
            "version": card.version,
            "gsd_m": card.gsd_m,
            "gsd_range_m": None if card.gsd_range_m is None else list(card.gsd_range_m),
            "threshold": card.threshold,
            "stride_px": card.stride,
            "margin_px": card.margin_px,
            "local": card.local,
        },
        "mlm:input": [_input(card)],
        "mlm:output": [_output(card)],
    }


def _bands(card: ModelCard) -> list[dict[str, str]]:
    return [{"name": band} for band in card.bands]


def _input(card: ModelCard) -> dict[str, Any]:
    side = card.tile_px or -1
    normalized = None if card.normalize_to is None else list(card.normalize_to)
    return {
        "name": "imagery",
        "bands": list(card.bands),
        "input": _structure(card.input_layout, "bands", len(card.bands), side),
        "value_scaling": [
            {"type": "z-score", "mean": mean * _WHITE, "stddev": std * _WHITE}
            for mean, std in zip(card.mean, card.std, strict=True)
        ],
        "resize_type": None,
        "pre_processing_function": {
            "format": "roadgis",
            "expression": {"gsd_m": card.working_gsd_m, "normalize_to": normalized},
        },
    }


def _output(card: ModelCard) -> dict[str, Any]:
    return {
        "name": "probability",
        "tasks": ["semantic-segmentation"],
        "result": _structure(card.output_layout, "class", len(card.classes), -1),
        "classification:classes": [
            {"value": number, "name": re.sub(r"[^0-9A-Za-z_-]", "-", name), "description": name}
            for number, name in enumerate(card.classes)
        ],
        "post_processing_function": {
            "format": "roadgis",
            "expression": {"activation": card.activation, "road_class": card.road_class},
        },
    }


def _structure(layout: str, channel: str, count: int, side: int) -> dict[str, Any]:
    axes = {"N": ("batch", -1), "H": ("height", side), "W": ("width", side), "C": (channel, count)}
    return {
        "shape": [axes[axis][1] for axis in layout],
        "dim_order": [axes[axis][0] for axis in layout],
        "data_type": "float32",
    }


def _licence(text: str) -> str:
    """Return a licence as an SPDX identifier, or ``other``."""
    name = text.strip().replace(" ", "-")
    return name if re.fullmatch(r"[A-Za-z0-9.+-]{1,40}", name) else "other"


def _plain(name: str) -> str:
    """Return a name that the MLM extension allows: it starts with a letter."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip("_.-")
    return plain if re.match(r"[A-Za-z]..", plain) else f"model-{plain}"
