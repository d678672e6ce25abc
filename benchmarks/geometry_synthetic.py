"""Distance of networks from the lines of perfect masks.

Prints a row for each kind of network, width and cap: root mean square and largest distance
of the centrelines from the truth, junction F1, surplus and missed dead ends, the distance of
dead ends from the true ones, and APLS. All with the default settings.

    uv run --group bench python -m benchmarks.geometry_synthetic [--seeds N] [--first-seed N]
        [--kinds a,b] [--widths 5,7,10,14]
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.network.network import RoadNetwork
from roadgis.raster_pipeline import vectorize
from tests.factories.networks import KINDS, DrawnNetwork, drawn_network
from tests.factories.roads import ArraySource

#: Matching distance of nodes, pixels.
_NEAR = 5.0


class Nearness(NamedTuple):
    """Sums over networks: pixels and counts."""

    squares: float
    points: int
    largest: float
    junctions: int
    junctions_found: int
    junctions_hit: int
    tips_extra: int
    tips_missed: int
    tip_squares: float
    tips_hit: int
    length: float

    def plus(self, other: Nearness) -> Nearness:
        """Return the sums over both."""
        sums: list[Any] = [a + b for a, b in zip(self, other, strict=True)]
        both = Nearness(*sums)
        return both._replace(largest=max(self.largest, other.largest))

    def row(self) -> str:
        """Return the figures of one table row."""
        f1 = 2 * self.junctions_hit / max(self.junctions + self.junctions_found, 1)
        if not self.junctions + self.junctions_found:
            f1 = 1.0
        return (
            f"{(self.squares / max(self.points, 1)) ** 0.5:6.3f} {self.largest:6.2f} {f1:7.3f} "
            f"{self.tips_extra:6d} {self.tips_missed:6d} "
            f"{(self.tip_squares / max(self.tips_hit, 1)) ** 0.5:6.2f} {self.length / 1000:6.2f}"
        )


def nodes_of(lines: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return junctions and dead ends, (N, 2) each."""
    ends = shapely.get_coordinates(shapely.get_point(np.repeat(lines, 2), [0, -1] * len(lines)))
    xy, count = np.unique(ends.round(6), axis=0, return_counts=True)
    return xy[count > 2], xy[count == 1]


def matched(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the distances of pairs of points, nearest first, each point at most once."""
    if not len(a) or not len(b):
        return np.empty(0)
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    out = []
    while (best := distance.min()) < _NEAR:
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        distance[i], distance[:, j] = np.inf, np.inf
        out.append(best)
    return np.array(out)


def sampled(lines: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return points each half pixel."""
    return np.concatenate(
        [
            shapely.line_interpolate_point(line, np.arange(0.25, max(line.length, 0.3), 0.5))
            for line in lines
        ]
        or [np.empty(0, object)]
    )


def nearness(truth: npt.NDArray[np.object_], found: npt.NDArray[np.object_]) -> Nearness:
    """Compare a network with its truth, both in pixels."""
    away = shapely.distance(sampled(found), shapely.multilinestrings(truth))
    back = shapely.distance(sampled(truth), shapely.multilinestrings(found))
    near = away[away < _NEAR]
    true_junctions, true_tips = nodes_of(truth)
    junctions, tips = nodes_of(found)
    tips_hit = matched(true_tips, tips)
    return Nearness(
        squares=float((near**2).sum()),
        points=len(near),
        largest=float(max(away.max(initial=0), back.max(initial=0))),
        junctions=len(true_junctions),
        junctions_found=len(junctions),
        junctions_hit=len(matched(true_junctions, junctions)),
        tips_extra=len(tips) - len(tips_hit),
        tips_missed=len(true_tips) - len(tips_hit),
        tip_squares=float((tips_hit**2).sum()),
        tips_hit=len(tips_hit),
        length=float(shapely.length(found).sum()),
    )


def found_lines(drawn: DrawnNetwork) -> npt.NDArray[np.object_]:
    """Vectorize a mask with the default settings; lines in pixels from the upper left corner."""
    return in_pixels(vectorize(ArraySource(drawn.mask)))


def in_pixels(network: RoadNetwork) -> npt.NDArray[np.object_]:
    """Return a network's lines in pixels from the upper left corner."""
    out = shapely.transform(
        network.edges, lambda xy: (xy - (500_000.0, 5_000_000.0)) * np.array([1.0, -1.0])
    )
    return np.asarray(out, object)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--widths", default="5,6,7,8,10,12,14")
    options = parser.parse_args()
    print("kind        caps  width   rmse    max  junc_f1  extra missed tip_rmse    km   apls")
    for kind in options.kinds.split(","):
        for caps in ("flat", "round"):
            for width in map(float, options.widths.split(",")):
                total, scores = None, []
                for seed in range(options.first_seed, options.first_seed + options.seeds):
                    drawn = drawn_network(kind, width, caps, seed)
                    found = found_lines(drawn)
                    one = nearness(drawn.truth, found)
                    scores.append(apls(drawn.truth, found))
                    total = one if total is None else total.plus(one)
                if total is not None:
                    print(f"{kind:11} {caps:5} {width:5.1f} {total.row()} {np.mean(scores):7.3f}")


def apls(truth: npt.NDArray[np.object_], found: npt.NDArray[np.object_]) -> float:
    """Return the APLS."""
    try:
        from roadgis.evaluation.apls import apls_score
    except ImportError:
        return float("nan")
    return float(apls_score(truth, found).apls)


if __name__ == "__main__":
    main()
