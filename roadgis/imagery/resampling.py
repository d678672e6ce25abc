"""Groups of sheets brought to the analysis lattice, exactly the same however they are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from affine import Affine

from roadgis.affine import composed, mapped
from roadgis.arrays import Bools, Bytes, Floats, Ints
from roadgis.crs import in_degrees, transformer, wrapped
from roadgis.imagery.block_resampling import PAD_PX, box_sum, warp
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.grid import Window
from roadgis.imagery.pixel_lattice import Lattice, SheetGroup
from roadgis.imagery.values.stretch import Stretch

#: Blocks of the analysis lattice that are resampled at once; also the unit of sampling.
BLOCK_PX = 256
_CACHE_BYTES = 96 * 2**20
_MAX_SOURCE_PX = 2048
# How far, in source pixels, one affine map may be from the true projection within a block.
_MAX_BEND_PX = 0.05
_MIN_BLOCK_PX = 8

Values = npt.NDArray[np.float32]


class Layer(Protocol):
    """One group of sheets on the analysis lattice; thread-safe."""

    group: SheetGroup
    #: row, col, end row, end col of each sheet in lattice pixels, outward, (N, 4) int64.
    boxes: Ints
    #: row, col, end row, end col of the pixels that may be half valid or more, (4,) int64.
    extent: Ints
    #: How pixels come about, in words.
    resampled: str

    def read(self, window: Window, scaling: Stretch | None) -> tuple[Bytes, Bytes]:
        """Return uint8 (C, height, width) and the share 0..255 of each pixel that is valid."""

    def read_raw(self, window: Window) -> tuple[Values, Values]:
        """Return unscaled float32 (C, height, width) and the valid share 0..1 of each pixel."""


def touches(layer: Layer, window: Window) -> bool:
    """Return whether any sheet of a layer reaches into a window of the lattice."""
    row, col, end_row, end_col = layer.boxes.T
    inside = (row < window.end_row) & (end_row > window.row)
    inside &= (col < window.end_col) & (end_col > window.col)
    return bool(inside.any())


def whole_factor(group: SheetGroup, lattice: Lattice) -> int | None:
    """Return how many source pixels make one analysis pixel, where they do so exactly."""
    source, target = group.lattice, lattice
    if source.crs != target.crs or source.linear[1] or source.linear[2]:
        return None
    across, down = (t / s for s, t in zip(source.linear[::3], target.linear[::3], strict=True))
    factor = round(across)
    reach = max(int(group.boxes[:, 2:].max() - group.boxes[:, :2].min()), 1)
    if factor < 1 or max(abs(across / factor - 1), abs(down / factor - 1)) * reach > 0.01:
        return None
    # The near corner of the data, not the far origin, has to match.
    row, col = (int(v) for v in group.boxes[0, :2])
    c, r = mapped(~target.affine, *mapped(source.affine, float(col), float(row)))
    aligned = max(abs(v * factor - round(v * factor)) for v in (c, r)) < 0.02
    return factor if aligned else None


class WholeFactorLayer:
    """Source pixels as they are, or averaged in whole boxes: each output pixel stands alone."""

    def __init__(self, group: SheetGroup, handles: Handles, lattice: Lattice, factor: int) -> None:
        self.group = group
        self._handles = handles
        self._factor = factor
        self.resampled = "no" if factor == 1 else f"boxes of {factor} x {factor} pixels averaged"
        row, col = (int(v) for v in group.boxes[0, :2])
        c, r = mapped(~lattice.affine, *mapped(group.lattice.affine, float(col), float(row)))
        self._shift = (row - round(r * factor), col - round(c * factor))
        shift = np.array(self._shift * 2)
        start, end = (group.boxes - shift)[:, :2], (group.boxes - shift)[:, 2:]
        self.boxes = np.concatenate([start // factor, -(-end // factor)], axis=1)
        twice = 2 * factor
        first = -((factor - 2 * start.min(axis=0)) // twice)
        last = np.maximum((2 * end.max(axis=0) + factor) // twice, first + 1)
        self.extent = np.concatenate([first, last])

    def read(self, window: Window, scaling: Stretch | None) -> tuple[Bytes, Bytes]:
        """Read pixels; see `Layer`."""
        if self._factor == 1 and scaling is None:
            values, valid = self._source(window)
            return values.astype(np.uint8, copy=False), valid * np.uint8(255)
        raw, share = self.read_raw(window)
        return _to_bytes(raw, scaling), _share_to_byte(share)

    def read_raw(self, window: Window) -> tuple[Values, Values]:
        """Read pixels; see `Layer`."""
        raw = np.zeros((self.group.channels, window.height, window.width), np.float32)
        share = np.zeros((window.height, window.width), np.float32)
        # In pieces, so that a large factor does not read hundreds of megapixels at once.
        step = max(_MAX_SOURCE_PX // self._factor, 1)
        for top in range(0, window.height, step):
            for left in range(0, window.width, step):
                height = min(step, window.height - top)
                width = min(step, window.width - left)
                piece = Window(window.row + top, window.col + left, height, width)
                rows, cols = slice(top, top + height), slice(left, left + width)
                raw[:, rows, cols], share[rows, cols] = self._piece(piece)
        return raw, share

    def _piece(self, window: Window) -> tuple[Values, Values]:
        values, valid = self._source(window)
        if self._factor == 1:
            return values.astype(np.float32), valid.astype(np.float32)
        total = box_sum(_summable(values), self._factor)
        count = box_sum(valid.astype(np.int32), self._factor)
        mean = (total / np.maximum(count, 1)).astype(np.float32)
        return mean, (count / np.float32(self._factor**2)).astype(np.float32)

    def _source(self, window: Window) -> tuple[npt.NDArray[Any], Bools]:
        k = self._factor
        return self.group.read(
            self._handles,
            window.row * k + self._shift[0],
            window.col * k + self._shift[1],
            window.height * k,
            window.width * k,
        )


def _summable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    small = values.dtype.kind in "bu" and values.dtype.itemsize == 1
    return values.astype(np.int32 if small else np.float64)


def _to_bytes(raw: Values, scaling: Stretch | None) -> Bytes:
    scaled = raw if scaling is None else scaling.apply(raw)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _share_to_byte(share: Values) -> Bytes:
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


class BlockCache:
    """The most recently used resampled blocks, shared by threads."""

    def __init__(self, limit_bytes: int = _CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._blocks: OrderedDict[Any, tuple[Bytes, Bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> tuple[Bytes, Bytes] | None:
        """Return a block, or None if it is not kept."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
            return block

    def put(self, key: Any, block: tuple[Bytes, Bytes]) -> None:
        """Keep a block, and forget the longest unused ones."""
        with self._lock:
            if key in self._blocks:
                return
            self._blocks[key] = block
            self._used += block[0].nbytes + block[1].nbytes
            while self._used > self._limit:
                _, old = self._blocks.popitem(last=False)
                self._used -= old[0].nbytes + old[1].nbytes


def _resampling_text(ratio: float) -> str:
    """Return in words how sheets are brought onto another grid, `ratio` times as coarse."""
    if ratio > 1:
        return f"pixels {ratio:g} times as large, averaged"
    if ratio < 1:
        return f"pixels {1 / ratio:.3g} times as small, interpolated"
    return "pixels of the same size on another grid, interpolated"


@dataclass(frozen=True)
class _Rect:
    row: int
    col: int
    height: int
    width: int


class WarpedLayer:
    """Sheets in another CRS, rotation or pixel size.

    The analysis lattice is cut into fixed blocks; each is resampled by itself, from a source
    window that depends on the block alone. So a pixel has the same value whichever window it is
    read through, and whichever sheets its source pixels come from.
    """

    def __init__(
        self,
        group: SheetGroup,
        handles: Handles,
        lattice: Lattice,
        cache: BlockCache,
        boxes: Ints,
        ratio: float,
    ) -> None:
        self.group = group
        self.boxes = boxes
        self.extent = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        self._handles = handles
        self._lattice = lattice
        self._cache = cache
        # Whole pixels are averaged first, from box to box of the source's own lattice.
        self._factor = max(int(ratio + 0.01), 1)
        self.resampled = _resampling_text(ratio)
        size = BLOCK_PX
        while size * ratio > _MAX_SOURCE_PX and size > _MIN_BLOCK_PX:
            size //= 2
        self._size = size
        self._to_source = transformer(lattice.crs, group.lattice.crs)
        self._inverse = ~group.lattice.affine
        self._degrees = in_degrees(group.lattice.crs)
        middle = group.boxes[0, :2] + (group.boxes[0, 2:] - group.boxes[0, :2]) // 2
        self._lon = mapped(group.lattice.affine, float(middle[1]), float(middle[0]))[0]

    def read(self, window: Window, scaling: Stretch | None) -> tuple[Bytes, Bytes]:
        """Read pixels; see `Layer`."""
        values = np.zeros((self.group.channels, window.height, window.width), np.uint8)
        share = np.zeros((window.height, window.width), np.uint8)
        for row, col in self._blocks(window):
            key = (id(self), row, col)
            block = self._cache.get(key)
            if block is None:
                raw, part = self._block(row, col)
                block = _to_bytes(raw, scaling), _share_to_byte(part)
                self._cache.put(key, block)
            self._paste(window, row, col, block, (values, share))
        return values, share

    def read_raw(self, window: Window) -> tuple[Values, Values]:
        """Read pixels; see `Layer`."""
        values = np.zeros((self.group.channels, window.height, window.width), np.float32)
        share = np.zeros((window.height, window.width), np.float32)
        for row, col in self._blocks(window):
            self._paste(window, row, col, self._block(row, col), (values, share))
        return values, share

    def _blocks(self, window: Window) -> list[tuple[int, int]]:
        size = self._size
        return [
            (row, col)
            for row in range(window.row // size, -(-window.end_row // size))
            for col in range(window.col // size, -(-window.end_col // size))
        ]

    def _paste(
        self,
        window: Window,
        row: int,
        col: int,
        block: tuple[npt.NDArray[Any], npt.NDArray[Any]],
        into: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    ) -> None:
        size = self._size
        whole = Window(row * size, col * size, size, size)
        shared = whole.intersection(window)
        here, there = shared.slices_in(window), shared.slices_in(whole)
        for target, source in zip(into, block, strict=True):
            target[..., here[0], here[1]] = source[..., there[0], there[1]]

    def _block(self, row: int, col: int) -> tuple[Values, Values]:
        size = self._size
        planes = np.zeros((self.group.channels + 1, size, size), np.float32)
        self._fill(_Rect(row * size, col * size, size, size), planes)
        share = planes[-1]
        # Cubic weights are partly negative; below half a pixel there is nothing to show.
        values = planes[:-1] / np.maximum(share, 0.25)
        return values, share

    def _fill(self, rect: _Rect, out: Values) -> None:
        mapping, bend = self._mapping(rect)
        fits = mapping is not None and bend <= _MAX_BEND_PX
        if not fits and rect.height > _MIN_BLOCK_PX:
            half = rect.height // 2
            for r in (0, half):
                for c in (0, half):
                    part = _Rect(rect.row + r, rect.col + c, half, half)
                    self._fill(part, out[:, r : r + half, c : c + half])
        elif mapping is not None:
            self._warp(mapping, out)

    def _mapping(self, rect: _Rect) -> tuple[Affine | None, float]:
        """Return the affine map from a rectangle to reduced source pixels, and its largest error.

        None where the projection does not exist.
        """
        u = np.tile([0.0, 0.5, 1.0], 3) * rect.width
        v = np.repeat([0.0, 0.5, 1.0], 3) * rect.height
        x, y = mapped(self._lattice.affine, rect.col + u, rect.row + v)
        x, y = self._to_source.transform(x, y)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None, np.inf
        if self._degrees:
            x = wrapped(x, self._lon)
        c, r = mapped(self._inverse, x, y)
        c, r = c / self._factor, r / self._factor
        return _fit(u, v, c, r)

    def _warp(self, mapping: Affine, out: Values) -> None:
        height, width = out.shape[1:]
        across, down = np.array([0.0, width, 0.0, width]), np.array([0.0, 0.0, height, height])
        corners = mapped(mapping, across, down)
        c0, c1 = int(np.floor(corners[0].min())) - PAD_PX, int(np.ceil(corners[0].max())) + PAD_PX
        r0, r1 = int(np.floor(corners[1].min())) - PAD_PX, int(np.ceil(corners[1].max())) + PAD_PX
        k = self._factor
        box = (r0 * k, c0 * k, (r1 - r0) * k, (c1 - c0) * k)
        if not len(self.group.touching(*box)):
            return
        values, valid = self.group.read(self._handles, *box)
        planes = np.empty((len(out), r1 - r0, c1 - c0), np.float32)
        # Pixels that are not valid are 0 here and weigh nothing: they bleed into no neighbour.
        planes[:-1] = box_sum(_summable(values), k) / k**2
        planes[-1] = box_sum(valid.astype(np.int32), k) / k**2
        here = composed(Affine.translation(-c0, -r0), mapping)
        out[...] = warp(planes, here, height, width)


def _fit(u: Floats, v: Floats, c: Floats, r: Floats) -> tuple[Affine, float]:
    """Fit an affine map to nine points on a square, exact at its centre of mass."""
    du, dv = u - u.mean(), v - v.mean()
    cu, cv = (c * du).sum() / (du * du).sum(), (c * dv).sum() / (dv * dv).sum()
    ru, rv = (r * du).sum() / (du * du).sum(), (r * dv).sum() / (dv * dv).sum()
    c0 = c.mean() - cu * u.mean() - cv * v.mean()
    r0 = r.mean() - ru * u.mean() - rv * v.mean()
    mapping = Affine(cu, cv, c0, ru, rv, r0)
    fitted_c, fitted_r = mapped(mapping, u, v)
    return mapping, float(np.hypot(fitted_c - c, fitted_r - r).max())
