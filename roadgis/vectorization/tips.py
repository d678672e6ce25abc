"""Where roads end, seen in the mask: how far thinning has shortened each dead end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadgis.vectorization.bits import dilated, pack, pixels
from roadgis.vectorization.skeleton import measure_widths, nearest

__all__ = ["dead_end_reach"]

#: Neighbours, in the order in which they are tried.
_AROUND = tuple((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c)
_BOX = ((0, 0), *_AROUND)
#: How much of the road's width is not looked at, pixels.
_RIM_PX = 1.6
#: How far from its end, road widths, the end's shape is looked at.
_NEAR_END = 0.4
#: Nearer to the end than this many half widths the skeleton may come from a corner: along the
#: bisector of a right angle it is 1.41.
_CLEAR = 1.6
#: Over how many half widths the direction is taken.
_BACK = 4.0
#: at so many places.
_PLACES = 17
#: An end of which the axis leaves its chord by more than this, pixels, is curved.
_SAGITTA = 0.7
#: and when the arc leaves less than this share of the squares that the chord leaves.
_BENT = 0.35
#: Dead ends that are looked at together: bounds the memory for samples of the mask.
_CHUNK = 512
#: Samples across the road, and along it for each road width.
_ACROSS, _ALONG = 21, 40
#: Samples from the middle of a road to beyond its rim.
_BESIDE = 32


def dead_end_reach(
    mask: npt.NDArray[np.uint8],
    skeleton: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    radius: int,
    walk: int,
) -> npt.NDArray[np.float32]:
    """Measure by how much the road goes on beyond the skeleton's ends.

    The line that ends here is the one around which the mask is half a width wide. A road
    that is cut off straight ends at the cut; one that ends in a half circle ends at its
    middle, half a width before the mask does. How the end bulges decides.

    Parameters
    ----------
    mask, skeleton : ndarray of uint8, shape (H, W)
        0 and 1.
    rows, cols : ndarray of int64, shape (K,)
        Skeleton pixels; at least ``radius + walk + 3`` from the images' border.
    radius : int
        Largest half width, pixels.
    walk : int
        How far along the skeleton its direction may be looked for, pixels.

    Returns
    -------
    ndarray of float32, shape (K,)
        Pixels, ahead of the pixel's centre; negative where the skeleton goes too far. NaN
        where the pixel is no dead end, or where its line is too short to tell.
    """
    out = np.full(len(rows), np.nan, np.float32)
    flat, stride = skeleton.reshape(-1), skeleton.shape[1]
    position = rows * stride + cols
    count = np.zeros(len(rows), np.int8)
    for r, c in _AROUND:
        count += flat[position + r * stride + c].astype(np.int8)
    # A last pixel beside a corner touches two that touch each other.
    tips = np.flatnonzero((count == 1) | (count == 2))
    tips = tips[_is_tip(flat, stride, position[tips])]
    if not len(tips):
        return out
    half = _half_widths(mask, skeleton, rows[tips], cols[tips], radius, walk)
    for begin in range(0, len(tips), _CHUNK):
        some = tips[begin : begin + _CHUNK]
        out[some] = _reach(mask, half, rows[some], cols[some], radius, walk)
    return out


def _is_tip(
    flat: npt.NDArray[np.uint8], stride: int, position: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return which pixels with one or two neighbours have one, or two that touch straight on."""
    set_ = {(r, c): flat[position + r * stride + c] > 0 for r, c in _AROUND}
    one = sum(part.astype(np.int8) for part in set_.values()) == 1
    touching = np.zeros(len(position), bool)
    for r, c in ((-1, 0), (1, 0)):
        for side in (-1, 1):
            touching |= set_[r, c] & set_[r, side]
    for side in (-1, 1):
        touching |= (set_[0, side] & set_[-1, side]) | (set_[0, side] & set_[1, side])
    return np.asarray(one | touching, bool)


def _half_widths(
    mask: npt.NDArray[np.uint8],
    skeleton: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    radius: int,
    walk: int,
) -> npt.NDArray[np.float32]:
    """Return the distance to the road's rim at the skeleton's pixels near its ends, else 0."""
    image = np.zeros(skeleton.shape, bool)
    image[rows, cols] = True
    # Diagonal steps are longer than one pixel; twice the steps ahead are looked at.
    around = dilated(pack(image), 1.5 * walk + 6) & pack(skeleton.view(bool))
    r, c = pixels(around)
    clear = radius + 1
    inner = (r >= clear) & (r < len(mask) - clear) & (c >= clear) & (c < mask.shape[1] - clear)
    r, c = r[inner], c[inner]
    near, _ = nearest(mask, 0, r, c, radius)
    out = np.zeros(mask.shape, np.float32)
    out[r, c] = np.where(np.isfinite(near), near, np.float32(radius))
    return out


def _reach(
    mask: npt.NDArray[np.uint8],
    half_width: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    radius: int,
    walk: int,
) -> npt.NDArray[np.float32]:
    path = _walked(half_width, rows, cols, walk)
    tip = np.stack([rows, cols], axis=1)
    begin, half = _clear_of_the_end(half_width, path)
    places, widths, steps = [], [], []
    for share in np.linspace(0, _BACK, _PLACES).tolist():
        step = np.minimum(begin + np.rint(share * half).astype(np.int64), walk)
        at = path[np.arange(len(rows)), step]
        measured = measure_widths(mask, at[:, 0], at[:, 1], radius)
        # From the tip: what is rounded must not depend on where in its block an end lies.
        places.append(at - tip + np.nan_to_num(np.stack([measured.d_row, measured.d_col], axis=1)))
        widths.append(measured.width.astype(np.float64))
        steps.append(step.astype(np.float64))
    width = np.median(widths, axis=0)
    axis = _centred(mask, np.stack(places), width, tip, radius)
    reach = _end(mask, axis, width, tip, radius) - axis.along_of_tip()
    # No end is farther than its pixel's distance to the rim but in a corner; spurs have none.
    known = (np.ptp(np.stack(steps), axis=0) >= 3) & (
        np.abs(reach) < 1.5 * half_width[rows, cols] + 1.5
    )
    return np.where(known, reach, np.nan).astype(np.float32)


class _Axis(NamedTuple):
    """Arcs of circles towards the ends of K roads; places are relative to their last pixels."""

    origin: npt.NDArray[np.float64]
    unit: npt.NDArray[np.float64]
    #: Curvature, 1/pixels, positive towards (-unit column, unit row).
    bend: npt.NDArray[np.float64]

    def along_of_tip(self) -> npt.NDArray[np.float64]:
        """Return how far along the arcs the last pixels are, (K,)."""
        row, col = -self.origin[:, 0], -self.origin[:, 1]
        forth = row * self.unit[:, 0] + col * self.unit[:, 1]
        side = col * self.unit[:, 0] - row * self.unit[:, 1]
        bend = np.where(self.bend == 0, 1.0, self.bend)
        arc = np.arctan2(bend * forth, 1 - bend * side) / bend
        return np.asarray(np.where(self.bend == 0, forth, arc), np.float64)

    def points(
        self, along: npt.NDArray[np.float64], across: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return rows and columns, (K, S, C), of places along (K, S) and beside (K, C) arcs."""
        angle = self.bend[:, None] * along
        chord = along * np.sinc(angle / 2 / np.pi)
        forth, side = chord * np.cos(angle / 2), chord * np.sin(angle / 2)
        forth = forth[..., None] - np.sin(angle)[..., None] * across[:, None]
        side = side[..., None] + np.cos(angle)[..., None] * across[:, None]
        d_row, d_col = self.unit[:, 0, None, None], self.unit[:, 1, None, None]
        return (
            self.origin[:, 0, None, None] + forth * d_row - side * d_col,
            self.origin[:, 1, None, None] + forth * d_col + side * d_row,
        )


def _axis(places: npt.NDArray[np.float64]) -> _Axis:
    """Fit arcs to places (S, K, 2) along roads, the first one nearest to the end."""
    d = places[0] - places[-1]
    chord = np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-9)
    unit = d / chord[:, None]
    away = places - (places[0] + places[-1]) / 2
    x = (away * unit).sum(axis=2).T / (chord / 2)[:, None]
    y = (away[..., 1] * unit[:, 0] - away[..., 0] * unit[:, 1]).T
    terms = np.stack([np.ones_like(x), x, x * x], axis=1)
    # Straight unless what is seen bends clearly.
    out, left = np.zeros((len(x), 3)), np.full(len(x), np.inf)
    for count in (2, 3):
        some = terms[:, :count]
        fit = _least_squares(some, y, np.full(count, 1e-6))
        squares = ((y - (fit[:, :, None] * some).sum(axis=1)) ** 2).sum(axis=1)
        use = squares < _BENT * left
        if count == 3:
            use &= np.abs(fit[:, 2]) > _SAGITTA
        out[use, :count], left = fit[use], squares
    off, tilt = out.sum(axis=1), (out[:, 1] + 2 * out[:, 2]) / (chord / 2)
    norm = np.sqrt(1 + tilt * tilt)
    normal = np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    foot = (places[0] + places[-1]) / 2 + (chord / 2)[:, None] * unit
    return _Axis(
        origin=foot + off[:, None] * normal,
        unit=(unit + tilt[:, None] * normal) / norm[:, None],
        bend=2 * out[:, 2] / (chord / 2) ** 2 / norm**3,
    )


def _inside(
    mask: npt.NDArray[np.uint8],
    axis: _Axis,
    tip: npt.NDArray[np.int64],
    radius: int,
    along: npt.NDArray[np.float64],
    across: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which places (K, S, C) along (K, S) and beside (K, C) axes are road."""
    row, col = (np.rint(at).astype(np.int64) for at in axis.points(along, across))
    # Blocks know the mask only so far; no road that is well placed reaches farther.
    seen = np.hypot(row, col) <= 2.5 * radius
    row, col = row + tip[:, 0, None, None], col + tip[:, 1, None, None]
    return np.asarray(seen & (mask[np.where(seen, row, 0), np.where(seen, col, 0)] > 0), bool)


def _centred(
    mask: npt.NDArray[np.uint8],
    places: npt.NDArray[np.float64],
    width: npt.NDArray[np.float64],
    tip: npt.NDArray[np.int64],
    radius: int,
) -> _Axis:
    """Fit arcs to places (S, K, 2), and again to the middles between the rims beside them."""
    axis = _axis(places)
    span = np.hypot(*(places[0] - places[-1]).T)
    along = -span[:, None] * np.linspace(0, 1, 2 * len(places))
    lanes = (np.arange(_BESIDE) + 0.5) * 0.8 / _BESIDE
    right, left = (
        np.logical_and.accumulate(
            _inside(mask, axis, tip, radius, along, side * lanes * width[:, None]), axis=2
        ).sum(axis=2)
        for side in (1, -1)
    )
    bounded = (right > 0) & (left > 0) & (right < _BESIDE) & (left < _BESIDE)
    shift = np.where(bounded, (right - left) * (0.4 / _BESIDE) * width[:, None], 0.0)
    row, col = axis.points(along, shift[..., None].reshape(len(tip), -1))
    pick = np.arange(along.shape[1])
    return _axis(np.stack([row[:, pick, pick], col[:, pick, pick]], axis=2).transpose(1, 0, 2))


def _least_squares(
    terms: npt.NDArray[np.float64], y: npt.NDArray[np.float64], ridge: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Fit terms (K, T, S) to values (K, S); returns the coefficients, (K, T).

    The sums are numpy's, not BLAS's: the same whatever the number of fits.
    """
    normal = (terms[:, :, None] * terms[:, None]).sum(axis=3) + np.diag(ridge)
    return np.asarray(
        np.linalg.solve(normal, (terms * y[:, None]).sum(axis=2)[..., None])[..., 0], np.float64
    )


def _clear_of_the_end(
    half_width: npt.NDArray[np.float32], path: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the first step of each path that is clear of its first pixel.

    There the skeleton is in the middle of the road; before, it may turn into a corner. Also
    returns the disc's radius.
    """
    near = half_width[path[..., 0], path[..., 1]].astype(np.float64)
    away = np.hypot(*(path - path[:, :1]).transpose(2, 0, 1))
    clear = (_CLEAR * near < away) & (near > 0)
    step = np.where(clear.any(axis=1), clear.argmax(axis=1), path.shape[1] - 1)
    return step, near[np.arange(len(path)), step]


def _walked(
    half_width: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    walk: int,
) -> npt.NDArray[np.int64]:
    """Return the pixels along the skeleton from its ends, (K, walk + 1, 2); the last stays.

    Where the skeleton forks, the way is to where the road is widest a few pixels on: at its
    end the other branch leads into a corner.
    """
    here = np.stack([rows, cols], axis=1)
    before = here.copy()
    path = [here]
    for _ in range(walk):
        best = np.zeros(len(here))
        step = np.zeros_like(here)
        for offset in _AROUND:
            there = here + offset
            # The farthest from the pixel before: past corners, and never back.
            gain = ((there - before) ** 2).sum(axis=1)
            at = np.flatnonzero(
                (half_width[there[:, 0], there[:, 1]] > 0) & ((gain > 1) | (len(path) == 1))
            )
            if not len(at):
                continue
            further = here[at] + 3 * np.array(offset)
            width = np.max(
                [half_width[further[:, 0] + r, further[:, 1] + c] for r, c in _BOX], axis=0
            )
            score = 1 + gain[at] + 4 * width.astype(np.float64)
            better = score > best[at]
            best[at[better]], step[at[better]] = score[better], offset
        before = np.where((best > 0)[:, None], here, before)
        here = here + step
        path.append(here)
    return np.stack(path, axis=1)


def _end(
    mask: npt.NDArray[np.uint8],
    axis: _Axis,
    width: npt.NDArray[np.float64],
    tip: npt.NDArray[np.int64],
    radius: int,
) -> npt.NDArray[np.float64]:
    """Return how far along its axis each road ends."""
    # Axes begin within a width of the end; samples stand in shares of the width, clear
    # of the road's rims, which are staircases.
    along = (np.arange(2 * _ALONG) + 0.5) / _ALONG
    lanes = (np.arange(_ACROSS) + 0.5) / _ACROSS - 0.5
    across = lanes * np.clip(1 - _RIM_PX / width, 0.4, 0.9)[:, None]
    inside = _inside(mask, axis, tip, radius, along * width[:, None], across * width[:, None])
    # The road ends where most lanes are off it; each lane ends near there.
    on = np.logical_and.accumulate(inside.mean(axis=2) > 0.5, axis=1).sum(axis=1) / _ALONG
    near = np.abs(along[None, :] - on[:, None]) <= _NEAR_END
    lane = (on - _NEAR_END)[:, None] + (inside & near[..., None]).sum(axis=1) / _ALONG
    arch = np.sqrt(0.25 - across**2)
    # The end is the sum of a straight cut, of a slant, and of some part of a half circle.
    mean = arch.mean(axis=1)
    terms = np.stack([np.ones_like(across), across, arch - mean[:, None]], axis=1)
    level, _, bulge = _least_squares(terms, lane, np.array([1e-6, 1e-2, 1e-2])).T
    # Half way in doubt; what is nearly one of the two is that one.
    share = np.clip((bulge - 0.4) / 0.4, 0, 1)
    return np.asarray(width * (level - share * mean), np.float64)
