"""CPU time of ``roadgis extract`` relative to pure inference of the same pixels.

Pure inference is the same runtime with the same threads on the same pixels, each once: tiles as
large as those of ``extract``, without margins, already in memory. Both run alternately in one
process; CPU time is that of all threads, user and system.

    uv run python -m benchmarks.extract_vs_inference [SCENE] [--side 6000] [--rounds 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

from roadgis.model.runtime import load_model
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads
from roadgis.probability.cutting import tile_side


def tiles(path: Path, side: int, stride: int) -> list[npt.NDArray[np.uint8]]:
    """Return the scene's pixels in tiles, padded to the stride."""
    found = []
    with rasterio.open(path) as dataset:
        for row in range(0, dataset.height, side):
            for col in range(0, dataset.width, side):
                h, w = min(side, dataset.height - row), min(side, dataset.width - col)
                image = np.moveaxis(dataset.read((1, 2, 3), window=Window(col, row, w, h)), 0, -1)
                found.append(np.pad(image, ((0, -h % stride), (0, -w % stride), (0, 0)))[None])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = arguments.scene
        if path is None:
            from roadgis.options.synthetic import TownOptions
            from roadgis.synthetic import write_large_town

            path = folder / "scene.tif"
            write_large_town(TownOptions(width_px=arguments.side, height_px=arguments.side), path)
        model = load_model(arguments.model)
        side = tile_side(PredictOptions(), model.card)
        with rasterio.open(path) as dataset:
            mpx = dataset.width * dataset.height / 1e6
        model.predict(np.zeros((1, side, side, 3), np.uint8))  # warm-up
        alone, whole = [], []
        for number in range(arguments.rounds):
            pixels = tiles(path, side, model.card.stride)
            began = time.process_time()
            for tile in pixels:
                model.predict(tile)
            alone.append(time.process_time() - began)
            del pixels
            began = time.process_time()
            network = extract_roads(path, folder / f"{number}.gpkg", model=model)
            whole.append(time.process_time() - began)
            print(f"inference alone {alone[-1]:.2f} s, extract {whole[-1]:.2f} s", flush=True)
    print(
        f"{mpx:.0f} Mpx, {len(network)} roads, tiles of {side} px: inference alone "
        f"{min(alone):.2f} CPU s, extract {min(whole):.2f} CPU s, "
        f"ratio {min(whole) / min(alone):.2f}"
    )


if __name__ == "__main__":
    main()
