"""Writing drawn scenes as a folder of images and masks for training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from roadgis.atomic import atomic_path, check_target, describe_failure, make_folder
from roadgis.errors import OutputError
from roadgis.progress import Progress, no_progress
from roadgis.synthetic.noise import generator
from roadgis.synthetic.options import check_ranges
from roadgis.synthetic.varied import VariedOptions, VariedScene
from roadgis.synthetic.write import write_town

__all__ = ["TrainingSetOptions", "write_training_set"]

_FOLDERS = ("images", "masks")
#: Distance of the scenes' corners, metres: they lie in a row on a map.
_SPACING_M = 5_000.0
_COLUMNS = 100


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
    min_gsd_m, max_gsd_m : float
        Smallest and largest pixel size, metres; each scene draws its own.
    seed : int
        Chooses the scenes; the same options give the same files.
    line_width_m : float
        Draw roads in the masks with this width along their centrelines; 0 draws them as wide as
        they are in the images.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    scenes: int = 200
    first: int = 0
    size_px: int = 512
    min_gsd_m: float = 0.3
    max_gsd_m: float = 1.2
    seed: int = 7
    line_width_m: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = [
            ("scenes", 1, 1_000_000),
            ("first", 0, 1_000_000),
            ("min_gsd_m", 0.1, 4.0),
            ("max_gsd_m", self.min_gsd_m, 4.0),
            ("line_width_m", 0, 50),
        ]
        check_ranges("training set", self, ranges)
        VariedOptions(self.size_px, seed=self.seed)


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
