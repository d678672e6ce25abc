"""Measure the ends of roads in the mask: the length that thinning removed from dead ends."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from roadgis.arrays import Bools, Bytes, Floats, Ints, Singles
from roadgis.network.centerlines import RoadEnds
from roadgis.vectorization.bitplanes import WORD, dilated, pack, pixels, unpack
from roadgis.vectorization.end_caps import last_stretches
from roadgis.vectorization.thinning import Widths, measure_widths, nearest

#: Neighbours, in the order in which they are tried.
_AROUND = tuple((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c)
_BOX = ((0, 0), *_AROUND)
#: Nearer to the end than this many half widths the skeleton may come from a corner: along the
#: bisector of a right angle it is 1.41.
_CLEAR = 1.6
#: In a corner the distance to the rim grows: by this factor since the end, or it is less than
#: this many pixels, and grows within this many steps.
_GROWS, _SMALL_PX, _GROWS_STEPS = 1.4, 2.5, 5
#: Length over which the direction is measured, half widths.
_BACK = 4.0
#: Number of places at which the direction is measured.
_PLACES = 17
#: Side of the cells in which pixels near ends are searched.
_CELL_PX = 16
#: Dead ends that are looked at together: bounds the memory for samples of the mask.
_CHUNK = 256


def _tips() -> Bools:
    """Return whether a pixel is a dead end, by the bits of the neighbours that are set, (256,).

    It has one, or two that touch straight on: a last pixel next to a corner.
    """
    set_ = {place: np.arange(256) >> bit & 1 > 0 for bit, place in enumerate(_AROUND)}
    count = np.sum(list(set_.values()), axis=0)
    touching = np.zeros(256, bool)
    for side in (-1, 1):
        for end in (-1, 1):
            touching |= set_[end, side] & (set_[end, 0] | set_[0, side])
    return np.asarray((count == 1) | ((count == 2) & touching), bool)


_TIPS = _tips()


def road_ends(
    mask: Bytes, skeleton: Bytes, rows: Ints, cols: Ints, ids: Ints, radius: int, walk: int
) -> RoadEnds:
    """Measure where roads end, at the ends of their skeletons.

    Parameters
    ----------
    mask, skeleton : ndarray of uint8, shape (H, W)
        0 and 1.
    rows, cols : ndarray of int64, shape (K,)
        Skeleton pixels; at least ``radius + walk + 3`` from the images' border.
    ids : ndarray of int64, shape (K,)
        Identifier of each pixel.
    radius : int
        Largest half width, pixels.
    walk : int
        Length of the skeleton on which its direction may be measured, pixels.

    Returns
    -------
    RoadEnds
        Without pixels that are not dead ends, and those whose line is too short to measure.
    """
    flat, stride = skeleton.reshape(-1), skeleton.shape[1]
    position = rows * stride + cols
    around = np.zeros(len(rows), np.uint8)
    for bit, (r, c) in enumerate(_AROUND):
        around |= flat[position + (r * stride + c)] << np.uint8(bit)
    tips = np.flatnonzero(_TIPS[around])
    if not len(tips):
        return RoadEnds.none()
    half = _half_widths(mask, skeleton, rows[tips], cols[tips], radius, walk)
    parts = [
        _measured(mask, half, rows[some], cols[some], ids[some], radius, walk)
        for some in np.split(tips, range(_CHUNK, len(tips), _CHUNK))
    ]
    return RoadEnds._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _half_widths(
    mask: Bytes, skeleton: Bytes, rows: Ints, cols: Ints, radius: int, walk: int
) -> Singles:
    """Return the distance to the road's rim at the skeleton's pixels near its ends, else 0."""
    r, c = pixels(pack(skeleton.view(bool)))
    clear = radius + 1
    inner = (r >= clear) & (r < len(mask) - clear) & (c >= clear) & (c < mask.shape[1] - clear)
    # Diagonal steps are longer than one pixel, and pixels ahead are looked at; more do no harm.
    inner &= _near(r, c, rows, cols, 1.5 * walk + 6)
    r, c = r[inner], c[inner]
    near, _ = nearest(mask, 0, r, c, radius)
    out = np.zeros(mask.shape, np.float32)
    out[r, c] = np.where(np.isfinite(near), near, np.float32(radius))
    return out


def _near(
    rows: Ints,
    cols: Ints,
    ends_rows: Ints,
    ends_cols: Ints,
    reach: float,
) -> Bools:
    """Return which pixels may lie within reach of an end; surely those that do."""
    width = -(-(int(max(cols.max(), ends_cols.max())) // _CELL_PX + 1) // WORD) * WORD
    height = int(max(rows.max(), ends_rows.max())) // _CELL_PX + 1
    cells = np.zeros((height, width), bool)
    cells[ends_rows // _CELL_PX, ends_cols // _CELL_PX] = True
    # Two cells lie farther apart than two of their pixels by one diagonal at most.
    grown = unpack(dilated(pack(cells), reach / _CELL_PX + 1.5))
    return grown[rows // _CELL_PX, cols // _CELL_PX] > 0


def _measured(
    mask: Bytes, half_width: Singles, rows: Ints, cols: Ints, ids: Ints, radius: int, walk: int
) -> RoadEnds:
    path = _walked(half_width, rows, cols, walk)
    tip = np.stack([rows, cols], axis=1)
    begin, half = _clear_of_the_end(half_width, path)
    share = np.linspace(0, _BACK, _PLACES)[:, None]
    steps = np.minimum(begin + np.rint(share * half).astype(np.int64), walk)
    at = path[np.arange(len(rows)), steps]
    found = measure_widths(mask, at[..., 0].reshape(-1), at[..., 1].reshape(-1), radius)
    measured = Widths._make(values.reshape(steps.shape) for values in found)
    # From the tip: what is rounded must not depend on where in its block an end lies.
    shift = np.nan_to_num(np.stack([measured.d_row, measured.d_col], axis=2))
    places: Floats = (at - tip).astype(np.float64) + shift
    width = np.median(measured.width.astype(np.float64), axis=0)
    last = last_stretches(mask, places, width, tip, radius)
    reach = last.end - last.axis.along_of()
    # No end is farther than its pixel's distance to the rim but in a corner; spurs have none.
    known = (np.ptp(steps, axis=0) >= 3) & (np.abs(reach) < 1.5 * half_width[rows, cols] + 1.5)
    end = last.axis.moved(last.end, *np.zeros((3, len(tip))))
    # Last digits can depend on how many ends are measured together, which depends on the blocks.
    return RoadEnds(
        id=ids[known],
        reach_px=reach[known].astype(np.float32),
        row=end.origin[known, 0].round(6),
        col=end.origin[known, 1].round(6),
        d_row=end.unit[known, 0].round(9),
        d_col=end.unit[known, 1].round(9),
        bend=end.bend[known].round(9),
    )


def _clear_of_the_end(half_width: Singles, path: Ints) -> tuple[Ints, Floats]:
    """Return the first step of each path that is clear of its first pixel.

    There the skeleton is in the middle of the road; before, it may turn into a corner. Also
    returns the disc's radius.
    """
    near = half_width[path[..., 0], path[..., 1]].astype(np.float64)
    away = np.hypot(*(path - path[:, :1]).transpose(2, 0, 1))
    ahead = np.pad(near, ((0, 0), (0, _GROWS_STEPS)), mode="edge")
    most = sliding_window_view(ahead, _GROWS_STEPS + 1, axis=1).max(axis=2)
    corner = (most > _GROWS * near) & ((near > _GROWS * near[:, :1]) | (near < _SMALL_PX))
    clear = (_CLEAR * near < away) & (near > 0) & ~corner
    step = np.where(clear.any(axis=1), clear.argmax(axis=1), path.shape[1] - 1)
    return step, near[np.arange(len(path)), step]


def _walked(half_width: Singles, rows: Ints, cols: Ints, walk: int) -> Ints:
    """Return the pixels along the skeleton from its ends, (K, walk + 1, 2); the last stays.

    Where the skeleton forks, the way is to where the road is widest a few pixels on: at its
    end the other branch leads into a corner. A way that comes to an end is tried again with
    the other branch.
    """
    start = np.stack([rows, cols], axis=1)
    path, fork = _way(half_width, start, walk, np.full((len(start), 2, 2), -1))
    size = _steps(path)
    again = np.flatnonzero((size < walk) & (fork >= 0))
    if len(again):
        branch = fork[again, None] + [1, 2]
        other, _ = _way(half_width, start[again], walk, path[again[:, None], branch])
        longer = _steps(other) > size[again]
        path[again[longer]] = other[longer]
    return path


def _steps(path: Ints) -> Ints:
    """Return the number of steps of each path until it ends, (K,)."""
    return np.asarray((np.diff(path, axis=1) != 0).any(axis=2).sum(axis=1), np.int64)


def _way(half_width: Singles, start: Ints, walk: int, closed: Ints) -> tuple[Ints, Ints]:
    """Return the pixels of a way from each start, not through those closed to it, (K, 2, 2).

    Also the last step at which there was another way, -1 where there was none.
    """
    offset, box = np.array(_AROUND), np.array(_BOX)
    here, before = start, start
    path, fork = [here], np.full(len(here), -1)
    for number in range(walk):
        there = here[:, None] + offset
        # The farthest from the pixel before: past corners, and never back.
        gain = ((there - before[:, None]) ** 2).sum(axis=2)
        free = (there[:, :, None] != closed[:, None]).any(axis=3).all(axis=2)
        free &= (half_width[there[..., 0], there[..., 1]] > 0) & ((gain > 1) | (number == 0))
        best = free.argmax(axis=1)
        several = np.flatnonzero(free.sum(axis=1) > 1)
        if len(several):
            further = (here[several, None] + 3 * offset)[:, :, None] + box
            width = half_width[further[..., 0], further[..., 1]].max(axis=2)
            score = 1 + gain[several] + 4 * width.astype(np.float64)
            best[several] = np.where(free[several], score, 0.0).argmax(axis=1)
        fork[several] = number
        moves = free.any(axis=1, keepdims=True)
        before = np.where(moves, here, before)
        here = here + np.where(moves, offset[best], 0)
        path.append(here)
    return np.stack(path, axis=1), fork
