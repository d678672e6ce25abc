"""Counting and checking the labels of all training data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from roadgis.arrays import Bools, Ints
from roadgis.errors import DataError
from roadgis.progress import Progress, no_progress
from roadgis.train.data.labelled_scene import IGNORE, LabelledScene, label_names, read_windows

_LOG = logging.getLogger(__name__)
_THREADS = 2
#: Side of the counting cells; divides the rows and columns of `read_windows`.
CELL_PX = 32
# Roads cover 2 to 20 % of an aerial image, and up to half of a street-level photograph.
_MOST_ROAD = 0.6


@dataclass(frozen=True)
class SceneCounts:
    """Label counts of one scene.

    Attributes
    ----------
    class_px : tuple of int
        Valid pixels per class index.
    cells : ndarray of int64, shape (2, rows + 1, cols + 1)
        Cumulative counts of valid pixels and of road pixels over a grid of cells; see
        :meth:`bounds`.
    """

    name: str
    height: int
    width: int
    class_px: tuple[int, ...]
    cells: Ints = field(repr=False, compare=False)

    def bounds(self, what: int, row: int, col: int, side: int) -> tuple[int, int]:
        """Return lower and upper bounds of the pixel count of a square window, without reading it.

        Parameters
        ----------
        what : int
            0 for valid pixels, 1 for road pixels.
        """
        first, last = (row, col), (row + side, col + side)
        inner = [-(-v // CELL_PX) for v in first], [v // CELL_PX for v in last]
        outer = [v // CELL_PX for v in first], [-(-v // CELL_PX) for v in last]
        if min(inner[1][0] - inner[0][0], inner[1][1] - inner[0][1]) <= 0:
            return 0, self._count(what, *outer)
        return self._count(what, *inner), self._count(what, *outer)

    def _count(self, what: int, first: list[int], last: list[int]) -> int:
        sums = self.cells[what]
        (r0, c0), (r1, c1) = first, last
        return int(sums[r1, c1] - sums[r0, c1] - sums[r1, c0] + sums[r0, c0])

    @property
    def valid_px(self) -> int:
        """Valid pixels."""
        return sum(self.class_px)


@dataclass(frozen=True)
class LabelCounts:
    """Label counts of a set of scenes.

    Attributes
    ----------
    road_class : int
        Class index of road.
    """

    classes: tuple[str, ...]
    scenes: tuple[SceneCounts, ...]
    road_class: int = 1

    def __str__(self) -> str:
        shares = zip(self.classes[1:], self.class_share[1:], strict=True)
        return (
            f"{len(self.scenes)} scenes, {self.valid_px / 1e6:.1f} million valid pixels "
            f"({self.valid_share:.0%}): "
            + ", ".join(f"{share:.1%} {name}" for name, share in shares)
        )

    @property
    def class_px(self) -> tuple[int, ...]:
        """Valid pixels per class in all scenes."""
        return tuple(sum(px) for px in zip(*(s.class_px for s in self.scenes), strict=True))

    @property
    def valid_px(self) -> int:
        """Valid pixels in all scenes."""
        return sum(self.class_px)

    @property
    def valid_share(self) -> float:
        """Valid share of all pixels."""
        return self.valid_px / sum(s.height * s.width for s in self.scenes)

    @property
    def class_share(self) -> tuple[float, ...]:
        """Share of each class in the valid pixels."""
        return tuple(px / self.valid_px for px in self.class_px)


def check_labels(
    scenes: Sequence[LabelledScene],
    classes: Sequence[str] = ("road",),
    *,
    crop_px: int | None = None,
    road_class: int = 1,
    progress: Progress = no_progress,
) -> LabelCounts:
    """Count the classes of all scenes, and reject data that cannot be trained on.

    Reads all labels once, by blocks, in two threads.

    Parameters
    ----------
    classes : sequence of str
        As for ``open_pairs``: one name for binary labels, else all names.
    crop_px : int, optional
        Side of the training crops; no scene may be smaller.
    road_class : int
        Class that crops are balanced by.
    progress : Progress
        Progress callback, called after each scene.

    Raises
    ------
    DataError
        If there are no scenes, a scene is smaller than the crop, labels have unexpected values, or
        no pixel is valid or none belongs to a class but the first.
    """
    names = label_names(classes)
    if not scenes:
        raise DataError("Found no labelled scenes. Give at least one image with its labels.")
    check_sizes(scenes, crop_px)
    found = count_labels(scenes, len(names), road_class, progress)
    result = LabelCounts(names, tuple(found), road_class)
    _check(result)
    return result


def count_labels(
    scenes: Sequence[LabelledScene],
    class_count: int,
    road_class: int,
    progress: Progress = no_progress,
) -> list[SceneCounts]:
    """Read all labels once; reject values outside the classes."""
    found: list[SceneCounts] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for one in pool.map(lambda scene: _count_scene(scene, class_count, road_class), scenes):
                found.append(one)
                text = f"Counting labels of {len(found)} of {len(scenes)} scenes"
                progress(len(found) / len(scenes), text)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def check_sizes(scenes: Sequence[LabelledScene], crop_px: int | None) -> None:
    """Raise DataError if a scene is smaller than the crop; the message names the first ones."""
    small = [s for s in scenes if crop_px is not None and min(s.height, s.width) < crop_px]
    if small:
        shown = ", ".join(f"{s.name} ({s.width} x {s.height} px)" for s in small[:3])
        raise DataError(
            f"{len(small)} scenes are smaller than the crop of {crop_px} px, first {shown}. "
            "Choose smaller crops, or leave these scenes out."
        )


def _count_scene(scene: LabelledScene, count: int, road_class: int) -> SceneCounts:
    totals = np.zeros(256, np.int64)
    rows, cols = -(-scene.height // CELL_PX), -(-scene.width // CELL_PX)
    cells = np.zeros((2, rows + 1, cols + 1), np.int64)
    for window in read_windows(scene.height, scene.width):
        labels = scene.read_labels(window.row, window.col, window.height, window.width)
        totals += np.bincount(labels.ravel(), minlength=256)
        row, col = window.row // CELL_PX + 1, window.col // CELL_PX + 1
        for part, wanted in zip(cells, (labels != IGNORE, labels == road_class), strict=True):
            counts = _per_cell(wanted)
            part[row : row + counts.shape[0], col : col + counts.shape[1]] = counts
    strange = [int(v) for v in np.flatnonzero(totals) if v >= count and v != IGNORE]
    if strange:
        raise DataError(
            f"{scene.name}: found labels {strange[:8]}; expected class indices 0 to {count - 1}, "
            f"and {IGNORE} for unknown."
        )
    class_px = tuple(int(n) for n in totals[:count])
    sums = cells.cumsum(axis=1).cumsum(axis=2)
    return SceneCounts(scene.name, scene.height, scene.width, class_px, sums)


def _per_cell(wanted: Bools) -> Ints:
    """Return the number of wanted pixels per cell; cells at the end may be incomplete."""
    along = np.add.reduceat(wanted, np.arange(0, wanted.shape[1], CELL_PX), axis=1, dtype=np.uint8)
    return np.add.reduceat(along, np.arange(0, wanted.shape[0], CELL_PX), axis=0, dtype=np.int64)


def _check(found: LabelCounts) -> None:
    if found.valid_px == 0:
        raise DataError(
            f"None of the {len(found.scenes)} scenes has a valid pixel. Check nodata, alpha and "
            "mask bands of the images."
        )
    if sum(found.class_px[1:]) == 0:
        raise DataError(
            f"None of the {found.valid_px} valid pixels of {len(found.scenes)} scenes is labelled "
            f"{' or '.join(found.classes[1:])}. Check that the labels belong to these images."
        )
    absent = [n for n, px in zip(found.classes, found.class_px, strict=True) if px == 0]
    if absent:
        _LOG.warning("No pixel is labelled %s: the class cannot be learned.", ", ".join(absent))
    if len(found.classes) == 2:
        _warn_inverted(found)
    empty = [s.name for s in found.scenes if s.valid_px and sum(s.class_px[1:]) == 0]
    if empty:
        _LOG.warning(
            "%d of %d scenes have no pixel labelled %s, first %s.",
            len(empty), len(found.scenes), " or ".join(found.classes[1:]), ", ".join(empty[:3]),
        )  # fmt: skip


def _warn_inverted(found: LabelCounts) -> None:
    """Warn about scenes with more road than plausible, whose masks are probably inverted."""
    shares = {
        scene.name: scene.class_px[1] / scene.valid_px for scene in found.scenes if scene.valid_px
    }
    full = [f"{name} ({share:.0%})" for name, share in shares.items() if share > _MOST_ROAD]
    if full:
        _LOG.warning(
            "In %d of %d scenes more than %.0f %% of the valid pixels are labelled %s, first %s; "
            "roads usually cover 2 to 20 %%. These masks are probably inverted (0 where road is): "
            "stop, check them, and invert their values, e.g. with gdal_calc --calc=A==0.",
            len(full), len(found.scenes), 100 * _MOST_ROAD, found.classes[1], ", ".join(full[:3]),
        )  # fmt: skip
