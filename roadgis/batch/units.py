"""Units: fixed squares of the analysis lattice, and keys of their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from roadgis.imagery.grid import Window
from roadgis.imagery.record import SceneRecord
from roadgis.imagery.scene import Scene

#: Default side of a unit, pixels: the block size of ``extract``.
UNIT_PX = 2304
Boxes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Unit:
    """A unit of work: one square of the lattice.

    Attributes
    ----------
    row, col : int
        Row and column of the square on the lattice.
    core : Window
        Pixels of the unit within the grid of the county, on the lattice.
    pixels : int
        Number of pixels under sheets.
    sheets : tuple of int
        Numbers of the sheets that affect the unit.
    key : str
        Hash of everything that determines the probability of the unit.
    """

    row: int
    col: int
    core: Window
    pixels: int
    sheets: tuple[int, ...]
    key: str

    @property
    def name(self) -> str:
        """Name of the unit in tables and files."""
        return f"r{self.row}c{self.col}"

    def to_json(self) -> list[Any]:
        """Return plain JSON values."""
        core = [self.core.row, self.core.col, self.core.height, self.core.width]
        return [self.row, self.col, core, self.pixels, list(self.sheets), self.key]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Unit:
        """Rebuild a unit from the output of :meth:`to_json`."""
        row, col, core, pixels, sheets, key = values
        return cls(row, col, Window(*core), pixels, tuple(sheets), key)


def digest(*parts: Any) -> str:
    """Return a short hash of JSON values."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def imagery_units(
    scene: Scene, record: SceneRecord, cutting: Any, unit_px: int, settings: str
) -> list[Unit]:
    """Return the units of imagery that have a sheet, row by row.

    Parameters
    ----------
    scene : Scene
        Scene of the county.
    record : SceneRecord
        Record of the scene.
    cutting : roadgis.probability.cutting.Cutting
        How blocks are cut into tiles of the model.
    unit_px : int
        Side of a unit.
    settings : str
        Digest of everything else that determines the probability.
    """

    def seen(core: Window) -> list[Window]:
        return [core, *(window for window, _ in cutting.tiles(core))]

    return _units(scene, record, unit_px, seen, settings)


def mask_units(
    scene: Scene, record: SceneRecord, halo_px: int, unit_px: int, settings: str
) -> list[Unit]:
    """Return the units of masks or probability; see :func:`imagery_units`.

    `halo_px` is the distance around a unit that tracing reads.
    """

    def seen(core: Window) -> list[Window]:
        return [core.buffered(halo_px)]

    return _units(scene, record, unit_px, seen, settings)


def _units(scene: Scene, record: SceneRecord, unit_px: int, seen: Any, settings: str) -> list[Unit]:
    down, right = scene.origin
    grid = Window(down, right, scene.grid.height, scene.grid.width)
    sheets = np.array([sheet.box for sheet in record.sheets], np.int64).reshape(-1, 4)
    areas = _boxes(sheets)
    tree = shapely.STRtree(areas)
    units = []
    for row, col in _squares(sheets, grid, unit_px):
        core = Window(row * unit_px, col * unit_px, unit_px, unit_px).intersection(grid)
        relative = core.shifted(-down, -right)
        if scene.is_blank(relative):
            continue
        windows = [window.shifted(down, right) for window in seen(relative)]
        shown = np.unique(tree.query(_boxes(_ends(windows)), predicate="intersects")[1])
        shown = shown[_overlap(sheets[shown], windows)]
        key = digest(
            settings,
            record.options,
            record.reading,
            [(w.row, w.col, w.height, w.width) for w in windows],
            [record.sheets[number].digest for number in shown.tolist()],
        )
        pixels = _covered(areas[shown], core)
        if pixels:
            units.append(Unit(row, col, core, pixels, tuple(shown.tolist()), key))
    return units


def units_around(
    units: Iterable[Unit], reach_px: int, unit_px: int
) -> dict[tuple[int, int], list[Unit]]:
    """Return the other units within a distance of each unit, by row and column of the unit."""
    at = {(unit.row, unit.col): unit for unit in units}
    rings = -(-reach_px // unit_px)
    steps = [
        (down, right)
        for down in range(-rings, rings + 1)
        for right in range(-rings, rings + 1)
        if (down, right) != (0, 0)
    ]
    return {
        (row, col): [
            at[row + down, col + right] for down, right in steps if (row + down, col + right) in at
        ]
        for row, col in at
    }


def _squares(sheets: Boxes, grid: Window, unit_px: int) -> list[tuple[int, int]]:
    """Return the squares that sheets touch within the grid, row by row."""
    found: set[tuple[int, int]] = set()
    for top, left, end_row, end_col in sheets.tolist():
        top, left = max(top, grid.row), max(left, grid.col)
        end_row, end_col = min(end_row, grid.end_row), min(end_col, grid.end_col)
        found.update(
            (row, col)
            for row in range(top // unit_px, -(-end_row // unit_px))
            for col in range(left // unit_px, -(-end_col // unit_px))
        )
    return sorted(found)


def _ends(windows: Sequence[Window]) -> Boxes:
    return np.array([(w.row, w.col, w.end_row, w.end_col) for w in windows], np.int64)


def _boxes(ends: Boxes) -> npt.NDArray[np.object_]:
    boxes: npt.NDArray[np.object_] = shapely.box(ends[:, 1], ends[:, 0], ends[:, 3], ends[:, 2])
    return boxes


def _overlap(sheets: Boxes, windows: Sequence[Window]) -> npt.NDArray[np.bool_]:
    """Return whether each sheet shares a pixel with any window, (N,)."""
    ends = _ends(windows)
    low = np.maximum(sheets[:, None, :2], ends[None, :, :2])
    high = np.minimum(sheets[:, None, 2:], ends[None, :, 2:])
    both = np.all(low < high, axis=2)
    return np.asarray(np.any(both, axis=1), np.bool_)


def _covered(areas: npt.NDArray[np.object_], core: Window) -> int:
    """Return the number of pixels of a unit under sheets."""
    own = shapely.box(core.col, core.row, core.end_col, core.end_row)
    return round(shapely.intersection(shapely.union_all(areas), own).area)


def neighbours_key(own: str, around: Mapping[str, str], edges: Sequence[int], settings: str) -> str:
    """Return the key of the traced lines of a unit.

    Parameters
    ----------
    own : str
        Key of the probability of the unit.
    around : mapping of str to str
        Keys of the predicted units within reach, by name.
    edges : sequence of int
        Distances to the edges of the county's grid, at most the reach.
    settings : str
        Digest of the settings of tracing.
    """
    return digest(settings, own, sorted(around.items()), list(edges))
