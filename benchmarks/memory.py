"""Peak resident memory of ``roadgis extract`` on generated scenes of 100 and 400 Mpx.

Each run is a process of its own; its peak is what the operating system counted. Scenes are
JPEG-compressed GeoTIFFs, made once and kept in the folder named by ``--folder``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path


def scene(folder: Path, mpx: int) -> Path:
    """Make the scene of about `mpx` million pixels, unless it is there."""
    path = folder / f"scene_{mpx}.tif"
    if not path.exists():
        from roadgis.options.synthetic import TownOptions
        from roadgis.synthetic import write_large_town

        side = round((mpx * 1e6) ** 0.5)
        write_large_town(TownOptions(width_px=side, height_px=side), path)
    return path


def measure(source: Path, extra: list[str]) -> tuple[float, float, str]:
    """Run ``extract`` and return peak GiB, seconds and its last line."""
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
    return peak, time.monotonic() - started, text.strip().splitlines()[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/scratch"))
    parser.add_argument("--mpx", type=int, nargs="+", default=[100, 400])
    arguments, extra = parser.parse_known_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    peaks = []
    for mpx in arguments.mpx:
        source = scene(arguments.folder, mpx)
        peak, seconds, text = measure(source, extra)
        peaks.append(peak)
        print(f"{mpx} Mpx: peak {peak:.3f} GiB, {seconds:.0f} s; {text}", flush=True)
    print(f"ratio of last to first peak: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
