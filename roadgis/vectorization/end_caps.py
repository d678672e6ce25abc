"""The last stretch of roads in a mask: its middle line, its width, and where it ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from roadgis.arrays import Bools, Bytes, Floats, Ints
from roadgis.network.shape.dead_ends import Arcs
from roadgis.vectorization.arc_fits import arcs_through, least_squares

#: Rounds in which the middle line and the end are improved from each other.
_ROUNDS = 3
#: Length before the end on which the middle line is fitted, widths and pixels.
_SPAN, _SPAN_PX = 2.0, 4.0
#: Number of places on that length.
_PLACES = 24
#: Samples of the mask to each side of a place.
_SAMPLES = 24
#: Distance of the farthest sample, widths.
_RIM = 0.8
#: The middle is unknown where the road is narrower than the first share of its width, or wider
#: than the second and these pixels,
_NARROW, _WIDE, _WIDE_PX = 0.6, 1.15, 0.75
#: and where it is farther off than this many widths.
_OFF = 0.3
#: Places nearer to the end than this many widths are not used for the width.
_CAP = 0.7
#: The end is searched over this many widths to both sides, with this many samples per width
#: along and across.
_AROUND, _ALONG, _ACROSS = 1.2, 24, 20
_AROUND_END = (np.arange(2 * _AROUND * _ALONG) + 0.5) / _ALONG - _AROUND
#: Lanes nearer to the road's rim than this, pixels, are not used for the end.
_RIM_PX = 0.8
#: Where less than this share of the lanes is road, the road has ended.
_OVER = 0.12
#: An end is round from the first share of the deciding pixels, and flat below the second; in
#: between it is partly round. Models draw flat ends a little round.
_ROUND, _FLAT = 0.75, 0.45


class LastStretch(NamedTuple):
    """The last stretch of each of K roads; places are relative to the roads' last pixels.

    Attributes
    ----------
    axis : Arcs
        Middle lines; they begin near the end and lead away from the road.
    width : ndarray of float64, shape (K,)
        Pixels.
    end : ndarray of float64, shape (K,)
        How far along the axis the road ends, pixels.
    """

    axis: Arcs
    width: Floats
    end: Floats


def last_stretches(
    mask: Bytes, places: Floats, width: Floats, tip: Ints, radius: int
) -> LastStretch:
    """Measure how roads end.

    First the middle between the rims at the given places is found, then, as far as it reaches the
    end, that of the whole last stretch: an axis prolonged from farther back misses the end of a
    curved road. The road ends with the line around which the mask is half a width wide: at a
    straight cut, or at the middle of a half circle. The pixels that are road in only one of the
    two cases decide.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        0 and 1.
    places : ndarray of float64, shape (S, K, 2)
        (row, column) from `tip`, along each road, the first one nearest to its end.
    width : ndarray of float64, shape (K,)
        Approximate width of the roads, pixels.
    tip : ndarray of int64, shape (K, 2)
        Last pixels.
    radius : int
        Largest half width, pixels.
    """
    sight = _Sight(mask, tip, radius)
    axis = _centred(sight, places, width)
    end = _rough_end(sight, axis, width)
    for _ in range(_ROUNDS):
        axis, width = _refined(sight, axis, width, end)
        inside, flat = _straight_end(sight, axis, width)
        end = flat * width
    return LastStretch(axis, width, end - _round_end(inside, flat, width))


class _Sight(NamedTuple):
    mask: Bytes
    tip: Ints
    radius: int

    def inside(self, axis: Arcs, along: Floats, across: Floats) -> Bools:
        """Return which places (K, S, C) along (K, S) and across (K, C) axes are road."""
        row, col = (np.rint(at, out=at) for at in axis.points(along, across))
        # A block reads the mask up to this distance; no road that is well placed reaches farther.
        seen: Bools = row * row + col * col <= int((2.5 * self.radius) ** 2)
        first = (self.tip[:, 0] * self.mask.shape[1] + self.tip[:, 1]).astype(np.float64)
        row *= self.mask.shape[1]
        row += col
        row += first[:, None, None]
        flat = np.where(seen, row, 0.0).astype(np.int64)
        seen &= self.mask.view(np.bool_).reshape(-1)[flat]
        return np.asarray(seen, bool)

    def rims(self, axis: Arcs, along: Floats, width: Floats) -> tuple[Ints, Ints, Bools]:
        """Return how many samples the road goes to both sides, (K, S), and where that is known."""
        lanes = (np.arange(_SAMPLES) + 0.5) * (_RIM / _SAMPLES)
        right, left = (
            np.logical_and.accumulate(
                self.inside(axis, along, side * lanes * width[:, None]), axis=2
            ).sum(axis=2)
            for side in (1, -1)
        )
        bounded = (right > 0) & (left > 0) & (right < _SAMPLES) & (left < _SAMPLES)
        return right, left, bounded


def _centred(sight: _Sight, places: Floats, width: Floats) -> Arcs:
    """Fit arcs to places (S, K, 2), and again to the middles between the rims there."""
    axis = arcs_through(places)
    span = np.hypot(*(places[0] - places[-1]).T)
    along = -span[:, None] * np.linspace(0, 1, 2 * len(places))
    right, left, bounded = sight.rims(axis, along, width)
    shift = np.where(bounded, (right - left) * (_RIM / 2 / _SAMPLES) * width[:, None], 0.0)
    row, col = axis.points(along, shift[..., None].reshape(len(shift), -1))
    pick = np.arange(along.shape[1])
    return arcs_through(
        np.stack([row[:, pick, pick], col[:, pick, pick]], axis=2).transpose(1, 0, 2)
    )


def _rough_end(sight: _Sight, axis: Arcs, width: Floats) -> Floats:
    """Return how far along its axis each road ends, at the latest two widths ahead."""
    along = (np.arange(2 * _ALONG) + 0.5) / _ALONG
    lanes = ((np.arange(_ACROSS) + 0.5) / _ACROSS - 0.5) * 0.7
    inside = sight.inside(axis, along * width[:, None], lanes * width[:, None])
    on = np.logical_and.accumulate(inside.sum(axis=2) > _ACROSS // 2, axis=1).sum(axis=1)
    return np.asarray(on * width / _ALONG, np.float64)


def _refined(sight: _Sight, axis: Arcs, width: Floats, end: Floats) -> tuple[Arcs, Floats]:
    """Fit arcs to the middles of the road up to its end, where they begin; and its width."""
    span = _SPAN * width + _SPAN_PX
    back = (np.arange(_PLACES) + 0.5) / _PLACES
    along = end[:, None] - span[:, None] * back
    right, left, bounded = sight.rims(axis, along, width)
    cell = _RIM / _SAMPLES * width[:, None]
    wide, shift = (right + left) * cell, (right - left) * (cell / 2)
    good = bounded & (wide > _NARROW * width[:, None]) & (wide < _WIDE * width[:, None] + _WIDE_PX)
    good &= np.abs(shift) < _OFF * width[:, None]
    terms = np.broadcast_to(np.stack([np.ones_like(back), back, back**2]), (len(end), 3, _PLACES))
    fit = least_squares(
        terms, np.where(good, shift, 0.0), np.array([1e-6, 1e-6, 1e-2]), good.astype(np.float64)
    )
    fit = np.where((good.sum(axis=1) >= _PLACES // 3)[:, None], fit, 0.0)
    axis = axis.moved(end, fit[:, 0], -fit[:, 1] / span, 2 * fit[:, 2] / span**2)
    clear = good & (back * span[:, None] > _CAP * width[:, None])
    count = clear.sum(axis=1)
    mean = np.where(clear, right + left, 0).sum(axis=1) / np.maximum(count, 1) * cell[:, 0]
    return axis, np.where(count >= _PLACES // 4, mean, width)


def _inner_lanes(width: Floats) -> tuple[Floats, Bools]:
    """Return the places of lanes across a road, in widths, and a mask of those used, (K, C)."""
    across = (np.arange(_ACROSS) + 0.5) / _ACROSS - 0.5
    return across, np.abs(across) <= np.maximum(0.5 - _RIM_PX / width, 0.2)[:, None]


def _straight_end(sight: _Sight, axis: Arcs, width: Floats) -> tuple[Bools, Floats]:
    """Return samples of the mask around each end, and where the road ends if cut straight, widths.

    Both are along the axis; the samples are (K, S, C).
    """
    across, inner = _inner_lanes(width)
    inside = sight.inside(axis, _AROUND_END * width[:, None], across * width[:, None])
    lanes = inner.sum(axis=1)
    road = (inside & inner[:, None]).sum(axis=2)
    on = np.logical_and.accumulate(road > _OVER * lanes[:, None], axis=1)
    return inside, np.where(on, road, 0).sum(axis=1) / lanes / _ALONG - _AROUND


def _round_end(inside: Bools, flat: Floats, width: Floats) -> Floats:
    """Return how much less far along its axis each road ends if its end is round, pixels."""
    across, inner = _inner_lanes(width)
    arch = np.sqrt(0.25 - across**2)
    rise = np.where(inner, arch, 0.0).sum(axis=1) / inner.sum(axis=1)
    # Both forms have the same end on average over the inner lanes.
    straight = np.broadcast_to((flat[:, None] > _AROUND_END)[..., None], inside.shape)
    circle = _AROUND_END[:, None] < ((flat - rise)[:, None] + arch)[:, None, :]
    only = straight != circle
    count = np.maximum(only.sum(axis=(1, 2)), 1)
    for_circle = (only & (inside == circle)).sum(axis=(1, 2)) / count
    share = np.clip((for_circle - _FLAT) / (_ROUND - _FLAT), 0, 1)
    return np.asarray(share * rise * width, np.float64)
