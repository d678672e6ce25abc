"""Speed of the vector stage against thinning and tracing with scikit-image and sknw.

Both get the same mask in the same process: ours as a probability raster, through
`vectorize` (mask, skeleton, widths, tracing, cleaning, smoothing, attributes); theirs
through `skeletonize` and `build_sknw`, which end at raw pixel chains without widths. sknw is
compiled by numba at its first call, a cost of each command that runs once, so
the first and the best of the later runs are given separately.

    uv run --group bench python benchmarks/vectorize_vs_sknw.py [--masks FOLDER] [--size PX]

Without masks a street grid is drawn. CPU time is counted, so that other work on the machine
does not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import CRS

from roadgis.imagery.grid import Grid, Window
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize


class ArraySource:
    """A mask in memory as a probability source."""

    def __init__(self, mask: npt.NDArray[np.bool_]) -> None:
        self.array = mask.astype(np.uint8) * np.uint8(254)
        self.grid = Grid(CRS.from_epsg(32632), 5e5, 5e6, 1.0, mask.shape[1], mask.shape[0])

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return a window; nodata beyond the mask."""
        out = np.full((window.height, window.width), NO_DATA, np.uint8)
        inside = window.intersection(self.grid.window)
        out[inside.slices_in(window)] = self.array[inside.slices_in(self.grid.window)]
        return out


def street_grid(size: int, spacing: int, angle: float = 0.2) -> npt.NDArray[np.bool_]:
    """Return rotated streets, 7 px wide, `spacing` apart."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray((along % spacing < 7) | (across % (1.7 * spacing) < 7))


def tiled(folder: Path, size: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Return mosaics of the densest, median and sparser masks of a folder."""
    masks = []
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as file:
            masks.append(file.read(1) > 0)
    masks.sort(key=lambda mask: -float(mask.mean()))
    side = -(-size // 1500)
    out = {}
    for name, begin in (("dense", 0), ("middle", 30), ("sparse", 60)):
        rows = [
            np.hstack([masks[(begin + side * i + j) % len(masks)] for j in range(side)])
            for i in range(side)
        ]
        out[name] = np.ascontiguousarray(np.vstack(rows)[:size, :size])
    return out


def timed(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Return CPU seconds of the first run and of the fastest of all."""
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return seconds[0], min(seconds)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=Path, help="folder of road masks, 1500 px GeoTIFFs")
    parser.add_argument("--size", type=int, default=4096, help="side of the mosaics, pixels")
    parser.add_argument("--block-px", type=int, default=2304)
    parser.add_argument("--times", type=int, default=4)
    options = parser.parse_args()
    if options.masks:
        masks = tiled(options.masks, options.size)
    else:
        masks = {"streets": street_grid(options.size, 150)}

    begin = time.process_time()
    import sknw
    from skimage.morphology import skeletonize

    imported = time.process_time() - begin
    print(f"importing sknw and scikit-image: {imported:.2f} s")
    print("mask     cover   sknw first  sknw again  roadgis first  roadgis again   [Mpx/s of CPU]")
    for name, mask in masks.items():
        source = ArraySource(mask)

        def theirs(mask: npt.NDArray[np.bool_] = mask) -> object:
            return sknw.build_sknw(skeletonize(mask).astype(np.uint8), multi=True)

        def ours(source: ArraySource = source) -> object:
            return vectorize(source, block_px=options.block_px)

        speeds = [
            mask.size / 1e6 / s for work in (theirs, ours) for s in timed(work, options.times)
        ]
        print(
            f"{name:8} {mask.mean():5.1%} "
            + " ".join(f"{speed:13.1f}" for speed in speeds)
            + f"   first {speeds[2] / speeds[0]:.1f}x, again {speeds[3] / speeds[1]:.2f}x"
        )


if __name__ == "__main__":
    main()
