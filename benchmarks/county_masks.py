"""Peak memory and time of ``roadgis vectorize`` on all sheets of a folder as one mosaic.

Run from the repository root::

    python -m benchmarks.county_masks FOLDER [--check] [--parts PART ...]

The sheets (one band, one CRS and pixel size, on one lattice) are joined by a VRT with nodata
between them. A quarter of the sheets, then all, are vectorized and cleaned in a process of
their own; its peak is that reported by the operating system. With ``--check`` the part of the
mosaic with most sheets is vectorized with two block sizes, and all arrays of the two
networks is compared.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio

__all__ = ["Sheet", "densest", "differences", "read_sheets", "western", "write_mosaic"]

#: Value of the VRT between the sheets.
_NO_DATA = 255
_SHARES = {"quarter": 0.25, "half": 0.5, "all": 1.0}


@dataclass(frozen=True)
class Sheet:
    """A raster and its position on the common lattice, pixels."""

    path: Path
    row: int
    col: int
    height: int
    width: int


def read_sheets(folder: Path) -> list[Sheet]:
    """Return the rasters of a folder in the order of their names."""
    sheets = []
    first: Any = None
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as dataset:
            first = first or dataset.transform
            place = dataset.transform
            col, row = (place.c - first.c) / first.a, (place.f - first.f) / first.e
            assert max(abs(col - round(col)), abs(row - round(row))) < 0.01, path
            sheets.append(Sheet(path, round(row), round(col), dataset.height, dataset.width))
    return sheets


def write_mosaic(sheets: list[Sheet], path: Path) -> float:
    """Write a VRT of sheets; returns its size in million pixels, blanks included."""
    top, left = min(s.row for s in sheets), min(s.col for s in sheets)
    height = max(s.row + s.height for s in sheets) - top
    width = max(s.col + s.width for s in sheets) - left
    corner = next(s for s in sheets if s.row == top)
    with rasterio.open(corner.path) as dataset:
        crs, origin = dataset.crs.to_wkt(), dataset.transform
    x0 = origin.c + (left - corner.col) * origin.a
    with path.open("w", encoding="utf-8") as file:
        file.write(
            f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">\n'
            f"<SRS>{escape(crs)}</SRS>\n<GeoTransform>{x0!r}, {origin.a!r}, 0, "
            f"{origin.f!r}, 0, {origin.e!r}</GeoTransform>\n"
            f'<VRTRasterBand dataType="Byte" band="1"><NoDataValue>{_NO_DATA}</NoDataValue>\n'
        )
        for s in sheets:
            size = f'xSize="{s.width}" ySize="{s.height}"'
            file.write(
                "<SimpleSource>"
                f'<SourceFilename relativeToVRT="0">{escape(str(s.path.resolve()))}'
                "</SourceFilename><SourceBand>1</SourceBand>"
                f'<SrcRect xOff="0" yOff="0" {size}/>'
                f'<DstRect xOff="{s.col - left}" yOff="{s.row - top}" {size}/></SimpleSource>\n'
            )
        file.write("</VRTRasterBand>\n</VRTDataset>\n")
    return height * width / 1e6


def western(sheets: list[Sheet], share: float) -> list[Sheet]:
    """Return a share of the sheets, the westernmost ones."""
    ordered = sorted(sheets, key=lambda s: (s.col, s.row))
    return ordered[: math.ceil(len(ordered) * share)]


def densest(sheets: list[Sheet], size: int) -> list[Sheet]:
    """Return the sheets of the square, a few sheets wide, that contains most of them."""

    def within(corner: Sheet) -> list[Sheet]:
        return [
            s
            for s in sheets
            if 0 <= s.row - corner.row < size * corner.height
            and 0 <= s.col - corner.col < size * corner.width
        ]

    return max((within(corner) for corner in sheets), key=len)


def measure(mosaic: Path, extra: list[str]) -> tuple[float, float, str]:
    """Run ``vectorize`` and return peak GiB, seconds and its last line."""
    command = [
        *(sys.executable, "-m", "roadgis", "vectorize", str(mosaic)),
        *("-o", str(mosaic.with_suffix(".gpkg")), "--overwrite", *extra),
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed: {text}")
    peak = usage.ru_maxrss / 2**20  # Linux counts KiB
    return peak, time.monotonic() - started, text.strip().splitlines()[-1]


def differences(mosaic: Path, blocks: tuple[int, int]) -> tuple[int, list[str]]:
    """Return the number of edges of a mosaic, and the differences between two block sizes."""
    from roadgis.options.vectorization import VectorizeOptions
    from roadgis.probability.raster import open_probability
    from roadgis.raster_pipeline import vectorize

    with open_probability(mosaic) as source:
        options = VectorizeOptions(threshold=0.5)
        one, two = (vectorize(source, options, block_px=block_px) for block_px in blocks)
    out = []
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if field.name == "edges":
            a, b = ([line.wkb for line in edges] for edges in (a, b))
        if isinstance(a, np.ndarray):
            equal = np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        else:
            equal = a == b
        if not equal:
            out.append(field.name)
    return len(one), out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheets", type=Path, metavar="FOLDER")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/scratch"))
    parser.add_argument("--check", action="store_true", help="compare two block sizes")
    parser.add_argument("--size", type=int, default=4, help="of the part checked, sheets")
    parser.add_argument("--parts", nargs="*", choices=_SHARES, default=["quarter", "all"])
    arguments, extra = parser.parse_known_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sheets = read_sheets(arguments.sheets)
    if arguments.check:
        part = densest(sheets, arguments.size)
        mosaic = arguments.folder / "county_part.vrt"
        mpx = write_mosaic(part, mosaic)
        edges, different = differences(mosaic, (2304, 1111))
        print(
            f"{len(part)} sheets, {mpx:.0f} Mpx, {edges} edges with blocks of 2304 and 1111 px: "
            f"{'different in ' + ', '.join(different) if different else 'the same'}",
            flush=True,
        )
    peaks = []
    for name in arguments.parts:
        part = western(sheets, _SHARES[name])
        mosaic = arguments.folder / f"county_{name}.vrt"
        mpx = write_mosaic(part, mosaic)
        data = sum(s.height * s.width for s in part) / 1e6
        peak, seconds, text = measure(mosaic, extra)
        peaks.append(peak)
        print(
            f"{name}: {len(part)} sheets, {data:.0f} Mpx of data in {mpx:.0f} Mpx: "
            f"peak {peak:.3f} GiB, {seconds:.0f} s; {text}",
            flush=True,
        )
    if len(peaks) > 1:
        print(f"ratio of last to first peak: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
