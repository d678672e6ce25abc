"""Traced lines do not depend on cuts of the raster, to the last bit including ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import NO_DATA
from roadgis.raster_pipeline import vectorize
from roadgis.vectorization import trace_centerlines
from tests.factories.lines import assert_same_lines
from tests.factories.roads import ArraySource, ring, road

# Small widths make a small halo, so that blocks of small rasters do not see everything.
OPTIONS = VectorizeOptions(max_road_width_m=12.0, rim_m=3.0)


def _raster(seed: int, kind: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    shape = (height, width)
    if kind == "noise":
        return (rng.random(shape) * 255).astype(np.uint8)
    if kind == "blobs":
        smooth = ndimage.gaussian_filter(rng.random(shape), rng.uniform(1, 6))
        level = np.quantile(smooth, rng.uniform(0.3, 0.8))
        out = np.clip((smooth - level) / max(smooth.std(), 1e-9) * 127 + 127, 0, 254).astype(
            np.uint8
        )
    else:
        out = np.zeros(shape, np.uint8)
        for _ in range(6):
            x0, x1 = rng.uniform(-20, width + 20, 2)
            y0, y1 = rng.uniform(-20, height + 20, 2)
            out = np.maximum(out, road(shape, (x0, y0, x1, y1, rng.uniform(1, 9))))
            radius = rng.uniform(4, 25)
            out = np.maximum(out, ring(shape, x0, y1, radius, rng.uniform(1, 6)))
        out[rng.random(shape) < 0.01] ^= 254
    if kind == "holes":
        out[ndimage.gaussian_filter(rng.random(shape), 8) > 0.52] = NO_DATA
    return np.asarray(out, np.uint8)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["noise", "blobs", "roads", "holes"]),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    block_px=st.integers(17, 200),
    workers=st.integers(1, 3),
)
@example(seed=1, kind="roads", height=190, width=190, block_px=64, workers=2)
@example(seed=2, kind="holes", height=190, width=130, block_px=31, workers=1)
# Ends whose samples lie halfway between two pixels, where rounding could depend on the block.
@example(seed=4, kind="blobs", height=150, width=150, block_px=41, workers=1)
@example(seed=32, kind="blobs", height=150, width=150, block_px=41, workers=1)
@example(seed=58, kind="roads", height=150, width=150, block_px=41, workers=1)
@example(seed=58, kind="holes", height=150, width=150, block_px=41, workers=1)
def test_trace_centerlines_does_not_depend_on_cuts(
    seed: int, kind: str, height: int, width: int, block_px: int, workers: int
) -> None:
    source = ArraySource(_raster(seed, kind, height, width))
    whole = trace_centerlines(source, OPTIONS, block_px=10_000)
    cut = trace_centerlines(source, OPTIONS, block_px=block_px, workers=workers)
    assert_same_lines(whole, cut)


def test_trace_centerlines_does_not_depend_on_cuts_through_wide_blobs() -> None:
    shape = (700, 700)
    array = road(shape, (0, 350, 700, 320, 9), (350, 0, 350, 700, 58), (0, 0, 700, 700, 57))
    array = np.maximum(array, road(shape, (500, 560, 640, 560, 90)))
    source = ArraySource(array)
    whole = trace_centerlines(source, block_px=700)
    for block_px in (97, 256, 350):
        cut = trace_centerlines(source, block_px=block_px)
        assert_same_lines(whole, cut)


@pytest.mark.parametrize("block_px", [100, 137, 4096])
def test_vectorize_makes_one_edge_of_a_road_across_ten_blocks(block_px: int) -> None:
    array = road((60, 1000), (0, 30, 1000, 30, 7))
    network = vectorize(ArraySource(array), block_px=block_px)
    assert len(network) == 1
    assert network.degree.tolist() == [1, 1]
    assert network.edges[0].length == pytest.approx(1000, abs=1e-6)
