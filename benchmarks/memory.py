"""Peak resident memory and time of ``roadgis extract`` on scenes of 36, 144 and 1,080 Mpx.

Each run is a process of its own; its peak is that reported by the operating system. A scene is a
VRT of copies of one drawn town of 36 Mpx (a JPEG-compressed GeoTIFF) next to each other, so that
all have the same number of roads per Mpx. Scenes are kept in the folder named by ``--folder``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import rasterio

#: Side of the town, pixels.
_SIDE = 6000


def town(folder: Path) -> Path:
    """Make the town unless it exists."""
    path = folder / "town.tif"
    if not path.exists():
        from roadgis.options.synthetic import TownOptions
        from roadgis.synthetic import write_large_town

        write_large_town(TownOptions(width_px=_SIDE, height_px=_SIDE), path)
    return path


def scene(folder: Path, copies: int) -> Path:
    """Return a VRT of copies of the town, in a rectangle that is as square as possible."""
    rows = max(n for n in range(1, int(copies**0.5) + 1) if copies % n == 0)
    cols = copies // rows
    path = folder / f"scene_{copies}.vrt"
    with rasterio.open(town(folder)) as dataset:
        geo = ", ".join(repr(value) for value in dataset.transform.to_gdal())
        srs = dataset.crs.to_wkt()
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}" blockXSize="256" blockYSize="256">'
        f"<ColorInterp>{colour}</ColorInterp>"
        + "".join(
            '<SimpleSource><SourceFilename relativeToVRT="1">town.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{_SIDE}" ySize="{_SIDE}"/>'
            f'<DstRect xOff="{col * _SIDE}" yOff="{row * _SIDE}" xSize="{_SIDE}" ySize="{_SIDE}"/>'
            "</SimpleSource>"
            for row in range(rows)
            for col in range(cols)
        )
        + "</VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), start=1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{cols * _SIDE}" rasterYSize="{rows * _SIDE}"><SRS>{srs}</SRS>'
        f"<GeoTransform>{geo}</GeoTransform>{bands}</VRTDataset>\n",
        encoding="utf-8",
    )
    return path


def measure(source: Path, extra: list[str]) -> tuple[float, float, float, str]:
    """Run ``extract`` and return peak GiB, seconds, CPU seconds and its last line."""
    command = [
        *(sys.executable, "-m", "roadgis", "extract", str(source)),
        *("-o", str(source.with_suffix(".gpkg")), "--overwrite", "--restart", *extra),
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    text = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed: {text}")
    peak = usage.ru_maxrss / 2**20  # Linux counts KiB
    cpu = usage.ru_utime + usage.ru_stime
    return peak, time.monotonic() - started, cpu, text.strip().splitlines()[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/scratch"))
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4, 30])
    arguments, extra = parser.parse_known_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    peaks = []
    for copies in arguments.copies:
        mpx = copies * _SIDE**2 / 1e6
        peak, seconds, cpu, text = measure(scene(arguments.folder, copies), extra)
        peaks.append(peak)
        print(
            f"{mpx:.0f} Mpx: peak {peak:.3f} GiB, {seconds:.0f} s, {cpu:.1f} CPU s, "
            f"{cpu / mpx:.3f} CPU s/Mpx; {text}",
            flush=True,
        )
    print(f"ratio of last to first peak: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
