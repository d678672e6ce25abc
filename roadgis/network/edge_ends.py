"""Edge ends: the direction, curvature and width of each edge at its nodes.

Shapes: E edges, V vertices, A edge ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bools, Floats, Ints, first_of_each
from roadgis.network.centerlines import Centerlines, concatenated_ranges


@dataclass(frozen=True)
class EdgeEndTuning:
    """Constants of :func:`fitted_ends`; lengths in road widths or pixels.

    Not fitted to imagery; checked on drawn networks (perfect masks).
    """

    #: Within this many widths of a junction the skeleton leans towards the joining road.
    lean_widths: float = 0.75
    #: Most widths from a junction within which two roads may still be one in the mask.
    merged_widths: float = 3.5
    #: The road is merged with another one where it is wider than its own width by this factor
    wider: float = 1.08
    #: and by this many pixels more.
    wider_px: float = 0.5
    #: Vertices to each side over which the width is averaged.
    width_vertices: int = 1
    #: The skeleton still leans for this many widths after the merged stretch.
    margin_widths: float = 0.3
    #: A stretch of this many widths that is not wider ends the merged stretch,
    pause_widths: float = 0.4
    #: at least of this many pixels.
    pause_px: float = 3.0
    #: Within this many widths of a dead end the skeleton may turn into a corner of the road.
    turn_widths: float = 0.9
    #: Widths over which the direction is taken,
    span_widths: float = 2.0
    #: and pixels added to them.
    span_px: float = 6.0
    #: An end is curved where the road leaves its chord by more than this, pixels.
    sagitta_px: float = 0.35
    #: Straight roads are fitted over this many times the usual length.
    straight_factor: float = 3.0
    #: A road is straight where its vertices leave the line by less than this (RMS), pixels.
    straight_rms_px: float = 0.45
    #: A fit is poor from this RMS, pixels; half the length is fitted then.
    poor_rms_px: float = 0.6
    #: The width at a junction counts up to this many times that of the road.
    junction_widths: float = 2.0
    #: An edge is short when less than this many widths are undisturbed,
    short_widths: float = 0.75
    #: or less than this, pixels.
    short_px: float = 4.0
    #: Largest part of an edge that is left out at each end; if none is undisturbed,
    most_cut: float = 0.45
    #: this part: the direction is that of the middle.
    vague_cut: float = 0.35
    #: Fewest vertices of an arc.
    arc_vertices: int = 6


TUNING = EdgeEndTuning()


@dataclass(frozen=True)
class FittedLines:
    """Lines, or arcs, through the vertices of A windows; see :func:`fit_lines`.

    Attributes
    ----------
    row, col : ndarray of float64, shape (A,)
        Foot: the point of the line at the window's end that is nearer to the node.
    d_row, d_col : ndarray of float64, shape (A,)
        Unit vector at the foot towards the node; 0 where the window is too short.
    bend : ndarray of float64, shape (A,)
        Curvature, 1/pixels; positive towards (-d_col, d_row).
    span : ndarray of float64, shape (A,)
        Length of the window's chord, pixels.
    rms : ndarray of float64, shape (A,)
        Root mean square distance of the vertices from the line, pixels.
    """

    row: Floats
    col: Floats
    d_row: Floats
    d_col: Floats
    bend: Floats
    span: Floats
    rms: Floats

    @property
    def known(self) -> Bools:
        """Whether there is a direction, (A,)."""
        return np.asarray((self.d_row != 0) | (self.d_col != 0), bool)

    @property
    def foot(self) -> Floats:
        """The feet as rows and columns, (A, 2)."""
        return np.stack([self.row, self.col], axis=1)

    @property
    def direction(self) -> Floats:
        """The directions as rows and columns, (A, 2)."""
        return np.stack([self.d_row, self.d_col], axis=1)


@dataclass(frozen=True)
class EdgeEnds(FittedLines):
    """A table of edge ends, with the foot, direction and curvature of each.

    Attributes
    ----------
    edge : ndarray of int64, shape (A,)
        Edge.
    at_end : ndarray of bool, shape (A,)
        Whether this is the edge's end, not its start.
    node : ndarray of int64, shape (A,)
        Node at which it ends.
    cut : ndarray of float64, shape (A,)
        Distance along the edge from the node to the foot, pixels. Nearer to the node the line is
        disturbed by the other edges there, or by the end of the road.
    vague : ndarray of bool, shape (A,)
        Whether the edge is hardly longer than its disturbed parts.
    width : ndarray of float64, shape (A,)
        Width of the road, pixels.
    """

    edge: Ints
    at_end: Bools
    node: Ints
    cut: Floats
    vague: Bools
    width: Floats

    def __len__(self) -> int:
        return len(self.node)

    def node_ahead(self, lines: Centerlines) -> Floats:
        """Return how far the node is ahead of each foot in its direction, (A,) pixels."""
        row, col = lines.node_row[self.node] - self.row, lines.node_col[self.node] - self.col
        return np.asarray(row * self.d_row + col * self.d_col, np.float64)


def chord_ends(
    lines: Centerlines,
    edge: Ints,
    at_end: Bools,
    near: Floats,
    far: Floats,
    width: Floats,
    *,
    on_skeleton: bool = False,
) -> EdgeEnds:
    """Return edge ends whose direction is that of a chord along the road.

    Parameters
    ----------
    edge : ndarray of int64, shape (A,)
        Edge of each end.
    at_end : ndarray of bool, shape (A,)
        Whether it is the edge's end, not its start.
    near, far : ndarray of float64, shape (A,)
        Distances from the node, along the edge, of the chord's ends, pixels.
    width : ndarray of float64, shape (A,)
        Width of the road.
    on_skeleton : bool
        Take vertices of the skeleton, each the first beyond its distance: near a junction, the
        middle of the road is unknown. By default the chord lies in the middle of the road.
    """
    place_at = _vertex_at if on_skeleton else _middle_at
    some, number = lines.take(edge), np.arange(len(edge))
    row, col = place_at(some, number, at_end, near)
    far_row, far_col = place_at(some, number, at_end, far)
    span = np.hypot(row - far_row, col - far_col)
    scale = np.maximum(span, 1e-9)
    none = np.zeros(len(edge))
    return EdgeEnds(
        edge=edge,
        at_end=at_end,
        node=np.where(at_end, lines.end[edge], lines.start[edge]),
        cut=near,
        vague=np.zeros(len(edge), bool),
        width=width,
        row=row,
        col=col,
        d_row=(row - far_row) / scale,
        d_col=(col - far_col) / scale,
        bend=none,
        span=span,
        rms=none,
    )


def _vertex_at(
    lines: Centerlines, edge: Ints, at_end: Bools, distance: Floats
) -> tuple[Floats, Floats]:
    """Return the first vertices at least at distances from edges' ends: rows, columns."""
    total = lines.cumulative_length
    first, last = lines.offsets[edge], lines.offsets[edge + 1] - 1
    ahead = np.searchsorted(total, total[first] + distance)
    back = np.searchsorted(total, total[last] - distance, side="right") - 1
    at = np.clip(np.where(at_end, back, ahead), first, last)
    return lines.row[at], lines.col[at]


def _middle_at(
    lines: Centerlines, edge: Ints, at_end: Bools, distance: Floats
) -> tuple[Floats, Floats]:
    """Return the middle of roads at distances from their ends: rows, columns."""
    total = lines.cumulative_length
    first, last = lines.offsets[edge], lines.offsets[edge + 1] - 1
    along = np.where(at_end, total[last] - distance, total[first] + distance)
    after = np.clip(np.searchsorted(total, along), first + 1, last)
    step = total[after] - total[after - 1]
    share = np.where(step > 0, (along - total[after - 1]) / np.where(step > 0, step, 1.0), 0.0)
    row, col = (
        (1 - share) * (centre[after - 1] + np.nan_to_num(shift[after - 1]))
        + share * (centre[after] + np.nan_to_num(shift[after]))
        for centre, shift in ((lines.row, lines.d_row), (lines.col, lines.d_col))
    )
    return row, col


def fitted_ends(
    lines: Centerlines,
    edge_width_px: Floats,
    more: Floats | None = None,
    measured: Bools | None = None,
) -> EdgeEnds:
    """Fit a line, or an arc where the road is curved, to each end of each edge.

    The fit begins where the skeleton no longer leans towards another road, and no longer turns
    into a corner of its own road: at acute junctions several widths away.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    edge_width_px : ndarray of float64, shape (E,)
        Width of each road.
    more : ndarray of float64, shape (2 E,), optional
        Distance by which to begin farther from the nodes than usual, pixels.
    measured : ndarray of bool, shape (N,), optional
        Dead ends up to which the vertices are in the middle of the road.

    Returns
    -------
    EdgeEnds
        2 E of them: the start of edge e is number e, its end number E + e.
    """
    width, length = np.tile(edge_width_px, 2), np.tile(lines.length_px, 2)
    edge, at_end, node = lines.edge_ends
    want, least = _disturbed_lengths(lines, edge_width_px, measured)
    if more is not None:
        want = want + more
    # On a short edge only what is certainly disturbed is left out.
    least_left = np.maximum(TUNING.short_widths * width, TUNING.short_px)
    short = length - want - _other_end(want) < least_left
    want = np.where(short, least, want)
    other = _other_end(want)
    # However short an edge, its middle remains.
    most = TUNING.most_cut * length
    cut = np.minimum(want, most)
    span = TUNING.span_widths * width + TUNING.span_px
    limit = length - np.minimum(other, most)
    far = np.minimum(cut + span, limit)
    vague = length - want - other < least_left
    # Without an undisturbed part, the direction of the middle half is the best guess.
    cut = np.where(vague, np.minimum(want, TUNING.vague_cut * length), cut)
    vague_far = np.maximum((1 - TUNING.vague_cut) * length, cut)
    far = np.where(vague, vague_far, np.maximum(far, cut))
    return EdgeEnds(
        edge=edge,
        at_end=at_end,
        node=node,
        cut=cut,
        vague=vague,
        width=width,
        **vars(_fitted_between(lines, cut, far, limit, span, vague)),
    )


def _disturbed_lengths(
    lines: Centerlines, edge_width_px: Floats, measured: Bools | None
) -> tuple[Floats, Floats]:
    """Return how far from its node each edge end is disturbed, and how far at least, (2 E,)."""
    width = np.tile(edge_width_px, 2)
    _, _, node = lines.edge_ends
    degree = lines.degree[node]
    junction_width = np.minimum(
        lines.node_width_px.astype(np.float64)[node], TUNING.junction_widths * width
    )
    lean = TUNING.lean_widths * junction_width
    merged = np.concatenate(
        [
            _merged_length(lines, edge_width_px, along, part, at_end=at_end)
            for along, part, at_end in zip(
                lines.distance_along, np.split(lean, 2), (False, True), strict=True
            )
        ]
    )
    tip = np.where(degree == 1, TUNING.turn_widths * width, 0.0)
    if measured is not None:
        tip = np.where(measured[node], 0.0, tip)
    least = np.where(degree > 2, lean, tip)
    return np.where(degree > 2, np.maximum(lean, merged), tip), least


def _fitted_between(
    lines: Centerlines, cut: Floats, far: Floats, limit: Floats, span: Floats, vague: Bools
) -> FittedLines:
    """Fit the part between two distances from each end's node; straight roads up to a limit."""

    def fit(to: Floats, straight: Bools) -> FittedLines:
        return fit_lines(lines, *_windows(lines, cut, to), straight)

    fitted = fit(far, vague)
    # Where an arc does not fit, the road turns farther away: the nearer half is more reliable.
    poor = (fitted.rms > TUNING.poor_rms_px) & ~vague
    if poor.any():
        fitted = fit(np.where(poor, (cut + far) / 2, far), vague)
    long = np.maximum(far, np.minimum(cut + TUNING.straight_factor * (far - cut), limit))
    whole = fit(long, np.ones_like(vague))
    straight = (whole.rms < TUNING.straight_rms_px) & (whole.span >= span) & ~vague
    return FittedLines(
        **{
            name: np.where(straight, value, vars(fitted)[name])
            for name, value in vars(whole).items()
        }
    )


def _other_end(value: Floats) -> Floats:
    """Return for each end the value of the other end of its edge."""
    return np.concatenate(np.split(value, 2)[::-1])


def _merged_length(
    lines: Centerlines, width: Floats, along: Floats, lean: Floats, *, at_end: bool
) -> Floats:
    """Return how far from one end each edge's road is merged with another one, (E,) pixels.

    That is the stretch in which the road is wider than elsewhere, without longer interruptions.
    """
    edge = lines.edge_of_vertex
    limit = np.minimum(TUNING.merged_widths * width, TUNING.most_cut * lines.length_px)
    wide = _local_width(lines) > TUNING.wider * width[edge] + TUNING.wider_px
    at = np.flatnonzero(wide & (along <= limit[edge]))
    out = np.zeros(len(lines))
    if not len(at):
        return out
    at = at[np.lexsort([along[at], edge[at]])]
    of, away = edge[at], np.maximum(along[at], lean[edge[at]])
    new = first_of_each(of)
    # Nothing is known up to the next vertex, which is far where junctions were merged.
    node = lines.offsets[1:] - 1 if at_end else lines.offsets[:-1]
    step = -1 if at_end else 1
    following = np.where(new, node[of], np.concatenate([[0], at[:-1]])) + step
    before = np.maximum(lean[of], along[following])
    gaps = np.cumsum(away - before > np.maximum(TUNING.pause_widths * width[of], TUNING.pause_px))
    first = np.maximum.accumulate(np.where(new, np.arange(len(at)), 0))
    # A gap before an edge's first wide vertex counts, one of the edge before does not.
    unbroken: Bools = gaps - np.where(first > 0, gaps[first - 1], 0) == 0
    margin = TUNING.margin_widths * width[of[unbroken]]
    np.maximum.at(out, of[unbroken], away[unbroken] + margin)
    return out


def _local_width(lines: Centerlines) -> Floats:
    """Return the mean width at each vertex and its neighbours: on pixels each alone is coarse."""
    at, edge = np.arange(len(lines.row)), lines.edge_of_vertex
    low, high = lines.offsets[:-1][edge], lines.offsets[1:][edge] - 1
    steps = range(-TUNING.width_vertices, TUNING.width_vertices + 1)
    near = [lines.width_px[np.clip(at + step, low, high)] for step in steps]
    return np.asarray(np.mean(near, axis=0, dtype=np.float64), np.float64)


def _windows(lines: Centerlines, cut: Floats, far: Floats) -> tuple[Ints, Ints]:
    """Return the vertices begin..stop - 1 between two distances from each end's node."""
    count = len(lines)
    from_start, from_end = lines.distance_along
    ahead = [lines.first_vertex_beyond(from_start, d[:count], at_end=False) for d in (cut, far)]
    back = [lines.first_vertex_beyond(from_end, d[count:], at_end=True) for d in (cut, far)]
    last = np.tile(lines.offsets[1:], 2)
    begin = np.clip(np.concatenate([ahead[0], back[1]]), np.tile(lines.offsets[:-1], 2), last - 1)
    return begin, np.clip(np.concatenate([ahead[1], back[0]]) + 1, begin + 1, last)


def fit_lines(lines: Centerlines, begin: Ints, stop: Ints, straight: Bools) -> FittedLines:
    """Fit a line, or an arc where the road is curved, to windows of vertices.

    Parameters
    ----------
    lines : Centerlines
        Vertices in the middle of the road.
    begin, stop : ndarray of int64, shape (A,)
        The windows: vertices ``begin..stop - 1``. The first half of them lead to their first
        vertex, the other half to their last.
    straight : ndarray of bool, shape (A,)
        Windows that are fitted by a line only.
    """
    count = len(begin)
    at_end = np.arange(count) >= count // 2
    near, far = np.where(at_end, stop - 1, begin), np.where(at_end, begin, stop - 1)
    # Coordinates from the far to the near vertex, relative to the near one.
    d_row, d_col = lines.row[near] - lines.row[far], lines.col[near] - lines.col[far]
    chord = np.hypot(d_row, d_col)
    known = chord > 1.0
    d_row, d_col = (np.where(known, d / np.where(known, chord, 1.0), 0.0) for d in (d_row, d_col))
    of = np.repeat(np.arange(count), stop - begin)
    vertex = concatenated_ranges(begin, stop)
    row, col = lines.row[vertex] - lines.row[near][of], lines.col[vertex] - lines.col[near][of]
    half = np.where(known, chord, 2.0) / 2
    along = (row * d_row[of] + col * d_col[of]) / half[of] + 1
    across = -row * d_col[of] + col * d_row[of]
    level, slope = _straights(of, along, across, count)
    arch = np.zeros(count)
    if not straight.all():
        arc = _parabolas(of, along, across, count)
        curved = (np.abs(arc[2]) > TUNING.sagitta_px) & known & ~straight
        curved &= stop - begin >= TUNING.arc_vertices
        level, slope, arch = (
            np.where(curved, bent, line)
            for bent, line in zip(arc, (level, slope, arch), strict=True)
        )
    residual = across - level[of] - along * slope[of] - along**2 * arch[of]
    # At along = 1, the near end of the window. A parabola bends less there than in its middle;
    # the arc that is as high over the same chord does not.
    rise = 2 * np.arctan(arch / half)
    off, turned = level + slope + arch, np.arctan(slope / half) + rise
    d_side, d_forth = np.sin(turned), np.cos(turned)
    return FittedLines(
        row=lines.row[near] - off * d_col,
        col=lines.col[near] + off * d_row,
        d_row=d_forth * d_row - d_side * d_col,
        d_col=d_forth * d_col + d_side * d_row,
        bend=np.sin(rise) / half,
        span=np.where(known, chord, 0.0),
        rms=np.sqrt(_sum(of, residual**2, count) / (stop - begin)),
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
    # With fewer than three points, the coefficients nearest to 0.
    normal = normal + 1e-6 * np.eye(3)
    level, slope, arch = np.linalg.solve(normal, right[..., None])[..., 0].T
    return level, slope, arch
