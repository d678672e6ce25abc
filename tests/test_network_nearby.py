"""What is left out because it is far away, or unchanged, would have changed nothing."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from benchmarks.network_scaling import streets
from roadgis.network.nearby import edges_near


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
