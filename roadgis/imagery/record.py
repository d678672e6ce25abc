"""Record of a scene's inputs, from which a later run knows which pixels are unchanged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np

from roadgis.imagery.block_resampling import PAD_PX
from roadgis.imagery.grid import Window
from roadgis.imagery.plan import Plan
from roadgis.imagery.raster import Raster
from roadgis.imagery.resampling import Layer, WarpedLayer
from roadgis.imagery.values.blank import BLANK_REACH_PX
from roadgis.options.imagery import SceneOptions

#: To be raised when the same inputs come to read differently.
READ_VERSION = 1


@dataclass(frozen=True)
class SheetRecord:
    """One input.

    Attributes
    ----------
    name : str
        As shown to users.
    digest : str
        Changes with the file, and with how it is read.
    box : tuple of int
        Row, column, end row and end column on the analysis lattice; pixels outside do not
        depend on the sheet.
    """

    name: str
    digest: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class SceneRecord:
    """All that decides a scene's pixels.

    Attributes
    ----------
    options : str
        Digest of what the user asked for: bands, nodata, area of interest and so on.
    reading : str
        Digest of what the inputs decide together: the analysis lattice and the stretch.
    origin : tuple of int
        Row and column on the analysis lattice of the grid's first pixel.
    extent : tuple of int
        Row, column, height and width of all inputs together on the lattice.
    covered : tuple of int
        Row, column, height and width on the lattice of what is wanted: all inputs, or the part
        around the area of interest. The grid reaches beyond it to complete its tiles.
    sheets : tuple of SheetRecord
        The first lies on top.
    """

    options: str
    reading: str
    origin: tuple[int, int]
    extent: tuple[int, int, int, int]
    covered: tuple[int, int, int, int]
    sheets: tuple[SheetRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SceneRecord:
        """Return what :meth:`to_json` was made from."""
        return cls(
            values["options"],
            values["reading"],
            tuple(values["origin"]),
            tuple(values["extent"]),
            tuple(values["covered"]),
            tuple(SheetRecord(s["name"], s["digest"], tuple(s["box"])) for s in values["sheets"]),
        )

    @property
    def extent_in_grid(self) -> Window:
        """The extent, relative to the grid."""
        return self._in_grid(self.extent)

    @property
    def covered_in_grid(self) -> Window:
        """Area of interest relative to the grid."""
        return self._in_grid(self.covered)

    def _in_grid(self, box: tuple[int, int, int, int]) -> Window:
        return Window(*box).shifted(-self.origin[0], -self.origin[1])


def scene_fingerprint(
    plan: Plan,
    rasters: Sequence[Raster],
    options: SceneOptions,
    band_count: int,
    stretch: Mapping[str, Any],
    normalization: Mapping[str, Any] | None,
) -> str:
    """Return a hash of everything that decides a scene's pixels."""
    grid = plan.grid
    names = ("bands", "blank", "nodata", "stretch", "value_range", "assume_crs")
    parts = {
        "version": READ_VERSION,
        "stamps": [raster.stamp for raster in rasters],
        "grid": [grid.crs.to_wkt(), grid.x0, grid.y0, grid.gsd_m, grid.width, grid.height],
        "bands": [raster.bands for raster in rasters],
        "band_count": band_count,
        "options": {name: repr(getattr(options, name)) for name in names},
        "scaling": stretch,
        "normalization": normalization,
        "area": None if plan.area is None else plan.area.digest,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def scene_record(
    plan: Plan, options: SceneOptions, band_count: int, stretch: Mapping[str, Any]
) -> SceneRecord:
    """Describe what a scene was planned from; see :class:`SceneRecord`."""
    names = ("bands", "blank", "nodata", "gsd_m", "stretch", "value_range", "assume_crs")
    asked = {name: repr(getattr(options, name)) for name in names}
    lattice = plan.lattice
    return SceneRecord(
        options=_digest(asked, band_count, None if plan.area is None else plan.area.digest),
        reading=_digest(
            READ_VERSION, lattice.crs.to_wkt(), lattice.linear, lattice.phase, dict(stretch)
        ),
        origin=(plan.row, plan.col),
        extent=astuple(plan.extent),
        covered=astuple(plan.covered),
        sheets=tuple(
            SheetRecord(sheet.name, _sheet_digest(sheet, layer), _reached(sheet, layer, i, options))
            for layer in plan.layers
            for i, sheet in enumerate(layer.group.sheets)
        ),
    )


def _sheet_digest(sheet: Raster, layer: Layer) -> str:
    own = layer.group.lattice
    return _digest(
        sheet.stamp, sheet.bands, sheet.level, sheet.width, sheet.height, tuple(sheet.transform),
        sheet.flip, repr(sheet.nodata), sheet.alpha, sheet.mask, own.crs.to_wkt(), own.linear,
        own.phase, layer.group.channels, layer.group.dtype, layer.resampled,
    )  # fmt: skip


def _reached(
    sheet: Raster, layer: Layer, number: int, options: SceneOptions
) -> tuple[int, int, int, int]:
    row, col, end_row, end_col = (int(v) for v in layer.boxes[number])
    reach = 0 if options.blank == "none" else BLANK_REACH_PX
    if isinstance(layer, WarpedLayer):
        # Interpolation looks a few source pixels beyond its own.
        larger = max((end_row - row) / sheet.height, (end_col - col) / sheet.width, 1.0)
        reach += math.ceil((PAD_PX + 2) * larger) + 1
    return row - reach, col - reach, end_row + reach, end_col + reach


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} has no place in a digest")
