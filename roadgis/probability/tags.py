"""What a probability raster of roadgis says of itself in its metadata tags."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from roadgis.plain_values import parse_json, shown
from roadgis.probability.mosaic import PROBABILITY_TAG

_LOG = logging.getLogger(__name__)

#: What made the raster, as a JSON object.
PROVENANCE_TAG = "ROADGIS_PROVENANCE"


def stored_divisor(tags: Mapping[str, str], name: str) -> float | None:
    """Return what stored values are divided by; None where no tag says so.

    Parameters
    ----------
    tags : mapping of str to str
        The raster's metadata.
    name : str
        The raster, for messages. A damaged tag is logged and ignored.
    """
    text = tags.get(PROBABILITY_TAG)
    if text is None:
        return None
    try:
        divisor = float(text)
    except ValueError:
        divisor = math.nan
    if 0 < divisor < math.inf:
        return divisor
    _LOG.warning(
        "%s: the tag %s is %s, expected the number that means probability 1. It is ignored: "
        "the scale is taken from the values.", name, PROBABILITY_TAG, shown(text),
    )  # fmt: skip
    return None


def stored_provenance(tags: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return what made a raster, with a `threshold` between 0 and 1 if any; empty when not said.

    Parameters
    ----------
    tags : mapping of str to str
        The raster's metadata.
    name : str
        The raster, for messages. A damaged tag, or threshold, is logged and ignored.
    """
    try:
        values = parse_json(tags.get(PROVENANCE_TAG, "{}"))
        # Also what JSON does not know (NaN, infinity), which no output could hold.
        json.dumps(values, allow_nan=False)
        if not isinstance(values, dict):
            raise ValueError(f"it holds {shown(values)}")
    except ValueError as error:
        _LOG.warning(
            "%s: the tag %s is damaged (%s), expected a JSON object. It is ignored; the output "
            "will not say which model made the probability.", name, PROVENANCE_TAG, error,
        )  # fmt: skip
        return {}
    threshold = values.get("threshold", 0.5)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not (
        0 < threshold < 1
    ):  # fmt: skip
        _LOG.warning(
            "%s: the threshold in the tag %s is %s, expected a number between 0 and 1. 0.5 is "
            "used.", name, PROVENANCE_TAG, shown(threshold),
        )  # fmt: skip
        del values["threshold"]
    return values
