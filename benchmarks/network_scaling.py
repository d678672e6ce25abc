"""CPU seconds of cleaning for networks from 1,000 to 1,000,000 edges, step by step.

Run from the repository root::

    python -m benchmarks.network_scaling [EDGES ...] [--no-source]

Each network is a lattice of bent streets 96 m apart at 4 m a pixel, as tracing would give it:
staircases of pixels with their offsets to the middle, gaps, spurs, dead ends, double junctions
and double tracks. The last column is the time divided by n log n, relative to the first row: it
stays near 1 or falls where the time grows at most like that. Small networks are cleaned
several times, and the mean is given, as one run takes only a few clock ticks.
"""

from __future__ import annotations

import argparse
import functools
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from roadgis.imagery.grid import Grid, Window
from roadgis.network import clean
from roadgis.network.centerlines import Centerlines, concatenated_ranges
from roadgis.probability.source import NO_DATA

__all__ = ["ArraySource", "streets"]

_SPACING_PX = 24
_MARGIN_PX = 16
_WIDTH_PX = 2.0
_GSD_M = 4.0
_STRONG, _SURE, _FAINT = 127, 230, 70
#: Networks are cleaned repeatedly until this many edges were cleaned.
_AT_LEAST = 20_000
#: Group of each cleaning step in the table.
_PARTS = {
    "drop_weak_components": "pruning",
    "_pruned": "pruning",
    "drop_small_components": "pruning",
    "contract_junctions": "contraction",
    "merge_parallels": "parallels",
    "bridge_gaps": "bridging",
    "apply_rules": "rules",
    "edge_attributes": "attributes",
    "edge_shapes": "shape",
}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class ArraySource:
    """Probability in memory; a :class:`roadgis.probability.source.ProbabilitySource`."""

    def __init__(self, grid: Grid, array: npt.NDArray[np.uint8]) -> None:
        self.grid = grid
        self.array = array

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return a window; nodata beyond the array."""
        out = np.full((window.height, window.width), NO_DATA, np.uint8)
        height, width = self.array.shape
        top, left = max(0, window.row), max(0, window.col)
        stop, right = min(height, window.row + window.height), min(width, window.col + window.width)
        if top < stop and left < right:
            out[top - window.row : stop - window.row, left - window.col : right - window.col] = (
                self.array[top:stop, left:right]
            )
        return out


class _Drawing:
    """Nodes and straight or bowed edges between them, to be traced."""

    def __init__(self) -> None:
        self.nodes: list[Floats] = []
        self.count = 0
        self.start: list[Ints] = []
        self.end: list[Ints] = []
        self.bow: list[Floats] = []
        self.level: list[Ints] = []

    def add_nodes(self, at: Floats) -> Ints:
        self.nodes.append(np.rint(at))
        numbers = self.count + np.arange(len(at))
        self.count += len(at)
        return numbers

    def add_edges(self, start: Ints, end: Ints, bow: Floats | float, level: int = _SURE) -> None:
        self.start.append(start)
        self.end.append(end)
        self.bow.append(np.broadcast_to(np.asarray(bow, np.float64), start.shape))
        self.level.append(np.full(len(start), level))


def streets(edges: int, *, seed: int = 7) -> tuple[Centerlines, ArraySource]:
    """Return about this number of traced edges, and their probability raster."""
    rng = np.random.default_rng(seed)
    side = max(2, round((edges / 2.75) ** 0.5))
    drawing, faint = _Drawing(), _Drawing()
    ends = _lattice(drawing, side, rng)
    _streets_between(drawing, faint, ends, rng)
    size = (side - 1) * _SPACING_PX + 2 * _MARGIN_PX
    grid = Grid(CRS.from_epsg(32632), 500_000.0, 5_000_000.0, _GSD_M, size, size)
    lines = _traced(drawing, grid)
    array = np.zeros((size, size), np.uint8)
    faint.nodes, faint.count = drawing.nodes, drawing.count
    for one in (_traced(faint, grid), lines):
        row, col = one.row.astype(np.int64), one.col.astype(np.int64)
        for d_row, d_col in ((0, 0), (0, 1), (1, 0), (1, 1)):
            array[row + d_row, col + d_col] = one.probability
    return lines, ArraySource(grid, array)


def _lattice(drawing: _Drawing, side: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Add junctions, some of them double; returns the ends (start, end) of the streets."""
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1)
    place = _MARGIN_PX + at.reshape(-1, 2) * _SPACING_PX + rng.uniform(-2, 2, (side * side, 2))
    first = drawing.add_nodes(place).reshape(side, side)
    double = np.flatnonzero(rng.random(side * side) < 0.06)
    apart = np.where(rng.random(len(double)) < 0.5, 1.0, 3.0)
    twin = drawing.add_nodes(np.rint(place[double]) + apart[:, None])
    drawing.add_edges(double, twin, 0.0)
    last = first.reshape(-1).copy()
    last[double] = twin
    leave = last.reshape(side, side)
    start = np.concatenate([leave[:, :-1].ravel(), leave[:-1].ravel()])
    end = np.concatenate([first[:, 1:].ravel(), first[1:].ravel()])
    return start, end


def _streets_between(
    drawing: _Drawing, faint: _Drawing, ends: tuple[Ints, Ints], rng: np.random.Generator
) -> None:
    """Add streets: whole, with a gap, with a spur, a dead end or a second track, or none."""
    kind = rng.choice(6, len(ends[0]), p=[0.66, 0.05, 0.12, 0.06, 0.04, 0.07])
    bow = rng.normal(0.0, 1.0, len(kind))
    place = np.concatenate(drawing.nodes)

    def some(number: int) -> tuple[Ints, Ints, Floats, Floats, Floats]:
        start, end = ends[0][kind == number], ends[1][kind == number]
        along = place[end] - place[start]
        unit = along / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        return start, end, place[start], along, unit[:, ::-1] * [-1.0, 1.0]

    start, end, *_ = some(0)
    drawing.add_edges(start, end, bow[kind == 0])
    start, end, origin, along, _ = some(1)
    tips = [drawing.add_nodes(origin + share * along) for share in (0.38, 0.62)]
    drawing.add_edges(start, tips[0], 0.0)
    drawing.add_edges(tips[1], end, 0.0)
    faint.add_edges(tips[0], tips[1], 0.0, _FAINT)
    for number, length in ((2, 3.0), (3, 9.0)):
        start, end, origin, along, across = some(number)
        middle = drawing.add_nodes(origin + 0.5 * along)
        tip = drawing.add_nodes(origin + 0.5 * along + length * across)
        drawing.add_edges(start, middle, 0.0)
        drawing.add_edges(middle, end, 0.0)
        drawing.add_edges(middle, tip, 0.0)
    start, end, *_ = some(4)
    drawing.add_edges(start, end, 1.0)
    drawing.add_edges(start, end, -1.2)


def _traced(drawing: _Drawing, grid: Grid) -> Centerlines:
    """Return the drawing as traced lines: pixels, and offsets to the middle."""
    place = np.concatenate(drawing.nodes)
    start, end = np.concatenate(drawing.start), np.concatenate(drawing.end)
    bow, level = np.concatenate(drawing.bow), np.concatenate(drawing.level)
    along = place[end] - place[start]
    steps = np.abs(along).max(axis=1).astype(np.int64)
    keep = steps > 0
    start, end, bow, level = start[keep], end[keep], bow[keep], level[keep]
    along, steps = along[keep], steps[keep]
    edge = np.repeat(np.arange(len(start)), steps + 1)
    number = concatenated_ranges(np.zeros_like(steps), steps + 1)
    share = number / steps[edge]
    across = along[:, ::-1] * [-1.0, 1.0] / np.hypot(*along.T)[:, None]
    bent = (bow[edge] * 4 * share * (1 - share))[:, None] * across[edge]
    exact = place[start][edge] + share[:, None] * along[edge] + bent
    pixel = np.rint(exact)
    off = (exact - pixel).astype(np.float32)
    off[(number < 2) | (number > steps[edge] - 2)] = np.nan
    offsets = np.concatenate([[0], np.cumsum(steps + 1)]).astype(np.int64)
    middle = pixel[offsets[:-1] + (steps + 1) // 2]
    lines = Centerlines(
        grid=grid,
        strong_level=_STRONG,
        start=start,
        end=end,
        key=(middle[:, 0] * grid.width + middle[:, 1]).astype(np.int64),
        bridged=np.zeros(len(start), bool),
        offsets=offsets,
        row=pixel[:, 0].copy(),
        col=pixel[:, 1].copy(),
        d_row=off[:, 0].copy(),
        d_col=off[:, 1].copy(),
        width_px=np.full(len(edge), _WIDTH_PX, np.float32),
        probability=level[edge].astype(np.uint8),
        node_key=(place[:, 0] * grid.width + place[:, 1]).astype(np.int64),
        node_row=place[:, 0].copy(),
        node_col=place[:, 1].copy(),
        node_width_px=np.full(len(place), _WIDTH_PX, np.float32),
        node_shortening_px=np.full(len(place), 1.0, np.float32),
        node_leaves_raster=np.zeros(len(place), bool),
        node_nodata_distance_px=np.full(len(place), np.inf, np.float32),
    )
    # Keys of traced lines are unique; the few edges drawn over each other are dropped.
    _, first = np.unique(lines.key, return_index=True)
    return lines.take(np.sort(first))


@contextmanager
def _timed(seconds: dict[str, float]) -> Iterator[None]:
    """Count the CPU seconds of the steps that clean_network calls."""

    def wrapped(step: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(step)
        def run(*args: Any, **options: Any) -> Any:
            begin = time.process_time()
            try:
                return step(*args, **options)
            finally:
                seconds[part] += time.process_time() - begin

        return run

    steps = {name: getattr(clean, name) for name in _PARTS}
    for name, step in steps.items():
        setattr(clean, name, wrapped(step, _PARTS[name]))
    try:
        yield
    finally:
        for name, step in steps.items():
            setattr(clean, name, step)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edges", type=lambda text: int(float(text)), nargs="*")
    parser.add_argument("--no-source", action="store_true", help="bridge by geometry alone")
    arguments = parser.parse_args()
    first: dict[str, float] = {}
    # Warm-up: imports and caches are not counted.
    clean.clean_network(streets(200)[0])
    print(f"{'edges':>9} {'part':<12} {'seconds':>8} {'of n log n':>11}")
    for size in arguments.edges or [1_000, 10_000, 100_000, 1_000_000]:
        lines, source = streets(size)
        count = len(lines)
        seconds: dict[str, float] = defaultdict(float)
        times = -(-_AT_LEAST // count)
        begin = time.process_time()
        with _timed(seconds):
            for _ in range(times):
                network = clean.clean_network(lines, source=None if arguments.no_source else source)
        seconds["all"] = time.process_time() - begin
        for part, total in seconds.items():
            value = total / times
            rate = value / (count * np.log(count))
            ratio = rate / first.setdefault(part, rate) if value else float("nan")
            print(f"{count:>9} {part:<12} {value:>8.3f} {ratio:>11.2f}", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB
        print(
            f"{'':>9} {len(network)} edges cleaned, {int(network.bridged.sum())} bridged; "
            f"peak {peak:.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
