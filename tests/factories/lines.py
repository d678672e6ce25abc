"""Small networks made of literal coordinates."""

from __future__ import annotations

import dataclasses

import numpy as np

from roadgis.imagery.grid import Grid
from roadgis.network.centerlines import EDGE_FIELDS, VERTEX_FIELDS, Centerlines
from tests.factories.roads import UTM

Path = list[tuple[float, float]]


def made_lines(*paths: Path, width: float = 4.0, level: int = 200) -> Centerlines:
    """Return edges through (row, column) vertices; ends at one place share a node."""
    ends = sorted({path[at] for path in paths for at in (0, -1)})
    place = np.array(ends, float).reshape(-1, 2)
    row, col = np.array([vertex for path in paths for vertex in path], float).T
    size, nodes = len(row), len(ends)
    return Centerlines(
        grid=Grid(UTM, 500_000.0, 5_000_000.0, 1.0, 100, 100),
        strong_level=127,
        start=np.array([ends.index(path[0]) for path in paths]),
        end=np.array([ends.index(path[-1]) for path in paths]),
        key=np.arange(len(paths)) * 10,
        bridged=np.zeros(len(paths), bool),
        offsets=np.cumsum([0, *(len(path) for path in paths)]),
        row=row,
        col=col,
        d_row=np.zeros(size, np.float32),
        d_col=np.zeros(size, np.float32),
        width_px=np.full(size, width, np.float32),
        probability=np.full(size, level, np.uint8),
        node_key=np.arange(nodes),
        node_row=place[:, 0],
        node_col=place[:, 1],
        node_width_px=np.full(nodes, width, np.float32),
        node_shortening_px=np.zeros(nodes, np.float32),
        node_leaves_raster=np.zeros(nodes, bool),
        node_nodata_distance_px=np.full(nodes, np.inf, np.float32),
    )


def assert_same_lines(one: Centerlines, two: Centerlines) -> None:
    """Assert that two networks are equal to the last bit, order and numbers included."""
    for field in dataclasses.fields(Centerlines):
        if field.name not in ("grid", "road_ends"):
            a, b = getattr(one, field.name), getattr(two, field.name)
            np.testing.assert_array_equal(a, b, err_msg=field.name)


def edge_set(lines: Centerlines) -> set[bytes]:
    """Return the edges by their values, whatever their order and direction.

    Coordinates are rounded: lengths are sums over all edges, so last digits depend on their order.
    """
    out = set()
    values = [getattr(lines, name) for name in VERTEX_FIELDS]
    table = np.round(np.nan_to_num(np.stack(values, axis=1).astype(float), nan=-9.0), 4) + 0.0
    names = [name for name in EDGE_FIELDS if name not in ("start", "end")]
    for edge in range(len(lines)):
        rows = table[lines.offsets[edge] : lines.offsets[edge + 1]]
        ends = [lines.node_key[node] for node in (lines.start[edge], lines.end[edge])]
        ways = (
            np.array(ends).tobytes() + rows.tobytes(),
            np.array(ends[::-1]).tobytes() + rows[::-1].tobytes(),
        )
        out.add(min(ways) + b"".join(getattr(lines, name)[edge].tobytes() for name in names))
    return out
