"""Lines as arrays of vertices: numbering places, putting vertices in, splitting at nodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely

from roadgis.arrays import Bools, Floats, Ints, Lines

__all__ = ["Chains", "inserted", "numbered_places", "split_at_nodes"]


class Chains(NamedTuple):
    """Vertices of lines, line after line; V vertices.

    Attributes
    ----------
    xy : ndarray of float64, shape (V, 2)
        Coordinates.
    line : ndarray of int64, shape (V,)
        Number of the line, ascending. Lines may be missing.
    """

    xy: Floats
    line: Ints

    @classmethod
    def of(cls, lines: Lines) -> Chains:
        """Return the vertices of an array of LineString."""
        xy, line = shapely.get_coordinates(lines, return_index=True)
        return cls(xy, line.astype(np.int64))

    @property
    def ends(self) -> tuple[Bools, Bools]:
        """Which vertices are the first, and which the last, of their line."""
        border = self.line[1:] != self.line[:-1]
        some = [True] if len(self.line) else []
        return np.concatenate([some, border]).astype(bool), np.concatenate([border, some]).astype(
            bool
        )

    def with_length(self) -> Chains:
        """Return the chains without repeated vertices, and without those that are one point."""
        new = np.ones(len(self.line), bool)
        new[1:] = (self.line[1:] != self.line[:-1]) | (self.xy[1:] != self.xy[:-1]).any(axis=1)
        size = np.bincount(self.line[new])
        use = new & (size > 1)[self.line] if len(self.line) else new
        return Chains(self.xy[use], self.line[use])


def numbered_places(xy: Floats) -> tuple[Ints, Ints]:
    """Give places numbers in the order of x, y.

    Returns
    -------
    place : ndarray of int64, shape (V,)
        Of each vertex.
    use : ndarray of int64, shape (P,)
        Vertices at each place.
    """
    rank = np.lexsort([xy[:, 1], xy[:, 0]])
    ordered = xy[rank]
    new = np.ones(len(rank), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    place = np.empty(len(rank), np.int64)
    place[rank] = np.cumsum(new) - 1
    return place, np.bincount(place).astype(np.int64)


def inserted(chains: Chains, after: Ints, xy: Floats) -> Chains:
    """Put vertices into lines, in the order in which they come along the line.

    Parameters
    ----------
    chains : Chains
        The lines.
    after : ndarray of int64, shape (K,)
        The vertex behind which each new one comes; not the last of its line.
    xy : ndarray of float64, shape (K, 2)
        Where each is: on or near the segment to the next vertex.
    """
    begin = chains.xy[after]
    along = chains.xy[after + 1] - begin
    share = np.concatenate([np.full(len(chains.line), -np.inf), ((xy - begin) * along).sum(axis=1)])
    rank = np.lexsort([share, np.concatenate([np.arange(len(chains.line)), after])])
    return Chains(
        np.concatenate([chains.xy, xy])[rank],
        np.concatenate([chains.line, chains.line[after]])[rank],
    )


def split_at_nodes(chains: Chains) -> tuple[Lines, Ints]:
    """Split lines at their ends and at places where there is more than one vertex.

    Parameters
    ----------
    chains : Chains
        Without repeated vertices.

    Returns
    -------
    pieces : ndarray of LineString, shape (P,)
        In an order and with directions that depend on their coordinates alone; each once.
    line : ndarray of int64, shape (P,)
        The line that each is part of.
    """
    if not len(chains.line):
        return np.empty(0, object), np.empty(0, np.int64)
    place, use = numbered_places(chains.xy)
    first, last = chains.ends
    node = use > 1
    node[place[first | last]] = True
    inner = node[place] & ~first & ~last
    # A node in the middle is the end of one piece and the beginning of the next.
    repeat = 1 + inner.astype(np.int64)
    source = np.repeat(np.arange(len(chains.line)), repeat)
    begins = np.zeros(len(source), bool)
    position = np.cumsum(repeat) - 1
    begins[position[inner | first]] = True
    pieces = shapely.linestrings(chains.xy[source], indices=np.cumsum(begins) - 1)
    return _once(_directed(np.asarray(pieces, object)), chains.line[source[begins]])


def _directed(pieces: Lines) -> Lines:
    """Return pieces that run from their lower end to their higher one, in the order of x, y."""
    begin, end = (shapely.get_coordinates(shapely.get_point(pieces, i)) for i in (0, -1))
    ring = (begin == end).all(axis=1)
    # Rings must keep the place at which they start: others may meet them there.
    inner = [shapely.get_coordinates(shapely.get_point(pieces, i)) for i in (1, -2)]
    begin, end = (np.where(ring[:, None], b, a) for a, b in zip((begin, end), inner, strict=True))
    back = (begin[:, 0] > end[:, 0]) | ((begin[:, 0] == end[:, 0]) & (begin[:, 1] > end[:, 1]))
    out: Lines = pieces.copy()
    out[back] = shapely.reverse(pieces[back])
    return out


def _once(pieces: Lines, line: Ints) -> tuple[Lines, Ints]:
    keys = shapely.to_wkb(pieces)
    # Of the same piece in two lines, the first line's.
    rank = np.array(sorted(range(len(keys)), key=keys.tolist().__getitem__), np.int64)
    new = np.ones(len(rank), bool)
    new[1:] = keys[rank][1:] != keys[rank][:-1]
    return pieces[rank[new]], line[rank[new]]
