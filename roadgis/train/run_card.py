"""The model card of a training run: scaling, geometry, range of imagery, sources and licence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.imagery.values.look import measure_look
from roadgis.model.card import LOOKS, ModelCard, card_path, read_card_file
from roadgis.model.catalog import read_card
from roadgis.options.training import NetworkSettings, TrainSettings
from roadgis.train.architectures import fixed_tile, model_stride, receptive_margin
from roadgis.train.architectures.efficientnet_lite import IMAGENET_MEAN, IMAGENET_STD
from roadgis.train.data.derived_scenes import resample
from roadgis.train.data.labelled_scene import FILL, IGNORE
from roadgis.train.data.open_data_set import OpenDataSet
from roadgis.train.data.training_data import output_classes
from roadgis.train.settings import settings_to_dict

# Input scaling of a new model: the mean is near that of aerial imagery.
_MEAN, _STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
# Percentiles over the scenes, so that outliers do not widen the range.
_PERCENTILES = (1.0, 99.0)
# Augmentation shows the model brighter, darker, blurred and sharper scenes.
_BEYOND = 1.25


def run_card(
    settings: TrainSettings, sets: Sequence[OpenDataSet], model: Any, start: ModelCard | None
) -> ModelCard:
    """Return the card of a run's model, given in float32.

    Parameters
    ----------
    start : ModelCard or None
        Card of the model that the run starts from.
    """
    stride = model_stride(model)
    tile = fixed_tile(model)
    margin = receptive_margin(model, stride) if tile is None else None
    unbounded = 8 * stride if tile is None else tile // 8 // stride * stride
    card, data = settings.card, settings.data
    names, road = output_classes(data)
    pretrained = _has_packaged_weights(settings.network)
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if pretrained else (_MEAN, _STD)
    normalize_to = data.normalize_to or (start.normalize_to if start else None)
    return ModelCard(
        name=card.name,
        version=card.version,
        classes=names,
        road_class=road,
        mean=start.mean if start else mean,
        std=start.std if start else std,
        gsd_m=data.gsd_m,
        gsd_range_m=_gsd_range(sets) or data.gsd_range_m,
        normalize_to=normalize_to,
        looks=training_looks(sets) if normalize_to else {},
        stride=stride,
        margin_px=margin if margin is not None else unbounded,
        local=margin is not None,
        tile_px=tile,
        recipe=_recipe(settings, start),
        **sources_and_terms(settings, start),
    )


def _recipe(settings: TrainSettings, start: ModelCard | None) -> dict[str, Any]:
    """Return the settings of a run; the network's are those of the model it starts from."""
    recipe = settings_to_dict(settings, paths=False)
    if start is not None:
        own = {key: recipe["network"][key] for key in ("init", "frozen_epochs")}
        recipe["network"] = {**start.recipe.get("network", {}), **own}
    return recipe


def _gsd_range(sets: Sequence[OpenDataSet]) -> tuple[float, float] | None:
    """Return the range of pixel sizes of a model trained on several data sets."""
    trained = [data for data in sets if data.settings.share]
    ranges = [data.settings.crop_gsd_m or data.gsd_m for data in trained]
    if not ranges:
        return None
    return min(map(min, ranges)), max(map(max, ranges))


def training_looks(sets: Sequence[OpenDataSet]) -> dict[str, tuple[float, float]]:
    """Return the range of each figure of :class:`roadgis.imagery.values.look.Look` in data sets.

    Returns
    -------
    dict of str to tuple of two floats
        First and last percentile of the scenes, widened by a quarter; empty without scenes.
    """
    found = []
    for data in sets:
        for scene, gsd in zip(data.training, data.gsd_m, strict=True):
            if not data.settings.share:
                continue
            seen = resample(scene, gsd / data.settings.nearest_gsd_m(gsd))
            image, labels = seen.read(0, 0, seen.height, seen.width)
            look = measure_look([(image, (labels != IGNORE) | (image != FILL).any(axis=2))])
            if look is not None:
                found.append([getattr(look, name) for name in LOOKS])
    if not found:
        return {}
    low, high = np.percentile(found, _PERCENTILES, axis=0)
    low[LOOKS.index("saturation")] = 0.0  # augmentation makes grey crops
    return {
        name: (round(float(low[i]) / _BEYOND, 3), round(float(high[i]) * _BEYOND, 3))
        for i, name in enumerate(LOOKS)
    }


def sources_and_terms(settings: TrainSettings, start: ModelCard | None) -> dict[str, Any]:
    """Return the fields `training_data`, `licence` and `attribution` of a run's model card.

    Defaults come from the data and from the models that the weights come from, whose licence also
    applies to the result.

    Parameters
    ----------
    start : ModelCard or None
        Card of the starting model.

    Raises
    ------
    ModelError
        If the card of a teacher cannot be read.
    """
    card, network = settings.card, settings.network
    origins = [start] if start else _encoder_origin(network)
    teachers = {item.teacher: None for item in settings.data.sets if item.teacher}
    attribution = [
        *card.attribution,
        *(
            sentence
            for origin in [*origins, *(read_card(teacher) for teacher in teachers)]
            for sentence in origin.attribution
        ),
    ]
    if start is None and _has_packaged_weights(network):
        attribution.append(
            f"Trained from the ImageNet weights of EfficientNet-Lite{network.backbone[-1]} "
            "(Apache-2.0)."
        )
    licences = dict.fromkeys(origin.licence for origin in origins if origin.licence)
    return {
        "training_data": card.training_data or _data_in_words(settings, origins),
        "licence": card.licence or "; ".join(licences),
        "attribution": tuple(dict.fromkeys(attribution)),
    }


def _has_packaged_weights(network: NetworkSettings) -> bool:
    """Return whether a new model starts from the ImageNet weights of a package."""
    return network.encoder_weights == "imagenet" and network.backbone.startswith("efficientnetlite")


def _encoder_origin(network: NetworkSettings) -> list[ModelCard]:
    """Return the card of the roadgis model that a new model's encoder comes from, if any."""
    if network.encoder_weights is None:
        return []
    path = Path(network.encoder_weights)
    return [read_card_file(path)] if card_path(path).is_file() else []


def _data_in_words(settings: TrainSettings, origins: list[ModelCard]) -> str:
    data = settings.data
    folders = [folder for item in data.sets for folder in item.folders]
    sources = [*data.folders, *folders, *data.images, *([data.roads] if data.roads else [])]
    names = ", ".join(path.name for path in sources)
    before = [
        f"before that, as {origin.name} {origin.version}: {origin.training_data or 'not stated'}"
        for origin in origins
    ]
    return "; ".join([names, *before])
