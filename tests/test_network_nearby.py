"""What is left out because it is far away, or unchanged, would have changed nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import shapely

import roadgis.network.beside as beside_module
from benchmarks.network_scaling import streets
from roadgis.network.beside import Neighbours, beside, neighbours
from roadgis.network.nearby import edges_near
from roadgis.network.options import ParallelOptions
from roadgis.network.parallels import _candidates, _disjoint, _merged
from roadgis.network.prune import _judged, _some_of


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0.0, 5.0, 300.0])
def test_no_edge_that_touches_a_box_is_left_out(seed: int, size: float) -> None:
    lines, _ = streets(2000, seed=seed)
    xy = np.stack([lines.col, lines.row], axis=1)
    drawn = np.asarray(shapely.linestrings(xy, indices=lines.edge_of_vertex), object)
    rng = np.random.default_rng(seed)
    # Some of the boxes lie at vertices, some beyond the network.
    low = rng.uniform(-100, lines.grid.height + 100, (10, 2))
    low[:5] = np.stack([lines.row, lines.col], axis=1)[rng.integers(len(lines.row), size=5)]
    high = low + size * rng.random((10, 2))
    near = edges_near(lines, low, high)
    boxes = shapely.box(low[:, 1], low[:, 0], high[:, 1], high[:, 0])
    touched = np.unique(shapely.STRtree(drawn).query(boxes, predicate="intersects")[1])
    assert len(touched) > 0
    assert near[touched].all()
    assert near.mean() < (0.3 if size < 100 else 1.0)


def test_without_boxes_no_edge_is_near() -> None:
    lines, _ = streets(100)
    assert not edges_near(lines, np.empty((0, 2)), np.empty((0, 2))).any()
    none = lines.take(np.empty(0, np.int64))
    assert len(edges_near(none, np.zeros((1, 2)), np.ones((1, 2)))) == 0


def _as_set(found: Neighbours) -> set[tuple[float, ...]]:
    columns = (*found.pairs.T, found.distance, found.limit)
    return {tuple(row) for row in np.stack(columns, axis=1).tolist()}


@pytest.mark.parametrize(
    "options",
    [ParallelOptions(), ParallelOptions(merge_carriageways=True, max_separation_m=30.0)],
)
def test_neighbours_of_a_round_are_those_found_from_scratch(options: ParallelOptions) -> None:
    lines, _ = streets(2000)
    # Roads of different widths: the wider one of a pair finds the other.
    width = np.random.default_rng(0).uniform(1, 4, len(lines))[lines.edge_of_vertex]
    lines = dataclasses.replace(lines, width_px=width.astype(np.float32))
    found = neighbours(lines, options, None)
    pairs = _disjoint(*_candidates(found, options))
    assert len(pairs) > 5
    # A wide road is met with at another place, too.
    lines = _merged(lines, pairs[::2])
    again, scratch = neighbours(lines, options, found), neighbours(lines, options, None)
    assert _as_set(again) == _as_set(scratch)
    assert len(_as_set(again)) > 5
    assert shapely.equals_identical(again.shapes, scratch.shapes).all()
    kept = np.isin(again.shapes, found.shapes[found.shapes != np.array(None)])
    assert 0 < (~kept).sum() < len(lines) / 2


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_beside_each_other_is_left_out_by_its_box(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    base = np.array([[0, 0], [40, 0], [80, 9]]) + rng.uniform(0, 12, (30, 1, 2))
    shapes = np.asarray(shapely.linestrings(base + rng.uniform(0, 4, (30, 3, 2))), object)
    a, b = np.divmod(np.arange(900), 30)
    limit = rng.uniform(1, 9, 900)
    distance, aligned = beside(shapes, a, b, limit)
    monkeypatch.setattr(
        beside_module, "_may_be_beside", lambda *pairs: np.ones(len(pairs[1]), bool)
    )
    whole_distance, whole_aligned = beside(shapes, a, b, limit)
    assert 0 < aligned.sum() < 900
    assert np.array_equal(aligned, whole_aligned)
    assert np.array_equal(distance[aligned], whole_distance[aligned])


def test_some_dead_ends_are_judged_as_among_all() -> None:
    lines, _ = streets(1000)
    width: npt.NDArray[np.float32] = np.full(len(lines), 2.0, np.float32)
    some = np.flatnonzero((lines.degree[lines.start] == 1) | (lines.degree[lines.end] == 1))
    part = _some_of(lines, some)
    assert np.array_equal(part.degree, lines.degree)
    whole = _judged(lines, lines.length_px, width)
    alone = _judged(part, lines.length_px[some], width[some])
    for one, two in zip(whole, alone, strict=True):
        assert np.array_equal(one[some], two)
