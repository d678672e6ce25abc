"""Writing drawn scenes: a folder of images and masks for training, or one scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.features import rasterize

from roadgis.atomic import atomic_path, check_target, describe_failure, make_folder
from roadgis.errors import InputError, OutputError
from roadgis.progress import Progress, no_progress
from roadgis.synthetic.noise import generator
from roadgis.synthetic.varied.scene import IGNORE, VariedScene

__all__ = ["TrainingSetOptions", "write_training_set"]

_CRS = "EPSG:32619"
_CORNER = (300_000.0, 4_700_000.0)
#: Distance of the scenes' corners, metres: they do not overlap on a map.
_SPACING_M = 5_000.0


@dataclass(frozen=True)
class TrainingSetOptions:
    """Options of :func:`write_training_set`.

    Attributes
    ----------
    scenes : int
        Number of scenes.
    first : int
        Number of the first scene; a set can be written in parts.
    size_px : int
        Side of the scenes, pixels.
    gsd_m : tuple of float
        Smallest and largest pixel size, metres; each scene draws its own.
    seed : int
        Chooses the scenes; the same options give the same files.
    line_width_m : float, optional
        Draw roads in the masks with this width along their centrelines. Default: as wide as
        they are in the image.
    """

    scenes: int = 200
    first: int = 0
    size_px: int = 512
    gsd_m: tuple[float, float] = (0.3, 1.2)
    seed: int = 1
    line_width_m: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        low, high = self.gsd_m
        ranges: list[tuple[str, float, float, float]] = [
            ("scenes", self.scenes, 1, 1_000_000),
            ("first", self.first, 0, 2**31),
            ("size_px", self.size_px, 64, 2048),
            ("gsd_m", low, 0.1, 4.0),
            ("gsd_m", high, low, 4.0),
            ("seed", self.seed, 0, 2**63 - 1),
            ("line_width_m", self.line_width_m or 1.0, 0.1, 50),
        ]
        for name, value, least, most in ranges:
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError(
                    f"The option {name} is {value}; it must be between {least} and {most}."
                )


def write_training_set(
    options: TrainingSetOptions,
    folder: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write drawn scenes as ``images`` and ``masks``, the layout that training reads.

    Parameters
    ----------
    options : TrainingSetOptions
        How many, how large, which.
    folder : Path or str
        Made if missing.
    overwrite : bool
        Replace files that exist.
    progress : Progress
        Called after each scene.

    Raises
    ------
    OutputError
        If a file exists and `overwrite` is not set, or if a file cannot be written.
    Cancelled
        If `progress` raises it; complete scenes stay.
    """
    folder = Path(folder)
    for name in ("images", "masks"):
        make_folder(folder / name)
    numbers = range(options.first, options.first + options.scenes)
    for number in numbers:
        for name in ("images", "masks"):
            check_target(folder / name / f"{number:06d}.tif", overwrite=overwrite)
    for number in numbers:
        _write_scene(options, number, folder, overwrite=overwrite)
        progress((number - options.first + 1) / options.scenes, f"scene {number} written")


def _write_scene(
    options: TrainingSetOptions, number: int, folder: Path, *, overwrite: bool
) -> None:
    random = generator(options.seed, 0, number)
    low, high = options.gsd_m
    gsd = round(math.exp(random.uniform(math.log(low), math.log(high))), 3)
    quality = int(random.choice([50, 70, 80, 90, 95]))
    scene = VariedScene(options.size_px, gsd, options.seed, number)
    corner = (_CORNER[0] + _SPACING_M * number, _CORNER[1])
    packing = {"compress": "jpeg", "jpeg_quality": quality, "photometric": "ycbcr"}
    name = f"{number:06d}.tif"
    # The mask first: an image never lies there without its mask.
    mask = scene.mask if options.line_width_m is None else _lines(scene, options.line_width_m)
    _write(folder / "masks" / name, mask[None], gsd, corner, {"compress": "deflate"}, overwrite)
    image = np.moveaxis(scene.image, 2, 0)
    _write(folder / "images" / name, image, gsd, corner, packing, overwrite)


def _lines(scene: VariedScene, width_m: float) -> npt.NDArray[np.uint8]:
    """Return the mask with all roads drawn in one width; road beside that is unknown."""
    lines = [(street.line.buffer(width_m / 2), 1) for street in scene.streets]
    step = scene.gsd_m
    shape = (scene.size_px, scene.size_px)
    mask = scene.mask
    mask[mask == 1] = IGNORE
    if lines:
        burnt = rasterize(lines, shape, transform=Affine(step, 0, 0, 0, step, 0), dtype="uint8")
        mask[burnt > 0] = 1
    return mask


def _write(
    path: Path,
    bands: npt.NDArray[np.uint8],
    gsd_m: float,
    corner: tuple[float, float],
    packing: dict[str, object],
    overwrite: bool,
) -> None:
    count, height, width = bands.shape
    with atomic_path(path, overwrite=overwrite) as partial:
        try:
            with rasterio.open(
                partial,
                "w",
                driver="GTiff",
                width=width,
                height=height,
                count=count,
                dtype="uint8",
                crs=_CRS,
                transform=Affine(gsd_m, 0, corner[0], 0, -gsd_m, corner[1]),
                tiled=True,
                blockxsize=256,
                blockysize=256,
                **packing,
            ) as target:
                target.write(bands)
        except RasterioError as error:
            raise OutputError(describe_failure(path, error)) from error
