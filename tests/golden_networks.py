"""Golden networks: results of tracing and cleaning on rasters that do not come from a model.

After an intended change of results, ``python -m tests.golden_networks`` writes
tests/golden again; the diff shows the changes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import shapely

from roadgis.network.from_lines.clean_lines import clean_lines
from roadgis.network.network import RoadNetwork
from roadgis.options.cleaning import CleanOptions, ParallelOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from tests.factories.networks import drawn_network
from tests.factories.roads import ArraySource, road

GOLDEN = Path(__file__).parent / "golden"
SIZE = 500
#: Scenes and label sheets of the Massachusetts roads.
REAL = (
    "train/masks/11278720_15.tif",
    "train/masks/10528795_15.tif",
    "labels_only/10378660_15.tif",
    "labels_only/22979035_15.tif",
    "labels_only/24179035_15.tif",
)
COLUMNS = ("start", "end", "bridged", "length", "x", "y", "width", "p10", "p90", "conf", "least")


def doubtful(mask: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.uint8]:
    """Turn a mask into uneven probability: faint or missing in places, noise off the roads."""
    rng = np.random.default_rng(seed)

    def cells(side: int, values: list[int], shares: list[float]) -> npt.NDArray[np.int64]:
        shape = tuple(-(-n // side) for n in mask.shape)
        drawn = rng.choice(values, shape, p=shares)
        return np.kron(drawn, np.ones((side, side), np.int64))[: mask.shape[0], : mask.shape[1]]

    percent = cells(12, [100, 90, 60, 35, 8], [0.6, 0.2, 0.1, 0.05, 0.05])
    percent = percent * cells(3, [100, 92, 70], [0.6, 0.3, 0.1]) // 100
    beside = cells(7, [0, 4, 20, 140], [0.8, 0.1, 0.08, 0.02])
    out = np.where(mask, 254 * percent // 100, beside).astype(np.uint8)
    out[-40:, -60:] = NO_DATA
    return out


def town(seed: int) -> npt.NDArray[np.bool_]:
    """Draw streets, two carriageways, stubs, near misses and gaps."""
    rng = np.random.default_rng(seed)
    size = float(SIZE)
    strokes = [(0, y + rng.uniform(-9, 9), size, y, rng.uniform(6, 10)) for y in (80, 190, 330)]
    strokes += [(x + rng.uniform(-9, 9), 0, x, size, rng.uniform(5, 9)) for x in (70, 210, 340)]
    strokes += [(0, 420, size, 424, 8), (0, 438, size, 442, 8)]
    for _ in range(10):
        x, y, angle = *rng.uniform(30, size - 30, 2), rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(15, 90)
        end = x + reach * np.cos(angle), y + reach * np.sin(angle)
        strokes.append((x, y, *end, rng.uniform(4, 8)))
    mask = road((SIZE, SIZE), *strokes) > 0
    for x, y in rng.integers(20, SIZE - 40, (12, 2)):
        mask[y : y + 14, x : x + 14] = False
    return mask


def _vectorized(array: npt.NDArray[np.uint8], **clean: Any) -> RoadNetwork:
    return vectorize(ArraySource(array), VectorizeOptions(), clean=CleanOptions(**clean))


def _mask(array: npt.NDArray[np.bool_]) -> RoadNetwork:
    source = ArraySource(np.where(array, 254, 0).astype(np.uint8))
    source.is_mask = True
    return vectorize(source)


def _drawn_lines() -> RoadNetwork:
    drawn = drawn_network("dead_ends", 7.0, "flat", 1)
    lines = shapely.transform(drawn.truth, lambda xy: xy * (1, -1) + (500_000, 5_000_000))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.gpkg"
        geopandas.GeoDataFrame(geometry=lines, crs=32632).to_file(path)
        return clean_lines(path)


MERGED = ParallelOptions(merge_carriageways=True)
DRAWN: dict[str, Callable[[], RoadNetwork]] = {
    "town 1": lambda: _vectorized(doubtful(town(1), 1)),
    "town 2": lambda: _vectorized(doubtful(town(2), 2)),
    "town 3, carriageways merged": lambda: _vectorized(doubtful(town(3), 3), parallels=MERGED),
    "town 4 as a mask": lambda: _mask(town(4)),
    "roundabouts": lambda: _vectorized(drawn_network("roundabouts", 7.0, "flat", 1).mask),
    "lines": _drawn_lines,
}


def real_network(path: Path) -> RoadNetwork:
    """Vectorize a real road mask as a doubtful probability."""
    with rasterio.open(path) as dataset:
        return _vectorized(doubtful(dataset.read(1) > 0, 0))


def rows(network: RoadNetwork) -> npt.NDArray[np.float64]:
    """Return a row for each edge, (E, COLUMNS): metres, places relative to the grid's corner."""
    x, y = shapely.get_coordinates(shapely.centroid(network.edges)).T - [[500_000], [5_000_000]]
    unknown = -1.0
    return np.nan_to_num(
        np.stack(
            [
                network.start, network.end, network.bridged, shapely.length(network.edges), x, y,
                network.width_m, network.width_p10_m, network.width_p90_m, network.confidence,
                network.confidence_min,
            ],
            axis=1,
        ),
        nan=unknown,
    )  # fmt: skip


def summary(network: RoadNetwork) -> dict[str, float]:
    """Return the counts of a network, and the sums of its edges' rows."""
    sums = dict(zip(COLUMNS, rows(network).sum(axis=0).tolist(), strict=True))
    vertices = int(shapely.get_num_coordinates(network.edges).sum())
    return {"edges": len(network), "nodes": len(network.nodes), "vertices": vertices, **sums}


def golden_path(name: str) -> Path:
    """Return the file with the rows of a drawn network."""
    return GOLDEN / f"{name.replace(',', '').replace(' ', '-')}.csv"


def main() -> None:
    """Write all golden files again; those of real data if it is available."""
    for name, make in DRAWN.items():
        table = rows(make())
        np.savetxt(golden_path(name), table, "%.10g", ",", header=",".join(COLUMNS), comments="")
    folder = Path(os.environ.get("ROADGIS_DATA", "shared/data")) / "massachusetts"
    if folder.is_dir():
        found = {name: summary(real_network(folder / name)) for name in REAL}
        (GOLDEN / "massachusetts.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
