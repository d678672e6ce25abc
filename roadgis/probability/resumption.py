"""Taking up a mosaic whose imagery has changed: which of its blocks still hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from roadgis.imagery.grid import Grid, Window
from roadgis.imagery.record import SceneRecord, SheetRecord
from roadgis.probability.mosaic import Mosaic

_LOG = logging.getLogger(__name__)
_NAMES = 5
#: Makes the tiles of a block, given the extent of the imagery in the grid.
Tiles = Callable[[Window, Window], Sequence[tuple[Window, object]]]


def take_up(
    mosaic: Mosaic,
    grid: Grid,
    imagery: SceneRecord,
    blocks: Sequence[Window],
    tiles: Tiles,
    *,
    local: bool,
) -> Mosaic:
    """Return a mosaic of the current imagery, with all blocks of an older one that are still valid.

    A block holds when its network's tiles are the same as before, and show no sheet that was
    replaced, added or removed: then predicting it again would give the same values.

    Parameters
    ----------
    mosaic : Mosaic
        As an earlier run left it.
    grid, imagery : Grid, SceneRecord
        What a run covers now.
    blocks : sequence of Window
        Of the grid.
    tiles : callable
        The tiles of a block for an extent of the imagery, both relative to the grid.
    local : bool
        Whether the network's pixels see a bounded surrounding.

    Returns
    -------
    Mosaic
        The same one where nothing has changed.
    """
    before = SceneRecord.from_json(mosaic.imagery)
    if before == imagery and mosaic.grid == grid:
        return mosaic
    down = imagery.origin[0] - before.origin[0]
    right = imagery.origin[1] - before.origin[1]
    changed = _changed(before.sheets, imagery.sheets)
    same_reading = before.reading == imagery.reading and mosaic.grid.crs == grid.crs
    same_reading &= _in_one_order(before.sheets, imagery.sheets)
    # What a network that is not local gives depends on the whole cutting into blocks.
    same_reading &= local or (mosaic.grid == grid and before.extent == imagery.extent)
    kept: list[tuple[Window, Window]] = []
    finished = 0
    for core in blocks:
        old = core.shifted(down, right)
        if not mosaic.grid.window.contains(old) or not mosaic.is_done(old):
            continue
        finished += 1
        if not same_reading:
            continue
        seen = tiles(core, imagery.extent_in_grid)
        as_before = [
            (tile.shifted(-down, -right), crop) for tile, crop in tiles(old, before.extent_in_grid)
        ]
        if list(seen) == as_before and not _shows(
            [core, *(window for window, _ in seen)], imagery.origin, changed
        ):
            kept.append((old, core))
    _LOG.warning(
        "the imagery has changed since this run began (%s): kept %d of %d finished blocks; "
        "%d %s",
        _what(before.sheets, imagery.sheets),
        len(kept),
        finished,
        finished - len(kept),
        "see what changed and are predicted again" if same_reading
        else "are predicted again, as the pixel grid, the stretch of values or the order changed",
    )  # fmt: skip
    return mosaic.renewed(grid, imagery.to_json(), kept)


def _changed(
    before: Sequence[SheetRecord], now: Sequence[SheetRecord]
) -> list[tuple[int, int, int, int]]:
    """Return where sheets lie, or lay, that are not in both, on the lattice."""
    return [sheet.box for sheet in set(before) ^ set(now)]


def _in_one_order(before: Sequence[SheetRecord], now: Sequence[SheetRecord]) -> bool:
    common = set(before) & set(now)
    return [s for s in before if s in common] == [s for s in now if s in common]


def _shows(
    windows: Sequence[Window], origin: tuple[int, int], boxes: Sequence[tuple[int, int, int, int]]
) -> bool:
    return any(
        not Window.between(*box).intersection(window.shifted(*origin)).is_empty
        for window in windows
        for box in boxes
    )


def _what(before: Sequence[SheetRecord], now: Sequence[SheetRecord]) -> str:
    """Say in words which sheets were replaced, added and removed."""
    old, new = {s.name: s for s in before}, {s.name: s for s in now}
    groups = {
        "replaced": [n for n in new if n in old and old[n] != new[n]],
        "added": [n for n in new if n not in old],
        "removed": [n for n in old if n not in new],
    }
    told = [
        f"{kind}: {', '.join(names[:_NAMES])}"
        + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
        for kind, names in groups.items()
        if names
    ]
    return "; ".join(told) or "the area that it covers"
