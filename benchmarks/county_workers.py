"""Time and peak memory of ``roadgis batch`` with 1, 2 and 4 workers, against ``extract``.

Run from the repository root::

    python -m benchmarks.county_workers [--mpx 1000] [--workers 1 2 4]
    python -m benchmarks.county_workers --mpx 48 --overhead
    python -m benchmarks.county_workers --units 10000

The county is generated: sheets of 2000 px, each a VRT of one of a few synthetic towns, on all or,
with ``--share 0.5``, on half of the cells of a grid. Each worker uses one thread. Workers are
processes whose resident memory is sampled; times are wall times, so the load of the machine is
printed as well. The merged network of each run is compared with that of ``extract``, feature by
feature.

``--overhead`` measures the time of leases, scheduling, records and the table of units in a run in
one process. ``--units`` times ``plan`` and ``status`` of a county of sparse sheets, once with all
units planned and once with all units done (with made-up records).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import geopandas
import numpy as np
import psutil
import rasterio
from affine import Affine

__all__ = ["county_sheets", "equal", "many_units", "overhead", "sparse_sheets"]

_SIDE_PX = 2000
_TOWNS = 4
_SAMPLE_S = 0.2


def county_sheets(folder: Path, mpx: float, gsd_m: float = 1.0, share: float = 1.0) -> Path:
    """Write towns and sheets of `mpx` million pixels unless they exist; return their folder.

    Parameters
    ----------
    folder : Path
        Folder for the towns and a folder of sheets.
    mpx : float
        Million pixels under sheets.
    gsd_m : float
        Pixel size that the sheets state, whatever that of the towns.
    share : float
        Share of the county's area that has sheets.
    """
    sheets = folder / f"sheets_{mpx:g}_{gsd_m:g}m_{share:g}"
    if sheets.is_dir():
        return sheets
    towns = [_town(folder, seed) for seed in range(_TOWNS)]
    count = max(round(mpx * 1e6 / _SIDE_PX**2), 1)
    across = int(np.ceil(np.sqrt(count / share)))
    chosen = random.Random(1)
    sheets.mkdir(parents=True)
    for number, cell in enumerate(chosen.sample(range(across * across), count)):
        row, col = divmod(cell, across)
        path = sheets / f"sheet_{row:03}_{col:03}.vrt"
        _write_sheet(path, towns[number % _TOWNS], row, col, gsd_m)
    return sheets


def _town(folder: Path, seed: int) -> Path:
    from roadgis.options.synthetic import TownOptions
    from roadgis.synthetic import write_large_town

    path = folder / f"town_{seed}.tif"
    if not path.exists():
        write_large_town(TownOptions(width_px=_SIDE_PX, height_px=_SIDE_PX, seed=seed), path)
    return path


def _write_sheet(path: Path, town: Path, row: int, col: int, gsd_m: float) -> None:
    with rasterio.open(town) as dataset:
        crs, place = escape(dataset.crs.to_wkt()), dataset.transform
    x, y = place.c + col * _SIDE_PX * gsd_m, place.f - row * _SIDE_PX * gsd_m
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
        f'<SimpleSource><SourceFilename relativeToVRT="1">../{town.name}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), 1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{_SIDE_PX}" rasterYSize="{_SIDE_PX}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{x!r}, {gsd_m!r}, 0, {y!r}, 0, {-gsd_m!r}</GeoTransform>{bands}"
        "</VRTDataset>\n",
        encoding="utf-8",
    )


def equal(a: Path, b: Path) -> bool:
    """Return whether the edges and nodes of two GeoPackages are equal to the last bit."""
    for layer in ("edges", "nodes"):
        one, two = (geopandas.read_file(path, layer=layer) for path in (a, b))
        if not (one.to_wkb().equals(two.to_wkb()) and one.crs == two.crs):
            return False
    return True


def overhead(sheets: Path, county: Path) -> tuple[float, float]:
    """Run a county in this process; return the seconds of its manifest and of the whole run."""
    from roadgis.batch.engine import InProcess
    from roadgis.batch.plan import read_plan
    from roadgis.batch.report.table import unit_table, write_table
    from roadgis.batch.run import run_county
    from roadgis.batch.store import ResultStore

    shutil.rmtree(county, ignore_errors=True)
    _measured("batch", "plan", str(sheets), "-o", str(county))
    spent = {"tasks": 0.0, "records": 0.0}

    def timed(name: str, function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            started = time.monotonic()
            try:
                return function(*arguments, **keywords)
            finally:
                spent[name] += time.monotonic() - started

        return call

    ResultStore._write_json = timed("records", ResultStore._write_json)  # type: ignore[method-assign]
    plan = read_plan(county)
    with InProcess(county, plan, threads=1) as engine:
        engine.wait = timed("tasks", engine.wait)  # type: ignore[method-assign]
        started = time.monotonic()
        run_county(county, plan, engine)
        write_table(county, unit_table(county, plan))
        whole = time.monotonic() - started
    return whole - spent["tasks"] + spent["records"], whole


def sparse_sheets(folder: Path, units: int) -> Path:
    """Write empty sheets of 10 x 10 units each unless they exist; return their folder."""
    from roadgis.batch.units import UNIT_PX

    sheets, side = folder / f"sparse_{units}", 10 * UNIT_PX
    across = round((units / 100) ** 0.5)
    sheets.mkdir(parents=True, exist_ok=True)
    for number in range(across * across):
        row, col = divmod(number, across)
        # Corners on the lattice of units, so that each sheet touches exactly 100 of them.
        place = Affine(1, 0, side * (20 + col), 0, -1, side * (200 - row))
        path = sheets / f"sheet_{row:02}_{col:02}.tif"
        if not path.exists():
            with rasterio.open(
                path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8",
                crs="EPSG:32632", transform=place, tiled=True, SPARSE_OK=True,
            ):  # fmt: skip
                pass
    return sheets


def many_units(folder: Path, units: int) -> None:
    """Time plan and status of a county of many units, planned and done; print."""
    from roadgis.batch.board import Board
    from roadgis.batch.plan import read_plan
    from roadgis.batch.store import ResultStore

    county = folder / "county_sparse"
    shutil.rmtree(county, ignore_errors=True)
    planning = _measured("batch", "plan", str(sparse_sheets(folder, units)), "-o", str(county))[0]
    planned = _measured("batch", "status", str(county))[0]
    plan, store = read_plan(county), ResultStore(county)
    record = {"worker": "host:1", "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0}
    record |= {"attempts": 1, "valid_px": 1, "traced_px": 0, "traced_km": 0.0, "confidence": None}
    for unit in plan.units:
        name = f"{unit.name}.{unit.key}.json"
        (county / "predicted" / name).write_text(json.dumps(record))
    for unit, key in Board(plan, store).traced_keys():
        (county / "traced" / f"{unit.name}.{key}.json").write_text(json.dumps(record))
    done = _measured("batch", "status", str(county))[0]
    print(
        f"{len(plan.units)} units: plan {planning:.1f} s, status {planned:.1f} s planned and "
        f"{done:.1f} s done, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


class _Peak:
    """Largest resident memory of any descendant of a process, bytes."""

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
    parser.add_argument("--gsd-m", type=float, default=1.0, help="pixel size of the sheets")
    parser.add_argument("--share", type=float, default=1.0, help="share of cells with a sheet")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--no-extract", action="store_true", help="do not compare with extract")
    parser.add_argument("--overhead", action="store_true", help="measure the manifest only")
    parser.add_argument("--units", type=int, help="number of units; time only plan and status")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.units:
        many_units(folder, arguments.units)
        return
    sheets = county_sheets(folder, arguments.mpx, arguments.gsd_m, arguments.share)
    if arguments.overhead:
        manifest, whole = overhead(sheets, folder / "county_overhead")
        print(f"manifest: {manifest:.2f} s of {whole:.1f} s, {manifest / whole:.2%}")
        return
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
