"""Writing drawn scenes as a folder of images and masks for training."""

from __future__ import annotations

import math
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from roadgis.atomic import atomic_path, check_target, describe_failure, make_folder
from roadgis.errors import OutputError
from roadgis.options.synthetic import TrainingSetOptions, VariedOptions
from roadgis.progress import Progress, no_progress
from roadgis.synthetic.noise import generator
from roadgis.synthetic.varied import VariedScene
from roadgis.synthetic.write import write_town

_FOLDERS = ("images", "masks")
#: Distance of the scenes' corners, metres: they lie in a row on a map.
_SPACING_M = 5_000.0
_COLUMNS = 100


def write_training_set(
    options: TrainingSetOptions,
    folder: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write drawn scenes as ``images`` and ``masks``, a layout for training.

    Masks hold 1 on roads, 255 where labels differ (drives, aisles of car parks, faint tracks) and 0
    elsewhere.

    Parameters
    ----------
    folder : Path or str
        Created if missing.
    progress : Progress
        Progress callback, called after each scene.

    Raises
    ------
    OutputError
        If a file exists and `overwrite` is not set, or if a file cannot be written.
    Cancelled
        If `progress` raises it; finished scenes are kept.
    """
    folder = Path(folder)
    numbers = range(options.first, options.first + options.scenes)
    for name in _FOLDERS:
        for number in numbers:
            check_target(_path(folder, name, number), overwrite=overwrite)
    for name in _FOLDERS:
        make_folder(folder / name)
    for done, number in enumerate(numbers):
        progress(done / options.scenes, "drawing scenes")
        scene = VariedScene(_scene_options(options, number))
        # The mask first: there is no image without a mask.
        _write_mask(scene, options, _path(folder, "masks", number), overwrite)
        write_town(scene, _path(folder, "images", number), overwrite=overwrite)
    progress(1.0, f"{options.scenes} scenes written")


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / name / f"{number:06d}.tif"


def _scene_options(options: TrainingSetOptions, number: int) -> VariedOptions:
    """Draw pixel size, compression and position of a scene."""
    random = generator(options.seed, 0, number)
    low, high = math.log(options.min_gsd_m), math.log(options.max_gsd_m)
    place = VariedOptions()
    return VariedOptions(
        size_px=options.size_px,
        gsd_m=min(max(round(math.exp(random.uniform(low, high)), 3), 0.1), 4.0),
        seed=options.seed,
        number=number,
        x0=place.x0 + _SPACING_M * (number % _COLUMNS),
        y0=place.y0 - _SPACING_M * (number // _COLUMNS),
        jpeg_quality=int(random.choice([50, 65, 75, 85, 90, 95])),
    )


def _write_mask(
    scene: VariedScene, options: TrainingSetOptions, path: Path, overwrite: bool
) -> None:
    grid = scene.grid
    with atomic_path(path, overwrite=overwrite) as partial:
        try:
            with rasterio.open(
                partial,
                "w",
                driver="GTiff",
                width=grid.width,
                height=grid.height,
                count=1,
                dtype="uint8",
                crs=rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
                transform=grid.transform,
                compress="deflate",
            ) as target:
                target.write(scene.mask(options.line_width_m or None), 1)
        except RasterioError as error:
            raise OutputError(describe_failure(path, error)) from error
