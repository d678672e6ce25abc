"""Sheets on one pixel lattice read as one raster, however the scene was cut into files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

from roadgis.affine import composed, mapped
from roadgis.arrays import Bools, Floats, Ints
from roadgis.crs import LONLAT, in_degrees, transformer, wrapped
from roadgis.imagery.dataset_pool import Handles
from roadgis.imagery.georeferencing import footprint
from roadgis.imagery.grid import Window
from roadgis.imagery.pixel_reading import read_pixels
from roadgis.imagery.raster import PixelDecoder, Raster

# Sheets whose pixels lie this close to a common lattice, in pixels, are on it: world files and
# coordinates in degrees are rounded.
_TOLERANCE_PX = 0.02


def steady(value: float) -> float:
    """Return the value with 12 digits: the same for a scene and for sheets cut from it."""
    return float(f"{value:.12g}")


@dataclass(frozen=True)
class Lattice:
    """An endless grid of pixels, counted from its CRS's origin.

    Counting from there makes a pixel's number, and with it the result of resampling, the same
    whichever file the pixel comes from.

    Attributes
    ----------
    crs : pyproj.CRS
        CRS of the coordinates.
    linear : tuple of float
        a, b, d, e of the affine transform: the pixel's steps.
    phase : tuple of float
        Where pixel (0, 0) starts, in columns and rows from the CRS's origin, 0..1.
    """

    crs: CRS
    linear: tuple[float, float, float, float]
    phase: tuple[float, float]

    @classmethod
    def of(cls, crs: CRS, transform: Affine) -> Lattice:
        """Return the lattice that a raster lies on."""
        t = transform
        linear = (steady(t.a), steady(t.b), steady(t.d), steady(t.e))
        steps = Affine(linear[0], linear[1], 0.0, linear[2], linear[3], 0.0)
        col, row = mapped(~steps, t.c, t.f)
        return cls(crs, linear, (_phase(col), _phase(row)))

    @property
    def affine(self) -> Affine:
        """From lattice (col, row) to (x, y)."""
        a, b, d, e = self.linear
        col, row = self.phase
        return Affine(a, b, a * col + b * row, d, e, d * col + e * row)

    def index(self, raster: Raster) -> tuple[int, int]:
        """Return the (row, col) on the lattice of a raster's first pixel."""
        col, row = mapped(~self.affine, raster.transform.c, raster.transform.f)
        return round(row), round(col)

    def holds(self, raster: Raster) -> bool:
        """Return whether a raster's pixels are pixels of the lattice."""
        t = raster.transform
        a, b, d, e = self.linear
        pixel = max(abs(a), abs(b), abs(d), abs(e))
        size = max(raster.width, raster.height)
        steps = zip((t.a, t.b, t.d, t.e), self.linear, strict=True)
        if max(abs(own - step) for own, step in steps) * size > _TOLERANCE_PX * pixel:
            return False
        col, row = mapped(~self.affine, t.c, t.f)
        return bool(max(abs(col - round(col)), abs(row - round(row))) <= _TOLERANCE_PX)


def _phase(position: float) -> float:
    phase = round(position % 1.0, 4)
    return phase if phase < 1.0 else 0.0


class SheetGroup:
    """Rasters on one lattice with equal channels and type, read as one endless raster.

    Parameters
    ----------
    lattice : Lattice
        That all sheets lie on.
    channels, dtype : int, str
        Of every sheet.
    nodata : float or None
        The user's own nodata value.
    decoder : PixelDecoder or None
        Turns values into probability; of masks that overlap, any may show a road.
    """

    def __init__(
        self,
        lattice: Lattice,
        channels: int,
        dtype: str,
        nodata: float | None,
        decoder: PixelDecoder | None = None,
    ) -> None:
        self.decoder = decoder
        self.lattice = lattice
        self.channels = channels
        self.dtype = dtype
        self.sheets: list[Raster] = []
        #: row, col, end row, end col of each sheet, (N, 4) int64.
        self.boxes: Ints = np.empty((0, 4), np.int64)
        self._pending: list[tuple[int, int, int, int]] = []
        self._nodata = nodata

    def add(self, raster: Raster, row: int, col: int) -> None:
        """Add a sheet whose first pixel is (row, col) of the lattice; earlier ones lie on top."""
        self.sheets.append(raster)
        self._pending.append((row, col, row + raster.height, col + raster.width))

    def seal(self) -> None:
        """Index the sheets; call once after the last `add`."""
        self.boxes = np.array(self._pending, np.int64).reshape(-1, 4)

    def touching(self, row: int, col: int, height: int, width: int) -> Ints:
        """Return the indices of the sheets that share pixels with a rectangle."""
        b = self.boxes
        hit = (b[:, 0] < row + height) & (b[:, 2] > row) & (b[:, 1] < col + width) & (b[:, 3] > col)
        return np.flatnonzero(hit)

    def read(
        self, handles: Handles, row: int, col: int, height: int, width: int
    ) -> tuple[npt.NDArray[np.generic], Bools]:
        """Read a rectangle of the lattice.

        Returns
        -------
        values : ndarray, shape (C, height, width)
            In the sheets' dtype; 0 where not valid.
        valid : ndarray of bool, shape (height, width)
            False outside of all sheets, too.

        Raises
        ------
        ReadError
            If a sheet fails.
        """
        window = Window(row, col, height, width)
        touching = self.touching(row, col, height, width)
        if len(touching) == 1 and self.decoder is None:
            whole = self._read_within(handles, touching[0], window)
            if whole is not None:
                return whole
        values = np.zeros((self.channels, height, width), self.dtype)
        valid = np.zeros((height, width), np.bool_)
        covered = np.zeros((height, width), np.bool_)
        for index in touching:
            sheet = Window.between(*(int(v) for v in self.boxes[index]))
            part = sheet.intersection(window)
            here = part.slices_in(window)
            target = values[:, here[0], here[1]]
            union = self.decoder is not None and self.decoder.is_mask
            covered[here] = True
            if valid[here].all() and not union:
                continue
            box = (part.row - sheet.row, part.col - sheet.col, part.height, part.width)
            pixels, seen = read_pixels(handles, self.sheets[index], box, self._nodata)
            new = seen & ~valid[here]
            if self.decoder is not None:
                pixels = self.decoder.stored(pixels)
                if union:
                    new |= seen & (pixels[0] > target[0])
            # A condition makes copying several times as slow.
            np.copyto(target, pixels, where=True if new.all() else new, casting="same_kind")
            valid[here] |= seen
        if self.decoder is not None and self.decoder.background:
            valid = covered
        return values, valid

    def _read_within(
        self, handles: Handles, index: int, window: Window
    ) -> tuple[npt.NDArray[np.generic], Bools] | None:
        """Read a window of one sheet; None if the sheet does not cover it."""
        sheet = Window.between(*(int(v) for v in self.boxes[index]))
        if not sheet.contains(window):
            return None
        box = (window.row - sheet.row, window.col - sheet.col, window.height, window.width)
        pixels, seen = read_pixels(handles, self.sheets[index], box, self._nodata)
        if not seen.all():
            pixels[:, ~seen] = 0
        return pixels, seen


class _Overlaps:
    """Whether sheets lie over each other, whatever their CRSs, by their bounds in degrees."""

    def __init__(self) -> None:
        self._bounds: dict[str, Floats] = {}

    def hidden(self, raster: Raster, groups: Sequence[SheetGroup]) -> bool:
        """Return whether a raster would rise above sheets of another date in a group before these.

        Sheets of one date stay on one lattice, so that no seam runs between them.
        """
        return any(
            sheet.date != raster.date and self._meet(sheet, raster)
            for group in groups
            for sheet in group.sheets
        )

    def _meet(self, a: Raster, b: Raster) -> bool:
        one, other = self._of(a), self._of(b)
        return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())

    def _of(self, raster: Raster) -> Floats:
        if raster.path not in self._bounds:
            points = np.stack(
                transformer(raster.crs, LONLAT).transform(*footprint(raster).T), axis=-1
            )
            self._bounds[raster.path] = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return self._bounds[raster.path]


def group_sheets(
    rasters: Sequence[Raster], centre_lon: float, nodata: float | None
) -> list[SheetGroup]:
    """Sort rasters into groups of equal lattice, channels and type, in order of appearance.

    A raster that lies under sheets of another date in later groups begins a new group.

    Parameters
    ----------
    rasters : sequence of Raster
        At the overview level to be read.
    centre_lon : float
        Rasters in degrees are numbered near it, so that neighbours across the antimeridian are.
    nodata : float or None
        The user's own nodata value.
    """
    groups: list[SheetGroup] = []
    over = _Overlaps()
    for raster in rasters:
        placed = _near(raster, centre_lon)
        key = (raster.crs, raster.decoder, _type(raster), _channels(raster))
        for number, group in enumerate(groups):
            own = (group.lattice.crs, group.decoder, group.dtype, group.channels)
            if (
                own == key
                and group.lattice.holds(placed)
                and not over.hidden(raster, groups[number + 1 :])
            ):
                break
        else:
            lattice = Lattice.of(raster.crs, placed.transform)
            group = SheetGroup(lattice, _channels(raster), _type(raster), nodata, raster.decoder)
            groups.append(group)
        group.add(placed, *group.lattice.index(placed))
    for group in groups:
        group.seal()
    return groups


def _type(raster: Raster) -> str:
    return raster.dtype if raster.palette is None and raster.decoder is None else "uint8"


def _channels(raster: Raster) -> int:
    return raster.channels if raster.decoder is None else 1


def _near(raster: Raster, centre_lon: float) -> Raster:
    """Return a raster in degrees moved by full turns to the centre's side of the antimeridian."""
    if not in_degrees(raster.crs):
        return raster
    middle = mapped(raster.transform, raster.width / 2, raster.height / 2)[0]
    shift = float(wrapped(np.array(middle), centre_lon)) - middle
    if abs(shift) < 1.0:
        return raster
    transform = composed(Affine.translation(shift, 0.0), raster.transform)
    return dataclasses.replace(raster, transform=transform)
