"""Cleaning steps depend neither on cuts of the raster nor on the order of edges."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from roadgis.network.bridging.bridge import bridge_gaps
from roadgis.network.centerlines import Centerlines
from roadgis.network.clean import cleaned_lines
from roadgis.network.edit import merge_interstitial
from roadgis.network.junctions import contract_junctions
from roadgis.network.parallels import merge_parallels
from roadgis.network.prune import (
    apply_rules,
    drop_dangles,
    drop_small_components,
    drop_small_loops,
    drop_weak_components,
)
from roadgis.options.cleaning import BridgeOptions, CleanOptions, ParallelOptions, RuleOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.probability.source import ProbabilitySource
from roadgis.vectorization import trace_centerlines
from tests.factories.lines import assert_same_lines, edge_set
from tests.factories.roads import ArraySource, road

TRACE = VectorizeOptions(closing_m=0, rim_m=0, max_road_width_m=20)
MERGED = ParallelOptions(merge_carriageways=True, max_separation_m=14)
CLEAN = CleanOptions(min_component_m=10, min_strong_m=5)

Step = Callable[[Centerlines, ProbabilitySource], Centerlines]
STEPS: dict[str, Step] = {
    "merge_interstitial": lambda lines, _: merge_interstitial(lines),
    "drop_weak_components": lambda lines, _: drop_weak_components(lines, 40),
    "drop_dangles": lambda lines, _: drop_dangles(lines, 4.0, 0.7),
    "drop_small_loops": lambda lines, _: drop_small_loops(lines, 8.0),
    "contract_junctions": lambda lines, _: contract_junctions(lines, 1.5),
    "merge_parallels": lambda lines, _: merge_parallels(lines, MERGED),
    "bridge_gaps": lambda lines, source: bridge_gaps(lines, BridgeOptions(), source),
    "apply_rules": lambda lines, _: apply_rules(lines, RuleOptions()),
    "drop_small_components": lambda lines, _: drop_small_components(lines, 60),
    "cleaned_lines": lambda lines, source: cleaned_lines(lines, CLEAN, source=source),
}


def scattered(seed: int, size: int = 160) -> npt.NDArray[np.uint8]:
    """Return straight roads with holes, some of them in pairs, on ground of uneven evidence."""
    rng = np.random.default_rng(seed)
    shape = (size, size)
    out = np.zeros(shape, np.uint8)
    for _ in range(6):
        x0, x1, y0, y1 = rng.uniform(-20, size + 20, 4)
        out = np.maximum(out, road(shape, (x0, y0, x1, y1, rng.uniform(3, 8))))
    out = np.maximum(out, road(shape, (0, 40, size, 44, 4), (0, 51, size, 55, 4)))
    for _ in range(14):
        row, col = rng.integers(0, size, 2)
        out[row : row + rng.integers(3, 25), col : col + rng.integers(3, 25)] = 0
    faint = np.kron(rng.integers(0, 76, (size // 8, size // 8)), np.ones((8, 8))).astype(np.uint8)
    return np.where(out > 0, out, faint)


@lru_cache
def traced(seed: int, block_px: int) -> tuple[Centerlines, ArraySource]:
    source = ArraySource(scattered(seed))
    return merge_interstitial(trace_centerlines(source, TRACE, block_px=block_px)), source


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("name", STEPS)
def test_cleaning_step_does_not_depend_on_cuts_of_the_raster(name: str, seed: int) -> None:
    whole, source = traced(seed, 4096)
    cut, _ = traced(seed, 53)
    assert_same_lines(STEPS[name](whole, source), STEPS[name](cut, source))


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("name", STEPS)
def test_cleaning_step_does_not_depend_on_the_order_of_edges(name: str, seed: int) -> None:
    lines, source = traced(seed, 4096)
    order = np.random.default_rng(seed).permutation(len(lines))
    assert edge_set(STEPS[name](lines.take(order), source)) == edge_set(STEPS[name](lines, source))


def test_cleaning_steps_change_the_lines_they_are_tested_on() -> None:
    idle = set(STEPS) - {"merge_interstitial", "apply_rules", "drop_small_loops"}
    for seed in (2, 3):
        lines, source = traced(seed, 4096)
        before = edge_set(lines)
        idle -= {name for name in idle if edge_set(STEPS[name](lines, source)) != before}
    assert idle == set()
