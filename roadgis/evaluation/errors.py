"""The length of both layers by class of error, and the pieces on a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from roadgis.arrays import Bools, Floats, Ints, Lines
from roadgis.evaluation.area import clipped, measurable
from roadgis.evaluation.within_distance import cover, neighbours
from roadgis.lines.linear_reference import TOUCH_M, LineAxis, Spans, merged

Kinds = npt.NDArray[np.str_]

#: Classes of pieces of the truth and of the proposal.
TRUTH_KINDS = ("hit", "displaced", "gap", "missed")
PROPOSAL_KINDS = ("hit", "duplicate", "displaced", "false")

_ALONGSIDE_DEG = 30.0
#: Roads that fork at a sharp angle are within each other's buffer for a few buffers.
_RUN_BUFFERS = 4.0


@dataclass(frozen=True)
class LayerPieces:
    """A layer divided by class; P pieces.

    Attributes
    ----------
    lines : ndarray of LineString, shape (P,)
        In the order of the layer's lines, and along them.
    kind : ndarray of str, shape (P,)
    length_m : ndarray of float64, shape (P,)
        Planar length in the CRS of the lines.
    source : ndarray of int64, shape (P,)
        Index of the line that each is part of.
    kinds : tuple of str
        All classes, those without a piece too.
    """

    lines: Lines
    kind: Kinds
    length_m: Floats
    source: Ints
    kinds: tuple[str, ...]

    def of(self, kind: str) -> Lines:
        """Return the pieces of one class."""
        return np.asarray(self.lines[self.kind == kind], object)

    def length_by_kind(self) -> dict[str, float]:
        """Return metres by class; they add up to the layer's length."""
        return {kind: float(self.length_m[self.kind == kind].sum()) for kind in self.kinds}


@dataclass(frozen=True)
class ErrorPieces:
    """Both layers by class of error.

    Attributes
    ----------
    truth : LayerPieces
        ``hit``: within the buffer of the proposal. ``displaced``: not, but a line of the
        proposal that hits nothing runs parallel. ``gap``: missed between parts that were
        found, a broken connection. ``missed``: the rest.
    proposal : LayerPieces
        ``hit``: within the buffer of the truth. ``duplicate``: the same, but parallel to a longer
        line of the proposal. ``displaced``: parallel to a road that nothing hits. ``false``: the
        rest.
    """

    truth: LayerPieces
    proposal: LayerPieces


def classify_errors(
    truth: Lines,
    proposal: Lines,
    *,
    buffer_m: float = 3.0,
    displaced_m: float = 9.0,
    gap_m: float = 100.0,
    aoi: BaseGeometry | None = None,
) -> ErrorPieces:
    """Divide both layers by class of error.

    Parameters
    ----------
    truth, proposal : ndarray of LineString, shapes (L,) and (M,)
        In one metric CRS.
    buffer_m : float
        Up to here a line is a hit, metres.
    displaced_m : float
        Up to here it is displaced, where the directions differ by at most 30 degrees.
    gap_m : float
        Longest gap. Both its ends touch found parts, and at least one of these is longer than four
        buffers: a street that is missed from crossing to crossing is not a gap.
    aoi : shapely polygon, optional
        Only parts inside are classified; counterparts may lie outside.

    Returns
    -------
    ErrorPieces
    """
    ours, theirs = _Layer(truth, aoi), _Layer(proposal, aoi)
    ours_hit = cover(ours.inside, theirs.whole, buffer_m)
    theirs_hit = cover(theirs.inside, ours.whole, buffer_m)
    ours_moved = _displaced(ours.inside, theirs.whole, ours.whole, buffer_m, displaced_m)
    theirs_moved = _displaced(theirs.inside, ours.whole, theirs.whole, buffer_m, displaced_m)
    twice = _duplicates(theirs.inside, buffer_m)
    sliver_m = 2 * buffer_m
    rules = [("hit", [ours_hit]), ("displaced", [ours_moved])]
    found = _pieces(ours, rules, "missed", TRUTH_KINDS, sliver_m)
    return ErrorPieces(
        truth=_with_gaps(found, _RUN_BUFFERS * buffer_m, gap_m),
        proposal=_pieces(
            theirs,
            [
                ("duplicate", [theirs_hit, twice]),
                ("hit", [theirs_hit]),
                ("displaced", [theirs_moved]),
            ],
            "false",
            PROPOSAL_KINDS,
            sliver_m,
        ),
    )


class _Layer:
    """A layer inside the area and as a whole, and the sources of the lines inside."""

    def __init__(self, lines: Lines, aoi: BaseGeometry | None) -> None:
        usable, source = measurable(lines)
        parts, part = clipped(usable, aoi)
        self.source = source[part]
        self.inside = LineAxis(parts)
        self.whole = LineAxis(usable) if aoi is not None else self.inside


def _displaced(
    axis: LineAxis, others: LineAxis, own: LineAxis, buffer_m: float, displaced_m: float
) -> Spans:
    """Return where lines run parallel to those parts of others that are in no line's buffer."""
    hit = cover(others, own, buffer_m)
    start, stop, covered = _cells(others, [hit])
    rest = others.pieces(start[~covered[0]], stop[~covered[0]])
    return cover(axis, LineAxis(rest), displaced_m, alongside_deg=_ALONGSIDE_DEG)


def _duplicates(axis: LineAxis, buffer_m: float) -> Spans:
    """Return where lines run parallel to a longer one of the same layer."""
    length = axis.length_m
    # Of two equally long ones the western one is kept, in any order of lines.
    corner = np.full((2, len(length)), np.inf)
    for side, origin, end in zip(
        corner, axis.origin.T, axis.vertices[axis.first + 1].T, strict=True
    ):
        np.minimum.at(side, axis.line, np.minimum(origin, end))
    rank = np.empty(len(length), np.int64)
    rank[np.lexsort((corner[1], corner[0], -length))] = np.arange(len(length))
    starts, stops = [np.empty(0)], [np.empty(0)]
    for pairs in neighbours(axis, axis, buffer_m, alongside_deg=_ALONGSIDE_DEG):
        worse = pairs.where(rank[axis.line[pairs.other]] < rank[axis.line[pairs.segment]])
        starts.append(worse.start)
        stops.append(worse.stop)
    spans = merged(np.concatenate(starts), np.concatenate(stops))
    long = spans.stop - spans.start >= _RUN_BUFFERS * buffer_m
    return Spans(spans.start[long], spans.stop[long])


def _cells(axis: LineAxis, spans: list[Spans]) -> tuple[Floats, Floats, list[Bools]]:
    """Cut the lines wherever spans begin or end; return the cells and which spans cover them."""
    cuts = np.concatenate(
        [axis.line_start, axis.line_stop, *(part for s in spans for part in (s.start, s.stop))]
    )
    cuts = np.unique(cuts)
    own = np.isin(cuts, axis.line_start) | np.isin(cuts, axis.line_stop)
    # Places that differ by rounding are one cut, and at a line's end it is the end.
    keep = own | (np.diff(cuts, prepend=-np.inf) > TOUCH_M)
    keep &= own | (np.diff(cuts, append=np.inf) > TOUCH_M) | ~np.append(own[1:], False)
    cuts = cuts[keep]
    start, stop = cuts[:-1], cuts[1:]
    middle = (start + stop) / 2
    inside = middle < axis.line_stop[axis.line_at(middle)] if len(middle) else np.empty(0, bool)
    start, stop, middle = start[inside], stop[inside], middle[inside]
    return start, stop, [part.contains(middle) for part in spans]


def _pieces(
    layer: _Layer,
    rules: list[tuple[str, list[Spans]]],
    rest: str,
    kinds: tuple[str, ...],
    sliver_m: float,
) -> LayerPieces:
    """Divide a layer: each part is of the first class whose spans all contain it."""
    axis = layer.inside
    start, stop, covered = _cells(axis, [span for _, spans in rules for span in spans])
    code = np.full(len(start), kinds.index(rest), np.int64)
    undecided = np.ones(len(start), bool)
    for kind, spans in rules:
        own, covered = covered[: len(spans)], covered[len(spans) :]
        here = undecided & np.logical_and.reduce(own)
        code[here] = kinds.index(kind)
        undecided &= ~here
    start, stop, code = _runs(axis, start, stop, code)
    code = _between_displaced(axis, start, stop, code, kinds, rest, sliver_m)
    start, stop, code = _runs(axis, start, stop, code)
    return LayerPieces(
        lines=axis.pieces(start, stop),
        kind=np.array(kinds)[code],
        length_m=stop - start,
        source=layer.source[axis.line_at(start)],
        kinds=kinds,
    )


def _runs(axis: LineAxis, start: Floats, stop: Floats, code: Ints) -> tuple[Floats, Floats, Ints]:
    """Return neighbouring parts of one line and one class as one."""
    line = axis.line_at(start)
    new = np.ones(len(start), bool)
    new[1:] = (line[1:] != line[:-1]) | (code[1:] != code[:-1])
    return start[new], stop[np.append(new[1:], True)[: len(new)]], code[new]


def _between_displaced(
    axis: LineAxis,
    start: Floats,
    stop: Floats,
    code: Ints,
    kinds: tuple[str, ...],
    rest: str,
    sliver_m: float,
) -> Ints:
    """Return the classes, with short remainders next to a displaced part as displaced.

    Where a line leaves the buffer at an angle, the two layers do so some metres apart.
    """
    line = axis.line_at(start)
    other, moved = kinds.index(rest), kinds.index("displaced")
    before = np.full(len(code), other)
    after = before.copy()
    joins = line[1:] == line[:-1]
    before[1:][joins], after[:-1][joins] = code[:-1][joins], code[1:][joins]
    taken = (code == other) & (before != other) & (after != other) & (stop - start <= sliver_m)
    taken &= (before == moved) | (after == moved)
    return np.where(taken, moved, code)


def _with_gaps(pieces: LayerPieces, run_m: float, gap_m: float) -> LayerPieces:
    """Return the pieces of the truth, those missed between found ones as gaps."""
    missed = np.flatnonzero(pieces.kind == "missed")
    if not len(missed):
        return pieces
    ends = np.concatenate(
        [shapely.get_coordinates(shapely.get_point(pieces.lines, at)) for at in (0, -1)]
    )
    _, node = np.unique(np.round(ends, 3), axis=0, return_inverse=True)
    node = node.reshape(2, -1)
    count = np.bincount(node.ravel())
    lost = np.bincount(node[:, missed].ravel(), minlength=len(count))
    longest = np.zeros(len(count))
    found = np.flatnonzero(pieces.kind != "missed")
    for ends_at in node[:, found]:
        np.maximum.at(longest, ends_at, pieces.length_m[found])
    # Missed pieces that meet only each other, end to end, are one.
    passed = (count == 2) & (lost == 2)
    chain = _chains(node[:, missed], passed)
    outer = ~passed[node[:, missed]]
    touching = outer & (longest[node[:, missed]] > 0)
    sure = outer & (longest[node[:, missed]] > run_m)
    length = np.bincount(chain, weights=pieces.length_m[missed])
    sums = [
        sum(np.bincount(chain, weights=row, minlength=len(length)) for row in flags)
        for flags in (outer, touching, sure)
    ]
    gap = (sums[0] == 2) & (sums[1] == 2) & (sums[2] >= 1) & (length <= gap_m)
    kind = pieces.kind.copy()
    kind[missed[gap[chain]]] = "gap"
    return LayerPieces(pieces.lines, kind, pieces.length_m, pieces.source, pieces.kinds)


def _chains(node: Ints, passed: Bools) -> Ints:
    """Return which chain each piece is in: pieces (2, P) that share a node that is passed."""
    size = node.shape[1]
    joining = passed[node]
    piece = np.broadcast_to(np.arange(size), node.shape)[joining]
    order = np.argsort(node[joining], kind="stable")
    pairs = piece[order].reshape(-1, 2)
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, chain = connected_components(links, directed=False)
    return np.asarray(chain, np.int64)
