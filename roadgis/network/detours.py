"""Whether the network already leads from one place to another by a short way."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from roadgis.network.centerlines import Centerlines

__all__ = ["Places", "have_detour"]

#: Places on the network, (G,) each: an edge, and how far along it, pixels.
Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def have_detour(
    lines: Centerlines, a: Places, b: Places, within_px: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return for which pairs of places a way along the network is shorter than a limit, (G,).

    Each search ends at its limit, so its time does not depend on the network's size.

    Parameters
    ----------
    lines : Centerlines
        The network.
    a, b : Places
        From where to where.
    within_px : ndarray of float64, shape (G,)
        Limits.
    """
    out = np.zeros(len(within_px), bool)
    if not len(out):
        return out
    length = lines.length_px
    (edge_a, arc_a), (edge_b, arc_b) = a, b
    out |= (edge_a == edge_b) & (np.abs(arc_a - arc_b) < within_px)
    node = np.concatenate([lines.start, lines.end])
    rank = np.argsort(node, kind="stable")
    begin = np.searchsorted(node[rank], np.arange(len(lines.node_key) + 1))
    other = np.concatenate([lines.end, lines.start])[rank]
    step = np.concatenate([length, length])[rank]
    for gap in np.flatnonzero(~out).tolist():
        e, f = int(edge_a[gap]), int(edge_b[gap])
        seeds = [
            (float(arc_a[gap]), int(lines.start[e])),
            (float(length[e] - arc_a[gap]), int(lines.end[e])),
        ]
        left = {int(lines.start[f]): float(arc_b[gap])}
        stop, rest = int(lines.end[f]), float(length[f] - arc_b[gap])
        left[stop] = min(rest, left.get(stop, rest))
        out[gap] = _reaches(seeds, left, float(within_px[gap]), begin, other, step)
    return out


def _reaches(
    seeds: list[tuple[float, int]],
    left: dict[int, float],
    within: float,
    begin: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
    step: npt.NDArray[np.float64],
) -> bool:
    """Return whether a node of `left` is near enough (Dijkstra's search from the seeds)."""
    queue, done = list(seeds), set()
    heapq.heapify(queue)
    while queue:
        distance, node = heapq.heappop(queue)
        if distance >= within:
            return False
        if node in done:
            continue
        done.add(node)
        if distance + left.get(node, within) < within:
            return True
        links = slice(begin[node], begin[node + 1])
        for neighbour, more in zip(other[links].tolist(), step[links].tolist(), strict=True):
            if neighbour not in done:
                heapq.heappush(queue, (distance + more, neighbour))
    return False
