"""Invariance of the network to cuts of a scene: the bundled model on the example.

Prints total length, nodes, and whether all geometries are equal to the last bit, for several
tile and block sizes and for the example cut into sheets; and relaxed F1 (3 m) against its truth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyogrio
import rasterio
import shapely
from rasterio.windows import Window

from roadgis.model.runtime import load_model
from roadgis.options.extraction import ExtractOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BUFFER_M = 3.0


def cut_into_sheets(path: Path, folder: Path, side: int) -> list[Path]:
    """Cut a raster into square sheets without loss and return their paths."""
    sheets = []
    with rasterio.open(path) as source:
        for row in range(0, source.height, side):
            for col in range(0, source.width, side):
                window = Window(
                    col, row, min(side, source.width - col), min(side, source.height - row)
                )
                sheet = folder / f"{row:05d}_{col:05d}.tif"
                with rasterio.open(
                    sheet,
                    "w",
                    driver="GTiff",
                    width=window.width,
                    height=window.height,
                    count=source.count,
                    dtype=source.dtypes[0],
                    crs=source.crs,
                    transform=source.window_transform(window),
                ) as target:
                    target.write(source.read(window=window))
                sheets.append(sheet)
    return sheets


def main() -> None:
    """Measure and print."""
    model = load_model()
    town = EXAMPLES / "town.tif"
    whole = extract_roads(town, model=model)
    print(f"whole: {whole.length_m.sum():.3f} m, {len(whole)} edges, {len(whole.nodes)} nodes")

    truth = pyogrio.read_dataframe(EXAMPLES / "town_roads.geojson").to_crs(whole.crs).union_all()
    found = shapely.union_all(whole.edges)
    precision = (found & truth.buffer(BUFFER_M)).length / found.length
    recall = (truth & found.buffer(BUFFER_M)).length / truth.length
    f1 = 2 * precision * recall / (precision + recall)
    print(f"relaxed ({BUFFER_M:g} m): precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}")

    with tempfile.TemporaryDirectory() as name:
        sheets = cut_into_sheets(town, Path(name), 387)
        cases: list[tuple[str, Path | list[Path], PredictOptions]] = [
            (f"block {block}, tile {tile}", town, PredictOptions(block_px=block, tile_px=tile))
            for block, tile in ((768, None), (768, 640), (2304, 1024), (2304, 560))
        ]
        cases.append((f"{len(sheets)} sheets", sheets, PredictOptions()))
        for text, source, cut in cases:
            network = extract_roads(source, model=model, options=ExtractOptions(predict=cut))
            same = [g.wkb for g in network.edges] == [g.wkb for g in whole.edges]
            print(
                f"{text}: {network.length_m.sum():.3f} m, {len(network)} edges, "
                f"{len(network.nodes)} nodes; {'equal to the last bit' if same else 'differs'}"
            )


if __name__ == "__main__":
    main()
