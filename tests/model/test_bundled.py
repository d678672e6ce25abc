"""The bundled model on the example scene: its roads, and invariance to cuts."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from roadgis.model.card import ModelCard
from roadgis.model.catalog import read_card, resolve_model
from roadgis.model.runtime import Segmenter, load_model
from roadgis.network.network import RoadNetwork
from roadgis.options.extraction import ExtractOptions
from roadgis.options.prediction import PredictOptions
from roadgis.pipeline import extract_roads
from tests.factories.rasters import cut_into_sheets

# rasterio.merge multiplies transforms in a way deprecated by affine 3.
MERGING = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOWN = EXAMPLES / "town.tif"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_model()


@pytest.fixture(scope="module")
def roads(segmenter: Segmenter) -> RoadNetwork:
    return extract_roads(TOWN, model=segmenter)


def relaxed_f1(found: shapely.Geometry, truth: shapely.Geometry, buffer_m: float) -> float:
    """Return the harmonic mean of the shares of length within a buffer of the other."""
    precision = (found & truth.buffer(buffer_m)).length / found.length
    recall = (truth & found.buffer(buffer_m)).length / truth.length
    return float(2 * precision * recall / (precision + recall))


def test_bundled_model_finds_the_roads_of_the_example(roads: RoadNetwork) -> None:
    truth = pyogrio.read_dataframe(EXAMPLES / "town_roads.geojson").to_crs(roads.crs)
    assert isinstance(truth, geopandas.GeoDataFrame)
    f1 = relaxed_f1(shapely.union_all(roads.edges), truth.union_all(), 3.0)
    assert f1 >= 0.85


def test_bundled_model_is_small_and_has_a_complete_card() -> None:
    path = resolve_model(None)
    card = read_card(path)
    assert isinstance(card, ModelCard)
    assert path.stat().st_size <= 30_000_000
    assert card.local
    assert card.margin_px % card.stride == 0
    assert "Massachusetts" in card.training_data
    assert card.scores
    assert card.recipe


def close(a: RoadNetwork, b: RoadNetwork) -> None:
    """Assert that total length and number of nodes differ by less than 0.1 %."""
    assert b.length_m.sum() == pytest.approx(a.length_m.sum(), rel=1e-3)
    assert len(b.nodes) == pytest.approx(len(a.nodes), rel=1e-3)


@pytest.mark.parametrize(
    ("block_px", "tile_px", "workers"), [(768, None, 2), (768, 640, 1), (1536, 768, 3)]
)
def test_tiles_and_blocks_change_its_network_by_less_than_a_thousandth(
    segmenter: Segmenter, roads: RoadNetwork, block_px: int, tile_px: int | None, workers: int
) -> None:
    cut = PredictOptions(block_px=block_px, tile_px=tile_px, workers=workers)
    close(roads, extract_roads(TOWN, model=segmenter, options=ExtractOptions(predict=cut)))


def test_sheets_change_its_network_by_less_than_a_thousandth(
    tmp_path: Path, segmenter: Segmenter, roads: RoadNetwork
) -> None:
    # JPEG files are decoded and stored without loss, so the sheets hold the same pixels.
    sheets = cut_into_sheets(TOWN, tmp_path / "sheets", [333, 1000], [512, 901])
    close(roads, extract_roads(sheets, model=segmenter))


@pytest.mark.real_data
@pytest.mark.slow
def test_bundled_models_reach_their_bars_on_the_validation_scenes(
    tmp_path: Path, real_data: Path, segmenter: Segmenter
) -> None:
    from benchmarks.score_model import score_folder

    folder = real_data / "massachusetts/valid"
    old = load_model("massachusetts")
    for model, iou, relaxed_f1 in ((segmenter, 0.575, 0.89), (old, 0.628, 0.909)):
        total = score_folder(folder, model, model.card.threshold, "EPSG:26986")
        assert total.iou >= iou
        assert total.relaxed_f1 is not None
        assert total.relaxed_f1 >= relaxed_f1


@MERGING
@pytest.mark.real_data
def test_extract_of_the_zurich_sheets_equals_their_merger(
    tmp_path: Path, real_data: Path, segmenter: Segmenter
) -> None:
    import rasterio
    from rasterio.merge import merge

    sheets = sorted((real_data / "orthophotos/zurich_25_sheets").glob("*.tif"))
    assert len(sheets) == 25
    pixels, transform = merge(sheets)
    with rasterio.open(sheets[0]) as first:
        profile = {"crs": first.crs, "dtype": first.dtypes[0], "nodata": first.nodata}
    whole = tmp_path / "whole.tif"
    with rasterio.open(
        whole, "w", driver="GTiff", count=len(pixels), height=pixels.shape[1],
        width=pixels.shape[2], transform=transform, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    # Low, so that roads are found on imagery unlike that of training.
    options = ExtractOptions(threshold=0.2)
    merged = extract_roads(whole, model=segmenter, options=options)
    apart = extract_roads(sheets, model=segmenter, options=options)
    close(merged, apart)
    assert len(merged) > 3
    np.testing.assert_array_equal([g.wkb for g in merged.edges], [g.wkb for g in apart.edges])


@MERGING
@pytest.mark.real_data
def test_neighbouring_label_sheets_vectorize_as_one_network(
    tmp_path: Path, real_data: Path
) -> None:
    import rasterio
    from rasterio.merge import merge

    from roadgis.raster_pipeline import vectorize_file

    folder = real_data / "massachusetts/labels_only"
    names = {path.stem.split("_")[0]: path for path in folder.glob("*.tif")}
    # The names are EEEENNNN in hundreds of metres. The first pair with roads across its seam:
    for west in sorted(names):
        east = f"{int(west[:4]) + 15:04d}{west[4:]}"
        if east in names:
            pair = [names[west], names[east]]
            pixels, transform = merge(pair)
            if (pixels[0, :, 1499] & pixels[0, :, 1500]).sum() > 12:
                break
    with rasterio.open(pair[0]) as first:
        crs = first.crs
    whole = tmp_path / "pair.tif"
    with rasterio.open(
        whole, "w", driver="GTiff", count=1, dtype="uint8", crs=crs, transform=transform,
        height=pixels.shape[1], width=pixels.shape[2],
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    joined = vectorize_file(whole)
    # Small blocks cut at other places; the network is equal to the last bit.
    cut = vectorize_file(
        whole, options=ExtractOptions(predict=PredictOptions(block_px=512, chunk_px=512))
    )
    assert [g.wkb for g in joined.edges] == [g.wkb for g in cut.edges]
    seam_x = transform.c + 1500.0
    across = shapely.intersects(joined.edges, shapely.LineString([(seam_x, -1e7), (seam_x, 1e7)]))
    alone = [vectorize_file(path) for path in pair]
    # Roads that cross the sheets' seam are one edge there, and end on it when cut.
    assert across.sum() >= 1
    assert len(joined) < sum(len(network) for network in alone)
