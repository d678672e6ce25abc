"""Select the scenes with the lowest scores, to use them twice as often in training.

Most of a training set soon becomes easy, and a model learns little from easy scenes. This program
reads the scores of `roadgis test` for a folder of pairs and writes a folder of links to its worse
half, which `roadgis train` uses in addition to the whole folder::

    roadgis test default --data massachusetts/train --json scores.json
    python examples/hard_tiles.py massachusetts/train hard/train --scores scores.json
    roadgis train --data massachusetts/train --data hard/train ...

Scenes with almost no road are left out: their IoU is meaningless.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from roadgis.train.data.pairs import find_pairs


def hard(scenes: list[dict[str, Any]], *, road_share: float) -> list[str]:
    """Return the names of scenes whose IoU is below the median.

    Parameters
    ----------
    scenes : list of dict
        Scenes of `roadgis test --json`: name, iou, pixels, road_pixels.
    road_share : float
        Minimum share of road pixels.
    """
    counted = {
        scene["name"]: scene["iou"]
        for scene in scenes
        if scene["iou"] is not None and scene["road_pixels"] >= road_share * scene["pixels"]
    }
    if not counted:
        return []
    middle = median(counted.values())
    return [name for name, iou in counted.items() if iou < middle]


def main() -> None:
    """Write the folder of links."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of pairs, as it was scored")
    parser.add_argument("output", type=Path, help="gets links to images and masks")
    parser.add_argument("--scores", type=Path, required=True, help="of roadgis test --json")
    parser.add_argument("--road-share", type=float, default=0.005)
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists; choose another name, or remove it")
    scores = json.loads(arguments.scores.read_text(encoding="utf-8"))
    pairs = {pair.name: pair for pair in find_pairs(arguments.folder)}
    chosen = hard(scores["scenes"], road_share=arguments.road_share)
    unknown = sorted(set(chosen) - set(pairs))
    if unknown:
        parser.error(f"{arguments.folder} has no {unknown[0]}; expected the scores of this folder")
    for name in chosen:
        for kind, path in (("images", pairs[name].image), ("masks", pairs[name].mask)):
            link = arguments.output / kind / f"{name.replace('/', '_')}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    print(f"{len(chosen)} of {len(pairs)} scenes")


if __name__ == "__main__":
    main()
