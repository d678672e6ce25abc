"""CPU seconds of APLS and TOPO for networks of growing size.

Run from the repository root::

    python -m benchmarks.evaluation_scaling [EDGES ...]

Each network is a grid of streets 120 m apart with bends; the proposal is the same grid
moved by up to a metre with one street in twenty missing. The last column is the time
divided by n log n, relative to the first row: it stays near 1 or falls where the time grows
at most like that.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.evaluation.apls import apls_score
from roadgis.evaluation.graph import RoadGraph
from roadgis.evaluation.topo import topo_scores


def streets(edges: int, *, moved_m: float = 0.0, missing: float = 0.0) -> npt.NDArray[np.object_]:
    """Return about this number of streets of a bent grid, each between two junctions."""
    rng = np.random.default_rng(7)
    side = max(2, round((edges / 2) ** 0.5))
    at = np.stack(np.meshgrid(np.arange(side + 1), np.arange(side + 1)), axis=-1) * 120.0
    at = at + rng.normal(0.0, 6.0, at.shape) + rng.uniform(-moved_m, moved_m, at.shape)
    pairs = [(at[:, :-1], at[:, 1:]), (at[:-1], at[1:])]
    start = np.concatenate([one.reshape(-1, 2) for one, _ in pairs])
    end = np.concatenate([two.reshape(-1, 2) for _, two in pairs])
    share = np.linspace(0.0, 1.0, 9)[None, :, None]
    points = start[:, None] * (1.0 - share) + end[:, None] * share
    across = (end - start)[:, ::-1] * [-1.0, 1.0]
    bend = 0.03 * np.sin(np.pi * share) * rng.normal(size=(len(start), 1, 1))
    lines = np.asarray(shapely.linestrings(points + bend * across[:, None]), dtype=object)
    return np.asarray(lines[rng.uniform(size=len(lines)) >= missing])


def main() -> None:
    """Print the table."""
    sizes = [int(float(size)) for size in sys.argv[1:]] or [1_000, 10_000, 100_000]
    first: dict[str, float] = {}
    print(f"{'edges':>9} {'part':<6} {'seconds':>8} {'of n log n':>11}  score")
    for size in sizes:
        truth, proposal = streets(size), streets(size, moved_m=1.0, missing=0.05)
        for name, part in (
            ("graph", lambda a, b: len(RoadGraph.from_lines(a))),
            ("APLS", lambda a, b: round(apls_score(a, b).apls, 4)),
            ("TOPO", lambda a, b: round(topo_scores(a, b).f1, 4)),
        ):
            begin = time.process_time()
            score = part(truth, proposal)
            seconds = time.process_time() - begin
            rate = seconds / (len(truth) * np.log(len(truth)))
            ratio = rate / first.setdefault(name, rate)
            print(f"{len(truth):>9} {name:<6} {seconds:>8.2f} {ratio:>11.2f}  {score}", flush=True)


if __name__ == "__main__":
    main()
