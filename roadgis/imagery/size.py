"""Size of a run over a scene, and whether this machine can finish it."""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadgis.errors import OutputError, SceneError
from roadgis.imagery.grid import Window
from roadgis.imagery.resampling import Layer

_LOG = logging.getLogger(__name__)

# Compressed probability takes 0.14 to 0.34 bytes for each pixel (decision 0027).
_BYTES_PER_PX, _LEAST_BYTES_PER_PX = 0.4, 0.1
#: Source pixels, and pixels between sheets, cost about a tenth of a pixel that is predicted.
_CHEAP = 10
#: Of a common machine without a GPU; ``roadgis info`` measures.
_MPX_PER_S = 2.0


@dataclass(frozen=True)
class RunSize:
    """Amount of work of a run.

    Attributes
    ----------
    pixels : int
        Analysis pixels under the sheets, within the bounding box of the area of interest.
    source_pixels : int
        Pixels to read for them, at the overview that is used.
    covered : Window
        The pixels of the output, those between sheets included.
    gsd_m : float
        Side of an analysis pixel, metres.
    """

    pixels: int
    source_pixels: int
    covered: Window
    gsd_m: float

    @property
    def disk_bytes(self) -> int:
        """Space that the probability takes on the disk, about."""
        return round(self.pixels * _BYTES_PER_PX)

    @property
    def limit_mpx(self) -> int:
        """The lowest limit, in megapixels, that lets the run pass."""
        grid = self.covered.height * self.covered.width
        most = max(self.pixels, self.source_pixels / _CHEAP, grid / _CHEAP)
        return math.ceil(most / 1e6)

    def __str__(self) -> str:
        width, height = (px * self.gsd_m / 1000 for px in (self.covered.width, self.covered.height))
        return (
            f"{self.pixels / 1e6:,.1f} Mpx at {self.gsd_m:g} m, read from "
            f"{self.source_pixels / 1e6:,.1f} Mpx, within {width:,.1f} x {height:,.1f} km"
        )


def run_size(layers: tuple[Layer, ...], covered: Window, gsd_m: float) -> RunSize:
    """Return the size of a run over the covered part of some layers."""
    pixels = source = 0.0
    low = np.array([covered.row, covered.col])
    high = np.array([covered.end_row, covered.end_col])
    for layer in layers:
        # Floats: a file may claim more pixels than 64 bits count.
        boxes, own = layer.boxes.astype(float), layer.group.boxes.astype(float)
        inside = np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
        area = np.prod(np.maximum(inside, 0), axis=1)
        share = area / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        pixels += area.sum()
        source += (share * np.prod(own[:, 2:] - own[:, :2], axis=1)).sum()
    pixels = min(pixels, float(covered.height) * covered.width)
    return RunSize(round(pixels), round(source), covered, gsd_m)


def check_size(size: RunSize, max_mpx: float) -> None:
    """Refuse a run that one machine cannot finish in reasonable time.

    Raises
    ------
    SceneError
        If the imagery, a tenth of its source pixels or a tenth of the area that it spans has
        more than `max_mpx` megapixels.
    """
    if size.limit_mpx <= max_mpx:
        return
    raise SceneError(
        f"The imagery is too large for one run: {size}. That would take about "
        f"{duration(size.limit_mpx / _MPX_PER_S)} and {storage(size.disk_bytes)} of disk space. "
        "Check the size, pixel size and CRS that the files state. If they are right, work on a "
        f"part of it with --aoi, or allow the size with --max-mpx {size.limit_mpx}, where the "
        "command takes it."
    )


def check_space(folder: Path, size: RunSize) -> None:
    """Check before the work that the disk has room for a run's work directory.

    Space used by an earlier run there counts as free.

    Raises
    ------
    OutputError
        If the least that the probability can take is not free.
    """
    place = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), None)
    if place is None:
        return
    used = sum(p.stat().st_size for p in folder.glob("*/*/*.tif")) if folder.is_dir() else 0
    free = shutil.disk_usage(place).free + used
    if free < size.pixels * _LEAST_BYTES_PER_PX:
        raise OutputError(
            f"{folder}: the probability of {size.pixels / 1e6:,.0f} Mpx takes about "
            f"{storage(size.disk_bytes)}, but only {storage(free)} are free here. Free some space, "
            "choose a --work-dir on another disk, or work on a part with --aoi."
        )
    if free < size.disk_bytes:
        _LOG.warning(
            "%s: the disk may become full: %s are free, and about %s are needed.",
            place,
            storage(free),
            storage(size.disk_bytes),
        )


def duration(seconds: float) -> str:
    """Return a time for people, such as ``12 min``."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def storage(size: float) -> str:
    """Return a number of bytes for people, such as ``12 GB``."""
    for unit, length in (("TB", 1e12), ("GB", 1e9)):
        if size >= length:
            return f"{size / length:,.1f} {unit}"
    return f"{math.ceil(size / 1e6)} MB"
