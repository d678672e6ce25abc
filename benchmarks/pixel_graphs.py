"""Lines of thinned masks by sknw and skan, for comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.imagery.grid import Grid

__all__ = ["lines_of_skan", "lines_of_sknw"]


def lines_of_sknw(skeleton: npt.NDArray[np.bool_], grid: Grid) -> npt.NDArray[np.object_]:
    """Trace a skeleton (H, W) with sknw; edges run from node to node, in the grid's CRS."""
    import sknw

    graph = sknw.build_sknw(skeleton.astype(np.uint16), multi=True)
    out = []
    for start, end, edge in graph.edges(data=True):
        first, last = graph.nodes[start]["o"], graph.nodes[end]["o"]
        points = edge["pts"].astype(np.float64)
        if np.hypot(*(points[0] - first)) > np.hypot(*(points[-1] - first)) and start != end:
            points = points[::-1]
        out.append(_line(np.vstack([first[None], points, last[None]]), grid))
    lines = np.array(out, object)
    return lines[shapely.length(lines) > 0]


def lines_of_skan(skeleton: npt.NDArray[np.bool_], grid: Grid) -> npt.NDArray[np.object_]:
    """Trace a skeleton (H, W) with skan, in the grid's CRS."""
    from skan import Skeleton

    paths = Skeleton(skeleton)
    lines = [_line(paths.path_coordinates(number), grid) for number in range(paths.n_paths)]
    return np.array([line for line in lines if line.length > 0], object)


def _line(row_col: npt.NDArray[Any], grid: Grid) -> shapely.LineString:
    row, col = row_col.T.astype(np.float64)
    return shapely.LineString(grid.xy(row, col))
