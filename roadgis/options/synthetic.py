"""Options of a synthetic town."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: Distance between through roads, metres.
CELL_M = 384.0
#: Period of a repeating town, metres.
REPEAT_M = 4 * CELL_M
#: Pictures are rendered in aligned tiles of this size, so that windows agree.
TILE_PX = 256


def check_ranges(what: str, options: object, ranges: list[tuple[str, float, float]]) -> None:
    """Check that numbers are within their range.

    Parameters
    ----------
    what : str
        Kind of options, for the message.
    ranges : list of tuple
        Name, smallest and largest value.
    """
    for name, low, high in ranges:
        value = getattr(options, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(
                f"The {what} option {name} is {value}; it must be between {low} and {high}."
            )


@dataclass(frozen=True)
class TownOptions:
    """Options of :func:`roadgis.synthetic.make_town`.

    Attributes
    ----------
    width_px, height_px : int
        Size of the scene, pixels.
    gsd_m : float
        Pixel size, metres.
    seed : int
        Chooses the town; the same options give the same town.
    crs : str
        Projected CRS in metres, anything that pyproj understands.
    x0, y0 : float
        Outer corner of the top left pixel, metres in `crs`.
    tree_density : float
        Share of the usual number of trees, 0..2; trees hide parts of the roads.
    noise : float
        Share of the usual sensor noise, 0..4.
    blur_px : float
        Standard deviation of the optical blur, pixels.
    sun_azimuth_deg, sun_elevation_deg : float
        Where the light comes from; clockwise from north, and above the horizon.
    repeating : bool
        Repeat the town every 1536 m. Very large scenes are then written quickly.
    jpeg_quality : int
        JPEG quality of the GeoTIFF, 1..100; 0 for lossless compression (DEFLATE).

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    width_px: int = 1400
    height_px: int = 1400
    gsd_m: float = 1.0
    seed: int = 7
    crs: str = "EPSG:32619"
    x0: float = 300_000.0
    y0: float = 4_700_000.0
    tree_density: float = 1.0
    noise: float = 1.0
    blur_px: float = 0.45
    sun_azimuth_deg: float = 155.0
    sun_elevation_deg: float = 44.0
    repeating: bool = False
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = [
            ("width_px", 1, 2_000_000),
            ("height_px", 1, 2_000_000),
            ("gsd_m", 0.1, 4.0),
            ("seed", 0, 2**63 - 1),
            ("x0", -1e8, 1e8),
            ("y0", -1e8, 1e8),
            ("tree_density", 0, 2),
            ("noise", 0, 4),
            ("blur_px", 0, 4),
            ("sun_azimuth_deg", -360, 360),
            ("sun_elevation_deg", 30, 89),
            ("jpeg_quality", 0, 100),
        ]
        check_ranges("town", self, ranges)
        if self.repeating and not self.repeat_px:
            raise InputError(
                f"A repeating town needs a pixel size that divides {REPEAT_M:g} m into a multiple "
                f"of {TILE_PX} pixels, such as 1.0, 0.6, 0.5, 0.3 or 0.25; found {self.gsd_m} m. "
                "Choose one of these, or leave repetition out."
            )

    @property
    def repeat_px(self) -> int:
        """Pixels after which a repeating town repeats; 0 when it does not."""
        px = round(REPEAT_M / self.gsd_m)
        fits = abs(px * self.gsd_m - REPEAT_M) < 1e-6 and px % TILE_PX == 0
        return px if self.repeating and fits else 0


@dataclass(frozen=True)
class VariedOptions:
    """Options of a :class:`VariedScene`.

    Attributes
    ----------
    size_px : int
        Side of the picture, pixels.
    gsd_m : float
        Pixel size, metres.
    seed, number : int
        Both together choose the scene; the same options give the same one.
    crs : str
        Projected CRS in metres, anything that pyproj understands.
    x0, y0 : float
        Outer corner of the top left pixel, metres in `crs`.
    jpeg_quality : int
        JPEG quality of the GeoTIFF, 1..100; 0 for lossless compression (DEFLATE).

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    size_px: int = 512
    gsd_m: float = 0.6
    seed: int = 7
    number: int = 0
    crs: str = "EPSG:32619"
    x0: float = 300_000.0
    y0: float = 4_700_000.0
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = [
            ("size_px", 64, 2048),
            ("gsd_m", 0.1, 4.0),
            ("seed", 0, 2**63 - 1),
            ("number", 0, 2**31 - 1),
            ("x0", -1e8, 1e8),
            ("y0", -1e8, 1e8),
            ("jpeg_quality", 0, 100),
        ]
        check_ranges("scene", self, ranges)


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
    first: int = setting(
        0, Option("Number of the first scene, to write a set in parts.", "set", metavar="N", low=0)
    )
    size_px: int = 512
    min_gsd_m: float = 0.3
    max_gsd_m: float = 1.2
    seed: int = setting(7, Option("Seed; another one draws other scenes.", metavar="N", low=0))
    line_width_m: float = setting(
        0.0,
        Option(
            "Width of all roads in the masks, in metres, drawn along their centrelines.",
            "set",
            ("line_width_m", "--line-width"),
            unit="m",
            default_text="the actual width of each road",
        ),
    )

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
