"""Which crops a run trains on: random ones of its scenes, or of several data sets."""

from __future__ import annotations

from roadgis.train.data.mixed_sampling import MixedSampler
from roadgis.train.data.normalized import normalized
from roadgis.train.data.sampling import Augment, CropSampler, CropSource
from roadgis.train.data.training_data import TrainingData, class_names
from roadgis.train.settings import TrainSettings

__all__ = ["crop_source"]


def crop_source(
    settings: TrainSettings,
    data: TrainingData,
    normalize_to: tuple[float, float] | None,
    augment: Augment | None,
) -> CropSource:
    """Return what draws the crops of a run.

    Parameters
    ----------
    settings : TrainSettings
        Of the run.
    data : TrainingData
        Opened by these settings.
    normalize_to : tuple of two floats, or None
        See :class:`roadgis.model.card.ModelCard`.
    augment : Augment or None
        Changes crops.
    """
    chosen, seed = settings.data, settings.optimization.seed
    if data.sets:
        return MixedSampler(
            data.sets,
            crop_px=chosen.crop_px,
            seed=seed,
            road_share=chosen.road_share,
            normalize_to=normalize_to,
            augment=augment,
        )
    names, road = class_names(chosen)
    return CropSampler(
        normalized(data.training, normalize_to),
        crop_px=chosen.crop_px,
        seed=seed,
        road_share=chosen.road_share,
        road_class=road if len(names) > 1 else 1,
        augment=augment,
        survey=data.survey,
    )
