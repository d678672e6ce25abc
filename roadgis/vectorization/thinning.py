"""Skeletons of road masks: bounded thinning, and the road's width at skeleton pixels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Bytes, Ints, Singles
from roadgis.vectorization.bitplanes import WORD, Plane, east, west

#: Rows that are thinned together: small enough for the cache, large enough for numpy.
_STRIP = 96
#: Where less than this share of the words has changed, only they and their neighbours are thinned.
_FEW = 0.06
#: Pixels around which is searched together: their surroundings fit into the cache.
_AT_ONCE = 8192
_ONE = np.uint64(1)
_LAST = np.uint64(WORD - 1)


def thin(plane: Plane, iterations: int) -> Plane:
    """Thin a mask to lines one pixel wide.

    Guo and Hall (1989), A1, as in ``skimage.morphology.thin(mask, iterations)``, whose
    result it equals pixel for pixel. Each iteration looks at most 2 pixels far, so the
    result is local with a radius of 2 * iterations.

    Parameters
    ----------
    plane : Plane
        The mask.
    iterations : int
        How many at most.
    """
    work = np.zeros((len(plane) + 2, plane.shape[1] + 2), np.uint64)
    work[1:-1, 1:-1] = plane
    strips = [(top, min(top + _STRIP, len(work) - 1)) for top in range(1, len(work) - 1, _STRIP)]
    active = np.array([bool(work[top:stop].any()) for top, stop in strips])
    for done in range(iterations):
        changed = np.zeros(work.shape, bool)
        for second in (False, True):
            doomed = [
                (index, _deletable(work[strips[index][0] - 1 : strips[index][1] + 1], second))
                for index in np.flatnonzero(active).tolist()
            ]
            for index, delete in doomed:
                top, stop = strips[index]
                work[top:stop] &= ~delete
                changed[top:stop] |= delete != 0
        # What is left to do in most places is little and far between.
        if np.count_nonzero(changed) < _FEW * changed.size:
            _thin_words(work, changed, iterations - done - 1)
            break
        # A strip can only change again when it or a neighbour has just changed.
        some = np.array([changed[top:stop].any() for top, stop in strips])
        active = some.copy()
        active[1:] |= some[:-1]
        active[:-1] |= some[1:]
    return work[1:-1, 1:-1]


def _thin_words(work: Plane, changed: Bools, iterations: int) -> None:
    """Thin where words have just changed, and their neighbours; in place."""
    flat, stride = work.reshape(-1), work.shape[1]
    around = np.array([row * stride + col for row in (-1, 0, 1) for col in (-1, 0, 1)])
    at = np.flatnonzero(changed)
    for _ in range(iterations):
        at = np.unique(at[:, None] + around)
        at = at[flat[at] != 0]
        if not len(at):
            break
        hit = np.zeros(len(at), bool)
        for second in (False, True):
            rows = (at - stride, at, at + stride)
            middle = [flat[row] for row in rows]
            right = [(flat[row] >> _ONE) | (flat[row + 1] << _LAST) for row in rows]
            left = [(flat[row] << _ONE) | (flat[row - 1] >> _LAST) for row in rows]
            delete = _doomed(middle, right, left, second)
            flat[at] &= ~delete
            hit |= delete != 0
        at = at[hit]


def _deletable(rows: Plane, second: bool) -> Plane:
    """Return the pixels that a half iteration deletes; `rows` has one more row at each end."""
    three = (slice(None, -2), slice(1, -1), slice(2, None))
    middle, right, left = (
        [plane[part] for part in three] for plane in (rows, east(rows), west(rows))
    )
    return _doomed(middle, right, left, second)


def _doomed(middle: list[Plane], right: list[Plane], left: list[Plane], second: bool) -> Plane:
    """Return the pixels that a half iteration deletes.

    Each list holds the words above, at and below some words: `middle` themselves, `right` and
    `left` with the pixels' eastern and western neighbours.
    """
    x3, x, x7 = middle
    x2, x1, x8 = right
    x4, x5, x6 = left
    c1, c2, c3, c4 = x2 | x3, x4 | x5, x6 | x7, x8 | x1
    a1, a2, a3, a4 = x1 | x2, x3 | x4, x5 | x6, x7 | x8
    # One run of neighbours that are set: deleting does not cut.
    b1, b2, b3, b4 = c1 & ~x1, c2 & ~x3, c3 & ~x5, c4 & ~x7
    out: Plane = x & ((b1 | b2) ^ (b3 | b4))
    # Two or three pairs of neighbours: neither the end of a line nor the inside of a blob.
    a12, a34, c12, c34 = a1 & a2, a3 & a4, c1 & c2, c3 & c4
    out &= a12 | a34 | ((a1 | a2) & (a3 | a4))
    out &= c12 | c34 | ((c1 | c2) & (c3 | c4))
    # Alternately the east and south side, then the west and north.
    side = (c3 | ~x4) & x5 if second else (c1 | ~x8) & x1
    out &= ~((b1 & b2) | (b3 & b4) | (a12 & a34 & c12 & c34) | side)
    return out


class Widths(NamedTuple):
    """Widths and middles of the road at K skeleton pixels.

    Attributes
    ----------
    width : ndarray of float32, shape (K,)
        Across the road, pixels.
    d_row, d_col : ndarray of float32, shape (K,)
        From the skeleton pixel's centre to the middle of the road; NaN where only one
        side is near, as at ends and junctions.
    """

    width: Singles
    d_row: Singles
    d_col: Singles


@lru_cache(maxsize=8)
def _rings(radius: int) -> list[tuple[float, Ints]]:
    """Return (distance, offsets (M, 2)) of all pixels within a radius, nearest first."""
    span = np.arange(-radius, radius + 1)
    rows, cols = (a.reshape(-1) for a in np.meshgrid(span, span, indexing="ij"))
    square = rows * rows + cols * cols
    return [
        (math.sqrt(value), np.stack([rows[square == value], cols[square == value]], axis=1))
        for value in np.unique(square).tolist()
        if 0 < value <= radius * radius
    ]


def nearest(image: Bytes, value: int, rows: Ints, cols: Ints, radius: int) -> tuple[Singles, Ints]:
    """Find the nearest pixel of a value, exactly, at some pixels only.

    Roads are narrow: most searches end within a few pixels, which costs far less than a
    distance transform of the whole image.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W)
        0 and 1.
    value : int
        Value to search for.
    rows, cols : ndarray of int64, shape (K,)
        Pixels; at least `radius` from the image's border.
    radius : int
        How far to look, pixels.

    Returns
    -------
    ndarray of float32, shape (K,)
        Distance between pixel centres; inf where there is none within the radius.
    ndarray of int64, shape (K, 2)
        Offset (row, col) to that pixel; the first in row order among equals.
    """
    distance = np.full(len(rows), np.inf, np.float32)
    offset = np.zeros((len(rows), 2), np.int64)
    flat = image.reshape(-1)
    stride = image.shape[1]
    first = radius * (stride + 1)
    for begin in range(0, len(rows), _AT_ONCE):
        left = np.arange(begin, min(begin + _AT_ONCE, len(rows)))
        position = rows[left] * stride + cols[left] - first
        for length, ring in _rings(radius):
            if not len(left):
                break
            steps = first + ring[:, 0] * stride + ring[:, 1]
            found = np.full(len(left), -1, np.int8 if len(ring) < 128 else np.int64)
            for number in range(len(steps) - 1, -1, -1):
                found[flat[steps[number] :].take(position) == value] = number
            hit = found >= 0
            if hit.any():
                at = left[hit]
                distance[at] = length
                offset[at] = ring[found[hit]]
                left, position = left[~hit], position[~hit]
    return distance, offset


def measure_widths(image: Bytes, rows: Ints, cols: Ints, radius: int) -> Widths:
    """Measure the road's width and middle at skeleton pixels.

    From the nearest background pixel straight back through the skeleton pixel to the
    background on the other side: so the width does not depend on whether the skeleton
    runs left or right of the middle of a road that is an even number of pixels wide, and
    the difference of the two sides says where the middle is, to parts of a pixel.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W)
        Mask of 0 and 1.
    rows, cols : ndarray of int64, shape (K,)
        Skeleton pixels, at least `radius` + 3 from the image's border.
    radius : int
        Largest half width, pixels.
    """
    near, offset = nearest(image, 0, rows, cols, radius)
    known = np.isfinite(near)
    near = np.where(known, near, np.float32(radius))
    unit = offset / np.where(known, near, 1.0)[:, None].astype(np.float64)
    flat = image.reshape(-1)
    # The skeleton leaves the middle by less than two pixels; looking no further keeps
    # junctions, where the far side is another road, from counting.
    far = near.copy()
    open_ = np.flatnonzero(known)
    for step in (0.0, 0.5, 1.0, 1.5, 2.0):
        towards = unit[open_]
        back = np.rint(-towards * (near[open_].astype(np.float64) + step)[:, None]).astype(np.int64)
        there = (rows[open_] + back[:, 0]) * image.shape[1] + cols[open_] + back[:, 1]
        hit = flat[there] == 0
        far[open_[hit]] = -(back[hit] * towards[hit]).sum(axis=1)
        open_ = open_[~hit]
    bounded = known.copy()
    bounded[open_] = False
    # Between the centres of the last road pixel and the first background pixel the border
    # lies half a row of pixels away; rows are denser across diagonals.
    row_gap = np.maximum(np.abs(unit[:, 0]), np.abs(unit[:, 1])).astype(np.float32)
    shift = np.where(bounded, (near - far) / 2, np.float32(np.nan)).astype(np.float64)
    return Widths(
        np.where(known, near + far - row_gap, 2 * near).astype(np.float32),
        (shift * unit[:, 0]).astype(np.float32),
        (shift * unit[:, 1]).astype(np.float32),
    )
