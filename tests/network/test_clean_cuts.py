"""Cleaning does not depend on cuts of the raster, including bridges, attributes and ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from roadgis.options.cleaning import BridgeOptions, CleanOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from tests.factories.roads import ArraySource, assert_networks_equal, road

# Small widths make a small halo, so that blocks of small rasters do not see everything.
OPTIONS = VectorizeOptions(max_road_width_m=12.0, rim_m=3.0)
# Little is dropped and much is bridged, so that differences show.
CLEAN = CleanOptions(
    min_component_m=4.0,
    min_strong_m=1.0,
    dangle_factor=1.5,
    bridge=BridgeOptions(max_gap_m=40.0, max_turn_deg=60.0, min_evidence=0.01, min_support=0.2),
)


def scenery(seed: int, height: int, width: int, blobs: int) -> npt.NDArray[np.uint8]:
    """Draw roads with gaps, faint parts and blobs on a raster with and without blanks."""
    rng = np.random.default_rng(seed)
    shape = (height, width)
    out = np.zeros(shape, np.uint8)
    for _ in range(7):
        x0, x1 = rng.uniform(-20, width + 20, 2)
        y0, y1 = rng.uniform(-20, height + 20, 2)
        out = np.maximum(out, road(shape, (x0, y0, x1, y1, rng.uniform(3, 8))))
    for _ in range(blobs):
        row, col = rng.uniform(0, height), rng.uniform(0, width)
        rows, cols = np.mgrid[:height, :width]
        away = np.hypot(rows - row, (cols - col) * rng.uniform(0.5, 2))
        out[away < rng.uniform(2, 15)] = rng.choice([0, 0, 20, 60, 200])
    # Varied probability, so that least-cost paths have alternatives.
    noise = ndimage.gaussian_filter(rng.normal(0, 120, shape), 2)
    out = np.clip(out + noise * (out > 0) + np.abs(noise) * 0.5, 0, 254).astype(np.uint8)
    if seed % 2:
        out[ndimage.gaussian_filter(rng.random(shape), 7) > 0.53] = NO_DATA
    return out


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 100_000),
    height=st.integers(20, 160),
    width=st.integers(20, 160),
    blobs=st.integers(0, 12),
    block_px=st.integers(13, 260),
)
@example(seed=2, height=231, width=189, blobs=10, block_px=37)
@example(seed=3, height=189, width=231, blobs=10, block_px=64)
def test_vectorize_gives_the_same_network_for_any_cut(
    seed: int, height: int, width: int, blobs: int, block_px: int
) -> None:
    source = ArraySource(scenery(seed, height, width, blobs))
    whole = vectorize(source, OPTIONS, clean=CLEAN, block_px=10_000)
    cut = vectorize(source, OPTIONS, clean=CLEAN, block_px=block_px)
    assert_networks_equal(whole, cut)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 100_000), blobs=st.integers(0, 12), block_px=st.integers(13, 260))
def test_vectorize_gives_the_same_network_for_any_cut_of_a_mask(
    seed: int, blobs: int, block_px: int
) -> None:
    array = scenery(seed, 200, 220, blobs)
    known = array != NO_DATA
    array[known] = np.where(array[known] >= 127, 254, 0)
    source = ArraySource(array)
    source.is_mask = True
    whole = vectorize(source, OPTIONS, clean=CLEAN, block_px=10_000)
    cut = vectorize(source, OPTIONS, clean=CLEAN, block_px=block_px)
    assert_networks_equal(whole, cut)


@pytest.mark.parametrize("cut_at", range(150, 172, 3))
def test_bridge_gaps_closes_a_gap_on_a_cut(cut_at: int) -> None:
    array = road((90, 400), (0, 45, 150, 45, 7), (172, 45, 400, 45, 7))
    array[42:49, 150:172] = 60
    source = ArraySource(array)
    whole = vectorize(source, block_px=10_000)
    cut = vectorize(source, block_px=cut_at)
    assert whole.bridged.sum() == 1
    assert_networks_equal(whole, cut)


def test_bridge_gaps_works_at_the_corner_of_four_blocks_next_to_nodata() -> None:
    array = road((200, 200), (0, 100, 88, 100, 7), (112, 100, 200, 100, 7), (100, 0, 100, 60, 7))
    array[97:104, 88:112] = 50
    array[60:80, 90:110] = NO_DATA
    source = ArraySource(array)
    whole = vectorize(source, block_px=10_000)
    cut = vectorize(source, block_px=100)
    assert whole.bridged.sum() >= 1
    assert_networks_equal(whole, cut)
