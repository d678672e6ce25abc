"""Arms: where each edge leads at its ends, told from where its middle line is undisturbed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Floats, Ints
from roadgis.network.centerlines import Centerlines, concatenated_ranges

__all__ = ["Arms", "arms_of", "fitted"]

#: Within this many widths of a junction the skeleton leans towards the road that joins,
_LEAN = 0.75
#: and as far as the road is wider than it is elsewhere, at most this many widths.
_MERGE = 3.5
#: A road is wider than elsewhere by more than this factor, and pixels,
_WIDER, _WIDER_PX = 1.08, 0.5
#: on average over so many vertices to both sides,
_BESIDE = 1
#: the skeleton leans for this many widths more,
_MARGIN = 0.3
#: and a stretch of this many widths that is not wider ends it.
_PAUSE = 0.4
#: Within this many widths of a dead end the skeleton may turn into a corner of the road.
_TURN = 0.9
#: Over how many widths the direction is taken, and over how many pixels more.
_SPAN, _SPAN_PX = 2.0, 6.0
#: An arm that leaves its chord by more than this, pixels, is curved.
_SAGITTA = 0.35
#: Over how many times that length where the road is straight, which it is when vertices leave the
#: line by a root mean square of less than this, pixels.
_LONG, _STRAIGHT = 3.0, 0.45
#: Root mean square by which vertices leave the fit where it does not do, pixels.
_ROUGH = 0.6


@dataclass(frozen=True)
class Arms:
    """Both ends of E edges: arm e is the start of edge e, arm E + e its end. A = 2 E.

    Attributes
    ----------
    node : ndarray of int64, shape (A,)
        Where each leads.
    cut : ndarray of float64, shape (A,)
        How far from the node, along its edge, the line is disturbed, pixels.
    row, col : ndarray of float64, shape (A,)
        Where the undisturbed part begins: the arm's foot.
    d_row, d_col : ndarray of float64, shape (A,)
        Unit vector from there towards the node; 0 where the edge is too short to tell.
    bend : ndarray of float64, shape (A,)
        Curvature, 1/pixels, on the way to the node; positive towards (-d_col, d_row).
    width : ndarray of float64, shape (A,)
        Of the road.
    span : ndarray of float64, shape (A,)
        Length over which the direction was taken, pixels.
    vague : ndarray of bool, shape (A,)
        Whether the edge is hardly longer than what is disturbed.
    rms : ndarray of float64, shape (A,)
        Root mean square by which vertices leave the line or parabola, pixels.
    """

    node: Ints
    cut: Floats
    row: Floats
    col: Floats
    d_row: Floats
    d_col: Floats
    bend: Floats
    width: Floats
    span: Floats
    vague: Bools
    rms: Floats

    def __len__(self) -> int:
        return len(self.node)

    @property
    def known(self) -> Bools:
        """Arms that have a direction, (A,)."""
        return np.asarray((self.d_row != 0) | (self.d_col != 0), bool)


def arms_of(
    lines: Centerlines, edge_width_px: Floats, more: Floats | None = None, seen: Bools | None = None
) -> Arms:
    """Fit a line, or a parabola where the road is curved, to each end of each edge.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    more : ndarray of float64, shape (A,), optional
        By how much to begin farther from the nodes than usual, pixels.
    seen : ndarray of bool, shape (N,), optional
        Dead ends up to which the vertices are in the middle of the road.
    """
    width = np.concatenate([edge_width_px, edge_width_px])
    node = np.concatenate([lines.start, lines.end])
    length = lines.length_px
    from_start, from_end = lines.arcs
    degree = lines.degree[node]
    junction_width = np.minimum(lines.node_width_px.astype(np.float64)[node], 2 * width)
    lean = _LEAN * junction_width
    merge = np.concatenate(
        [
            _merging(lines, edge_width_px, arc, part, at_end=at_end)
            for arc, part, at_end in zip(
                (from_start, from_end), np.split(lean, 2), (False, True), strict=True
            )
        ]
    )
    twice = np.concatenate([length, length])
    tip = np.where(degree == 1, _TURN * width, 0.0)
    if seen is not None:
        tip = np.where(seen[node], 0.0, tip)
    least = np.where(degree > 2, lean, tip)
    want = np.where(degree > 2, np.maximum(lean, merge), tip)
    if more is not None:
        want = want + more
    # On a short edge what is sure to be disturbed must do.
    short = twice - want - _other(want) < np.maximum(0.75 * width, 4.0)
    want = np.where(short, least, want)
    other = _other(want)
    # However short an edge, its middle remains.
    cut = np.minimum(want, 0.45 * twice)
    far = np.minimum(cut + _SPAN * width + _SPAN_PX, twice - np.minimum(other, 0.45 * twice))
    vague = twice - want - other < np.maximum(0.75 * width, 4.0)
    # There is no undisturbed part: the direction of its middle half is the best guess.
    cut = np.where(vague, np.minimum(want, 0.35 * twice), cut)
    far = np.where(vague, np.maximum(0.65 * twice, cut), np.maximum(far, cut))
    limit = twice - np.minimum(other, 0.45 * twice)
    arms = _fitted_between(lines, cut, far, limit, width, vague)
    return dataclasses.replace(arms, node=node, cut=cut, width=width, vague=vague)


def _fitted_between(
    lines: Centerlines, cut: Floats, far: Floats, limit: Floats, width: Floats, vague: Bools
) -> Arms:
    """Fit what lies between two distances from each arm's node; straight roads up to a limit."""

    def fit(to: Floats, straight: Bools) -> Arms:
        begin, stop = _windows(lines, *lines.arcs, cut, to)
        return fitted(lines, begin, stop, straight)

    arms = fit(far, vague)
    # Where a parabola does not do, the road turns farther away: the nearer half says more.
    rough = (arms.rms > _ROUGH) & ~vague
    if rough.any():
        arms = fit(np.where(rough, (cut + far) / 2, far), vague)
    # Roads that stay straight for long have their direction from all of that.
    long = np.maximum(far, np.minimum(cut + _LONG * (far - cut), limit))
    whole = fit(long, np.ones_like(vague))
    straight = (whole.rms < _STRAIGHT) & (whole.span >= _SPAN * width + _SPAN_PX) & ~vague
    return _either(straight, whole, arms)


def _either(use: Bools, one: Arms, two: Arms) -> Arms:
    """Return the arms of the first fit where it is to be used, else of the second."""
    fields = ((f.name, getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))
    return Arms(**{name: np.where(use, a, b) for name, a, b in fields})


def _other(value: Floats) -> Floats:
    """Return for each arm what the other arm of its edge has."""
    return np.concatenate(np.split(value, 2)[::-1])


def _merging(
    lines: Centerlines, width: Floats, arc: Floats, lean: Floats, *, at_end: bool
) -> Floats:
    """Return how far from one end of each edge its road is one with another, (E,) pixels.

    As far as it is wider than elsewhere, from where the skeleton leans on, without a longer
    stretch that is not.
    """
    edge = lines.edge_of_vertex
    limit = np.minimum(_MERGE * width, 0.45 * lines.length_px)
    wide = _mean_width(lines) > _WIDER * width[edge] + _WIDER_PX
    at = np.flatnonzero(wide & (arc <= limit[edge]))
    out = np.zeros(len(lines))
    if not len(at):
        return out
    at = at[np.lexsort([arc[at], edge[at]])]
    of, away = edge[at], np.maximum(arc[at], lean[edge[at]])
    new = np.concatenate([[True], of[1:] != of[:-1]])
    # Nothing is known up to the next vertex, which is far where junctions were made one.
    node = lines.offsets[1:] - 1 if at_end else lines.offsets[:-1]
    step = -1 if at_end else 1
    following = np.where(new, node[of], np.concatenate([[0], at[:-1]])) + step
    before = np.maximum(lean[of], arc[following])
    gaps = np.cumsum(away - before > np.maximum(_PAUSE * width[of], 3.0))
    first = np.maximum.accumulate(np.where(new, np.arange(len(at)), 0))
    # A gap before an edge's first wide vertex counts, one of the edge before does not.
    unbroken: Bools = gaps - np.where(first > 0, gaps[first - 1], 0) == 0
    np.maximum.at(out, of[unbroken], away[unbroken] + _MARGIN * width[of[unbroken]])
    return out


def _mean_width(lines: Centerlines) -> Floats:
    """Return the road's width at each vertex and its neighbours: on pixels each alone is coarse."""
    at, edge = np.arange(len(lines.row)), lines.edge_of_vertex
    low, high = lines.offsets[:-1][edge], lines.offsets[1:][edge] - 1
    near = [lines.width_px[np.clip(at + step, low, high)] for step in range(-_BESIDE, _BESIDE + 1)]
    return np.asarray(np.mean(near, axis=0, dtype=np.float64), np.float64)


def _windows(
    lines: Centerlines, from_start: Floats, from_end: Floats, cut: Floats, far: Floats
) -> tuple[Ints, Ints]:
    """Return the vertices begin..stop - 1 between two distances from each arm's node."""
    count = len(lines)
    ahead = [lines.first_beyond(from_start, d[:count], at_end=False) for d in (cut, far)]
    back = [lines.first_beyond(from_end, d[count:], at_end=True) for d in (cut, far)]
    last = lines.offsets[1:]
    begin = np.concatenate([ahead[0], back[1]])
    stop = np.concatenate([ahead[1], back[0]]) + 1
    low = np.concatenate([lines.offsets[:-1], lines.offsets[:-1]])
    begin = np.clip(begin, low, np.concatenate([last, last]) - 1)
    return begin, np.clip(stop, begin + 1, np.concatenate([last, last]))


def fitted(lines: Centerlines, begin: Ints, stop: Ints, vague: Bools) -> Arms:
    """Fit vertices begin..stop - 1 of each of A arms.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    begin, stop : ndarray of int64, shape (A,)
        The first half of the arms lead to their first vertex, the others to their last.
    vague : ndarray of bool, shape (A,)
        Arms that are taken as straight.

    Returns
    -------
    Arms
        Without nodes, cuts and widths.
    """
    arms = len(begin)
    at_end = np.arange(arms) >= arms // 2
    near, far = np.where(at_end, stop - 1, begin), np.where(at_end, begin, stop - 1)
    # From the far to the near vertex; rows and columns relative to the near one.
    d_row, d_col = lines.row[near] - lines.row[far], lines.col[near] - lines.col[far]
    chord = np.hypot(d_row, d_col)
    known = chord > 1.0
    d_row, d_col = (np.where(known, d / np.where(known, chord, 1.0), 0.0) for d in (d_row, d_col))
    of = np.repeat(np.arange(arms), stop - begin)
    vertex = concatenated_ranges(begin, stop)
    row, col = lines.row[vertex] - lines.row[near][of], lines.col[vertex] - lines.col[near][of]
    half = np.where(known, chord, 2.0) / 2
    along = (row * d_row[of] + col * d_col[of]) / half[of] + 1
    across = -row * d_col[of] + col * d_row[of]
    level, slope, arch = _parabolas(of, along, across, arms)
    curved = (np.abs(arch) > _SAGITTA) & known & (stop - begin >= 6) & ~vague
    straight = _straights(of, along, across, arms)
    level, slope = np.where(curved, level, straight[0]), np.where(curved, slope, straight[1])
    arch = np.where(curved, arch, 0.0)
    residual = across - level[of] - along * slope[of] - along**2 * arch[of]
    rms = np.sqrt(_sum(of, residual**2, arms) / (stop - begin))
    # At along = 1, the near end of the window. A parabola bends less there than in its middle;
    # the arc that is as high over the same chord does not.
    rise = 2 * np.arctan(arch / half)
    off, turned = level + slope + arch, np.arctan(slope / half) + rise
    d_side, d_forth, none = np.sin(turned), np.cos(turned), np.zeros(arms)
    return Arms(
        node=none.astype(np.int64),
        cut=none,
        row=lines.row[near] - off * d_col,
        col=lines.col[near] + off * d_row,
        d_row=d_forth * d_row - d_side * d_col,
        d_col=d_forth * d_col + d_side * d_row,
        bend=np.sin(rise) / half,
        width=none,
        span=np.where(known, chord, 0.0),
        vague=vague,
        rms=rms,
    )


def _sum(of: Ints, value: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(of, weights=value, minlength=count), np.float64)


def _straights(of: Ints, x: Floats, y: Floats, count: int) -> tuple[Floats, Floats]:
    """Return level at 0 and slope of the best line through each group's points."""
    n = np.maximum(np.bincount(of, minlength=count), 1)
    mean_x, mean_y = _sum(of, x, count) / n, _sum(of, y, count) / n
    square = _sum(of, (x - mean_x[of]) ** 2, count)
    slope = _sum(of, (x - mean_x[of]) * (y - mean_y[of]), count) / np.where(square > 0, square, 1.0)
    return mean_y - slope * mean_x, slope


def _parabolas(of: Ints, x: Floats, y: Floats, count: int) -> tuple[Floats, Floats, Floats]:
    """Return the coefficients of 1, x and x squared of the best parabola for each group."""
    power = [_sum(of, x**k, count) for k in range(5)]
    right = np.stack([_sum(of, y * x**k, count) for k in range(3)], axis=-1)
    normal = np.stack(
        [np.stack([power[i + j] for j in range(3)], axis=-1) for i in range(3)], axis=-2
    )
    # Where there are fewer than three points the least change from nothing is taken.
    normal = normal + 1e-6 * np.eye(3)
    level, slope, arch = np.linalg.solve(normal, right[..., None])[..., 0].T
    return level, slope, arch
