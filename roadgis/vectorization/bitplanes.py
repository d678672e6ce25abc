"""Binary images, 64 pixels a word: neighbourhood operations on whole rows at once.

A *plane* is a uint64 array (H, W / 64); pixel (row, col) is bit ``col % 64`` of word
``col // 64``. What lies beyond the plane counts as 0. One bitwise operation of numpy
handles 64 pixels and runs without the interpreter's lock, so that planes are 20 to 50
times faster than byte images and blocks can be worked on by threads.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from roadgis.arrays import Bools, Bytes, Ints

#: Pixels in a word; widths of images to pack are a multiple of it.
WORD = 64

Plane: TypeAlias = npt.NDArray[np.uint64]

_ONE = np.uint64(1)
_LAST = np.uint64(WORD - 1)


def pack(image: Bools) -> Plane:
    """Pack a bool image (H, W), W a multiple of 64, into a plane."""
    height, width = image.shape
    packed = np.packbits(image, axis=None, bitorder="little").view("<u8")
    return packed.astype(np.uint64, copy=False).reshape(height, width // WORD)


def unpack(plane: Plane) -> Bytes:
    """Return a plane as uint8 (H, W) of 0 and 1."""
    raw = plane.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(raw, axis=None, bitorder="little").reshape(len(plane), -1)


def pixels(plane: Plane) -> tuple[Ints, Ints]:
    """Return rows and columns of the pixels that are set, in row order."""
    width = plane.shape[1] * WORD
    flat = plane.reshape(-1)
    words = np.flatnonzero(flat)
    bits = np.unpackbits(flat[words].astype("<u8", copy=False).view(np.uint8), bitorder="little")
    hit = np.flatnonzero(bits.view(np.bool_))
    index = words[hit >> 6] * WORD + (hit & (WORD - 1))
    rows = index // width
    return rows, index - rows * width


def east(plane: Plane) -> Plane:
    """Return at each pixel its eastern neighbour."""
    out: Plane = plane >> _ONE
    # All rows as one: a loop over the words of each row takes three times as long.
    out.reshape(-1)[:-1] |= plane.reshape(-1)[1:] << _LAST
    out[:, -1] = plane[:, -1] >> _ONE
    return out


def west(plane: Plane) -> Plane:
    """Return at each pixel its western neighbour."""
    out: Plane = plane << _ONE
    out.reshape(-1)[1:] |= plane.reshape(-1)[:-1] >> _LAST
    out[:, 0] = plane[:, 0] << _ONE
    return out


def dilated(plane: Plane, radius: float) -> Plane:
    """Return the plane grown by a Euclidean disc.

    A disc is a stack of rows; from its top to its middle the rows only grow longer, so
    each is made from the one before.

    Parameters
    ----------
    plane : Plane
        Plane to grow.
    radius : float
        Pixels; offsets no longer than this belong to the disc.
    """
    row: Plane = plane.copy()
    if radius < 1:
        return row
    out: Plane = np.zeros_like(plane)
    half = 0
    top = int(radius)
    for offset in range(top, -1, -1):
        while half < math.isqrt(int(radius * radius + 1e-9) - offset * offset):
            row |= east(row) | west(row)
            half += 1
        if offset == 0:
            out |= row
        elif offset < len(plane):
            out[offset:] |= row[:-offset]
            out[:-offset] |= row[offset:]
    return out


def eroded(plane: Plane, radius: float) -> Plane:
    """Return the plane shrunk by a Euclidean disc; its own border does not shrink it."""
    out: Plane = np.invert(dilated(~plane, radius))
    return out


def closed(plane: Plane, radius: float) -> Plane:
    """Return the plane with gaps and notches filled that a Euclidean disc does not fit into."""
    return plane.copy() if radius < 1 else eroded(dilated(plane, radius), radius)
