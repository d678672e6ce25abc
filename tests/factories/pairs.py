"""Labelled scenes made in code: in memory, and as pairs of image and mask files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.factories.rasters import write_image


class ArrayScene:
    """A labelled scene in memory that counts its reads."""

    def __init__(self, name: str, image: Any, labels: Any) -> None:
        self.name, self.fingerprint = name, name
        self.image, self.labels = np.asarray(image, np.uint8), np.asarray(labels, np.uint8)
        self.height, self.width = self.labels.shape
        self.reads = 0

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Any, Any]:
        """Return a window of image and labels."""
        assert 0 <= row <= row + height <= self.height
        assert 0 <= col <= col + width <= self.width
        self.reads += 1
        part = np.s_[row : row + height, col : col + width]
        return self.image[part].copy(), self.labels[part].copy()

    def read_labels(self, row: int, col: int, height: int, width: int) -> Any:
        """Return a window of the labels."""
        return self.labels[row : row + height, col : col + width].copy()


def write_scene(folder: Path, stem: str, scene: ArrayScene, **options: Any) -> Path:
    """Write a scene as image and mask of one name, and return the folder."""
    write_image(folder / "images" / f"{stem}.tif", np.moveaxis(scene.image, -1, 0), **options)
    write_image(folder / "masks" / f"{stem}.tif", scene.labels[None], **options)
    return folder


def write_road_pair(folder: Path, stem: str, side: int = 80, seed: int = 0) -> tuple[Path, Path]:
    """Write a noisy image with a bright level road across it, and its mask."""
    rng = np.random.default_rng(seed)
    image = rng.integers(10, 120, (3, side, side)).astype(np.uint8)
    road = np.zeros((1, side, side), np.uint8)
    road[:, side // 2 - 4 : side // 2 + 4] = 1
    image += 100 * road
    return (
        write_image(folder / "images" / f"{stem}.tif", image),
        write_image(folder / "masks" / f"{stem}.tif", road),
    )


def write_class_pair(folder: Path, stem: str, side: int = 80, seed: int = 0) -> tuple[Path, Path]:
    """Write an image of three flat colours with noise, and its mask of classes 0, 1, 2."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((1, side, side), np.uint8)
    labels[:, side // 3 : 2 * side // 3] = 1
    labels[:, 2 * side // 3 :] = 2
    colours = np.array([[40, 60, 200], [40, 200, 60], [200, 40, 60]], np.uint8)
    image = colours[:, labels[0]] + rng.integers(0, 30, (3, side, side)).astype(np.uint8)
    return (
        write_image(folder / "images" / f"{stem}.png", image),
        write_image(folder / "masks" / f"{stem}.png", labels),
    )
