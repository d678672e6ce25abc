"""Small training data on disk, made in code."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning


def write_raster(path: Path, bands: npt.NDArray[np.uint8]) -> Path:
    """Write (B, H, W) as TIFF or PNG without a position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    driver = "PNG" if path.suffix == ".png" else "GTiff"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver=driver, count=count, height=height, width=width, dtype="uint8"
        ) as dataset:
            dataset.write(bands)
    return path


def write_road_pair(folder: Path, stem: str, side: int = 80, seed: int = 0) -> tuple[Path, Path]:
    """Write a noisy image with a bright level road across it, and its mask."""
    rng = np.random.default_rng(seed)
    image = rng.integers(10, 120, (3, side, side)).astype(np.uint8)
    road = np.zeros((1, side, side), np.uint8)
    road[:, side // 2 - 4 : side // 2 + 4] = 1
    image += 100 * road
    return (
        write_raster(folder / "images" / f"{stem}.tif", image),
        write_raster(folder / "masks" / f"{stem}.tif", road),
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
        write_raster(folder / "images" / f"{stem}.png", image),
        write_raster(folder / "masks" / f"{stem}.png", labels),
    )
