"""Wall time of ``roadgis extract`` over inference alone.

Inference alone is the same runtime with the same threads and batch on the same pixels, each
once: tiles as large as those of ``extract``, without margins, already in memory. Both are
measured in turns in one run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from rasterio.windows import Window

from roadgis.model.runtime import load_model
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads
from roadgis.probability.prediction import tile_side


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=6144)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = arguments.scene
        if path is None:
            from roadgis.options.synthetic import TownOptions
            from roadgis.synthetic import write_large_town

            path = folder / "scene.tif"
            write_large_town(TownOptions(width_px=arguments.side, height_px=arguments.side), path)
        model = load_model()
        side = tile_side(PredictOptions(), model.card)
        tiles = []
        with rasterio.open(path) as dataset:
            height, width = dataset.shape
            for row in range(0, height, side):
                for col in range(0, width, side):
                    h, w = min(side, height - row), min(side, width - col)
                    stride = model.card.stride
                    image = np.moveaxis(
                        dataset.read((1, 2, 3), window=Window(col, row, w, h)), 0, -1
                    )
                    pad = ((0, -h % stride), (0, -w % stride), (0, 0))
                    tiles.append(np.pad(image, pad)[None])
        model.predict(tiles[0])
        alone, whole = [], []
        for number in range(arguments.rounds):
            started = time.perf_counter()
            for tile in tiles:
                model.predict(tile)
            alone.append(time.perf_counter() - started)
            started = time.perf_counter()
            network = extract_roads(path, folder / f"{number}.gpkg", model=model)
            whole.append(time.perf_counter() - started)
            print(f"inference alone {alone[-1]:.2f} s, extract {whole[-1]:.2f} s", flush=True)
    mpx = height * width / 1e6
    print(
        f"{mpx:.0f} Mpx, {len(network)} roads, tile {side}: inference alone "
        f"{mpx / median(alone):.2f} Mpx/s, extract {mpx / median(whole):.2f} Mpx/s, "
        f"ratio {median(whole) / median(alone):.2f}"
    )


if __name__ == "__main__":
    main()
