"""Augmentation: the list of what is done to a training crop, in one place."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.errors import MissingExtraError
from roadgis.train.dataset import FILL

__all__ = ["aerial_augmentation"]


def _transforms() -> Any:
    # albumentations asks the network for a newer version when imported, unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations as A
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            f"Training needs albumentations, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    cv2.setNumThreads(1)  # the network has the cores
    return A.Compose(
        [
            # Imagery from above has no up: the eight symmetries are all as likely.
            A.D4(p=1.0),
            # Other sensors and rounding of the GSD; what comes in from outside is invalid.
            A.Affine(scale=(0.8, 1.25), rotate=(-45, 45), fill=FILL, fill_mask=0, p=0.3),
            # Season, sun, film and processing of the imagery.
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.25, p=0.6),
            A.HueSaturationValue(hue_shift_limit=12, sat_shift_limit=30, val_shift_limit=0, p=0.4),
            A.RandomGamma(gamma_limit=(75, 135), p=0.3),
            # Panchromatic imagery.
            A.ToGray(p=0.05),
        ]
    )


def aerial_augmentation() -> Any:
    """Return the augmentation for aerial imagery.

    Returns
    -------
    callable
        Takes image (H, W, 3) uint8, labels (H, W, 2) uint8 and a ``numpy.random.Generator``;
        returns both, transformed alike. The result depends on the generator's state alone.
    """
    transforms = _transforms()

    def augment(
        image: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        transforms.set_random_seed(int(rng.integers(2**31)))
        result = transforms(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(labels))
        return result["image"], result["mask"]

    return augment
