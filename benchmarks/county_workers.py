"""Time and peak memory of ``roadgis batch`` with 1, 2 and 4 workers, against ``extract``.

Run from the repository root::

    python -m benchmarks.county_workers [--mpx 1000] [--workers 1 2 4]

The county is generated: sheets of 2000 px, each a VRT of one of a few synthetic towns, on about
half of the cells of a grid. Each worker uses one thread. Workers are processes whose resident
memory is sampled; times are of the clock, so the load of the machine is printed as well. The merged
network of each run is compared with that of ``extract``, feature by feature.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.sax.saxutils import escape

import geopandas
import numpy as np
import psutil
import rasterio

__all__ = ["county_sheets", "equal"]

_SIDE_PX = 2000
_TOWNS = 4
_SAMPLE_S = 0.2


def county_sheets(folder: Path, mpx: float) -> Path:
    """Write towns and sheets of `mpx` million pixels, unless they are there; return their folder.

    Parameters
    ----------
    folder : Path
        Folder for the towns and a folder of sheets.
    mpx : float
        Million pixels under sheets.
    """
    sheets = folder / f"sheets_{mpx:g}"
    if sheets.is_dir():
        return sheets
    towns = [_town(folder, seed) for seed in range(_TOWNS)]
    count = max(round(mpx * 1e6 / _SIDE_PX**2), 1)
    across = int(np.ceil(np.sqrt(2 * count)))
    chosen = random.Random(1)
    sheets.mkdir(parents=True)
    for number, cell in enumerate(chosen.sample(range(across * across), count)):
        row, col = divmod(cell, across)
        _write_sheet(sheets / f"sheet_{row:03}_{col:03}.vrt", towns[number % _TOWNS], row, col)
    return sheets


def _town(folder: Path, seed: int) -> Path:
    from roadgis.options.synthetic import TownOptions
    from roadgis.synthetic import write_large_town

    path = folder / f"town_{seed}.tif"
    if not path.exists():
        write_large_town(TownOptions(width_px=_SIDE_PX, height_px=_SIDE_PX, seed=seed), path)
    return path


def _write_sheet(path: Path, town: Path, row: int, col: int) -> None:
    with rasterio.open(town) as dataset:
        crs, place = escape(dataset.crs.to_wkt()), dataset.transform
    x, y = place.c + col * _SIDE_PX * place.a, place.f + row * _SIDE_PX * place.e
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
        f'<SimpleSource><SourceFilename relativeToVRT="1">../{town.name}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), 1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{_SIDE_PX}" rasterYSize="{_SIDE_PX}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{x!r}, {place.a!r}, 0, {y!r}, 0, {place.e!r}</GeoTransform>{bands}"
        "</VRTDataset>\n",
        encoding="utf-8",
    )


def equal(a: Path, b: Path) -> bool:
    """Return whether the edges and nodes of two GeoPackages are the same in all bits."""
    for layer in ("edges", "nodes"):
        one, two = (geopandas.read_file(path, layer=layer) for path in (a, b))
        if not (one.to_wkb().equals(two.to_wkb()) and one.crs == two.crs):
            return False
    return True


class _Peak:
    """Largest resident memory of any process below one, bytes."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._parent = psutil.Process(pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._end.wait(_SAMPLE_S):
            try:
                family = [self._parent, *self._parent.children(recursive=True)]
                self.most = max([self.most, *(one.memory_info().rss for one in family)])
            except psutil.NoSuchProcess:
                continue

    def end(self) -> float:
        """Stop, and return the peak in GiB."""
        self._end.set()
        self._thread.join()
        return self.most / 2**30


def _measured(*arguments: str) -> tuple[float, float, float]:
    """Run a command of roadgis; return seconds, seconds of CPU and peak GiB of one process."""
    started, before = time.monotonic(), os.times()
    process = subprocess.Popen([sys.executable, "-m", "roadgis", *arguments])
    peak = _Peak(process.pid)
    if process.wait() != 0:
        raise SystemExit(f"roadgis {' '.join(arguments)} failed")
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    return time.monotonic() - started, cpu, peak.end()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/scratch"))
    parser.add_argument("--mpx", type=float, default=1000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--no-extract", action="store_true", help="do not compare with extract")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sheets = county_sheets(folder, arguments.mpx)
    mpx = len(list(sheets.iterdir())) * _SIDE_PX**2 / 1e6
    whole = folder / "extract.gpkg"
    if not arguments.no_extract:
        seconds, cpu, peak = _measured(
            *("extract", str(sheets), "-o", str(whole), "--overwrite", "--restart"),
            *("--threads", "1", "--progress", "none"),
        )
        print(f"extract, 1 thread: {mpx:.0f} Mpx in {seconds:.0f} s, {cpu:.0f} s of CPU, "
              f"peak {peak:.2f} GiB, load {os.getloadavg()[1]:.1f}", flush=True)  # fmt: skip
    for workers in arguments.workers:
        county, merged = folder / f"county_{workers}", folder / f"county_{workers}.gpkg"
        shutil.rmtree(county, ignore_errors=True)
        planning = _measured("batch", "plan", str(sheets), "-o", str(county))[0]
        seconds, cpu, peak = _measured(
            *("batch", "run", str(county), "--workers", str(workers), "--threads", "1"),
            *("--progress", "none"),
        )
        merging, _, merge_peak = _measured(
            "batch", "merge", str(county), "-o", str(merged), "--overwrite", "--progress", "none"
        )
        same = "" if arguments.no_extract else f", identical: {equal(whole, merged)}"
        print(
            f"{workers} workers: plan {planning:.0f} s, run {seconds:.0f} s "
            f"({mpx / seconds:.2f} Mpx/s), {cpu:.0f} s of CPU, peak {peak:.2f} GiB per process, "
            f"merge {merging:.0f} s and {merge_peak:.2f} GiB{same}, load {os.getloadavg()[1]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
