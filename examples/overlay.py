"""Draw a road network over its imagery, as a PNG.

    uv run python examples/overlay.py examples/town.tif roads.geojson -o overlay.png

Lines are coloured by confidence, from red (low) over yellow to cyan (high); nodes where three
or more roads meet are white dots, dead ends are magenta.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from roadgis import SceneOptions, open_scene
from roadgis.affine import composed

RAMP = np.array([[230, 30, 30], [250, 220, 40], [40, 230, 240]], float)


def ramp(confidence: np.ndarray) -> np.ndarray:
    """Return RGB (N, 3) for confidence 0.4..1."""
    place = np.clip((np.nan_to_num(confidence, nan=1.0) - 0.4) / 0.6, 0, 1) * (len(RAMP) - 1)
    low = np.minimum(place.astype(int), len(RAMP) - 2)
    share = (place - low)[:, None]
    return np.asarray(RAMP[low] * (1 - share) + RAMP[low + 1] * share)


def draw(
    image: np.ndarray, edges: geopandas.GeoDataFrame, transform: rasterio.Affine, px: float
) -> np.ndarray:
    """Return the image (H, W, 3) with lines and nodes painted on it."""
    picture = image.astype(float)
    confidence = edges.get("confidence", np.ones(len(edges)))
    colours = ramp(np.asarray(confidence, float))
    ends = shapely.get_coordinates(
        [
            *shapely.get_point(edges.geometry.values, 0),
            *shapely.get_point(edges.geometry.values, -1),
        ]
    )
    points, degree = np.unique(np.round(ends, 3), axis=0, return_counts=True)
    layers = [
        (
            [(line.buffer(0.9 * px), number + 1) for number, line in enumerate(edges.geometry)],
            colours,
        ),
        ([(shapely.Point(p).buffer(2 * px), 1) for p in points[degree > 2]], [[255, 255, 255]]),
        ([(shapely.Point(p).buffer(2 * px), 1) for p in points[degree == 1]], [[255, 0, 255]]),
    ]
    for shapes, palette in layers:
        if shapes:
            index = rasterize(shapes, image.shape[:2], transform=transform, dtype="int32")
            painted = index > 0
            picture[painted] = np.asarray(palette, float)[index[painted] - 1]
    return picture.astype(np.uint8)


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", nargs="+")
    parser.add_argument("roads", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--zoom", type=int, default=1, help="picture pixels per scene pixel")
    parser.add_argument("--gsd", type=float, default=1.0, help="scene pixels, metres")
    parser.add_argument("--assume-crs", default=None)
    arguments = parser.parse_args()
    options = SceneOptions(assume_crs=arguments.assume_crs, force_gsd=True)
    with open_scene(arguments.scene, gsd_m=arguments.gsd, options=options) as scene:
        image, _ = scene.read(scene.grid.window)
        grid = scene.grid
    zoom = arguments.zoom
    image = image.repeat(zoom, 0).repeat(zoom, 1)
    transform = composed(grid.transform, rasterio.Affine.scale(1 / zoom))
    layer = "edges" if arguments.roads.suffix == ".gpkg" else None
    edges = pyogrio.read_dataframe(arguments.roads, layer=layer).to_crs(grid.crs)
    if len(edges):
        image = draw(image, edges, transform, grid.gsd_m / zoom)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            arguments.output,
            "w",
            driver="PNG",
            height=image.shape[0],
            width=image.shape[1],
            count=3,
            dtype="uint8",
        ) as dataset:
            dataset.write(np.moveaxis(image, -1, 0))


if __name__ == "__main__":
    main()
