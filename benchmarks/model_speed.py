"""Time of two models per pixel of the result, including overlap of tiles by their margins.

Both alternately get one tile of the size that ``predict`` uses for them. Margins are
computed but not kept, so that a larger receptive field costs time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from roadgis.model.runtime import load_model
from roadgis.options.prediction import PredictOptions
from roadgis.probability.cutting import tile_side


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a model file")
    parser.add_argument("other", type=Path, nargs="?", help="by default the bundled one")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    options = PredictOptions()
    rng = np.random.default_rng(0)
    models = [load_model(arguments.model), load_model(arguments.other)]
    sides = [tile_side(options, model.card) for model in models]
    tiles = [rng.integers(0, 256, (1, side, side, 3), np.uint8) for side in sides]
    kept = [
        (side - 2 * model.card.margin_px) ** 2 for model, side in zip(models, sides, strict=True)
    ]
    seconds: list[list[float]] = [[], []]
    for number in range(arguments.rounds + 1):
        for which, (model, tile) in enumerate(zip(models, tiles, strict=True)):
            started = time.perf_counter()
            model.predict(tile)
            if number:  # warm-up
                seconds[which].append(time.perf_counter() - started)
    rates = [median(times) * 1e6 / pixels for times, pixels in zip(seconds, kept, strict=True)]
    for model, side, rate in zip(models, sides, rates, strict=True):
        card = model.card
        print(f"{card.name} {card.version}: tile {side} px, {rate:.3f} s per Mpx of the result")
    print(f"the second takes {rates[1] / rates[0]:.2f} times as long as the first")


if __name__ == "__main__":
    main()
