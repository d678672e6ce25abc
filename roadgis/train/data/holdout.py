"""Hold out blocks of scenes for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

from roadgis.errors import DataError, InputError
from roadgis.imagery.grid import Window
from roadgis.train.data.labelled_scene import IGNORE, Bytes, LabelledScene, known_gsd_m


def hold_out(
    scenes: Sequence[LabelledScene], *, share: float, block_px: int, seed: int
) -> tuple[list[LabelledScene], list[LabelledScene]]:
    """Split scenes into training and validation blocks; no label is in both.

    The choice depends on a hash of the seed, the scene's name and the block's position only. Reads
    nothing.

    Parameters
    ----------
    share : float
        Share of the blocks, 0 to less than 1. At least one block is held out unless it is 0.
    block_px : int
        Approximate side of the blocks, several times the receptive field: smaller blocks give
        scores that are too high.

    Returns
    -------
    training : list of LabelledScene
        Scenes without those held out as a whole; labels of held-out blocks are `IGNORE`.
    validation : list of LabelledScene
        Each block as a scene named ``SCENE@ROW,COL`` by its top left pixel.

    Raises
    ------
    DataError
        If there are too few blocks for both parts.
    """
    if not 0 <= share < 1 or block_px < 1:
        raise InputError(
            f"Holding out a share of {share} in blocks of {block_px} px: expected a share from 0 "
            "to less than 1, and blocks of at least 1 px."
        )
    if share == 0:
        return list(scenes), []
    cut = [_blocks(scene, block_px) for scene in scenes]
    hashes = [[_hash(seed, scene.name, key) for key in parts]
              for scene, parts in zip(scenes, cut, strict=True)]  # fmt: skip
    ordered = sorted(value for values in hashes for value in values)
    last = ordered[max(round(share * len(ordered)), 1) - 1] if ordered else b""
    training: list[LabelledScene] = []
    validation: list[LabelledScene] = []
    for scene, parts, values in zip(scenes, cut, hashes, strict=True):
        hidden = [
            window for window, value in zip(parts.values(), values, strict=True) if value <= last
        ]
        validation.extend(ScenePart(scene, window) for window in hidden)
        if not hidden:
            training.append(scene)
        elif len(hidden) < len(parts):
            training.append(_Without(scene, hidden))
    if not training:
        raise DataError(
            f"All of the {len(ordered)} blocks of {len(scenes)} scenes would be held out for "
            "validation. Choose smaller blocks, a smaller share, or give a validation set."
        )
    return training, validation


def _blocks(scene: LabelledScene, block_px: int) -> dict[tuple[int, int], Window]:
    rows, cols = _edges(scene.height, block_px), _edges(scene.width, block_px)
    return {
        (i, j): Window(row, col, end_row - row, end_col - col)
        for i, (row, end_row) in enumerate(pairwise(rows))
        for j, (col, end_col) in enumerate(pairwise(cols))
    }


def _edges(length: int, block_px: int) -> list[int]:
    count = max(round(length / block_px), 1)
    return [length * i // count for i in range(count + 1)]


def _hash(seed: int, name: str, key: tuple[int, int]) -> bytes:
    return hashlib.sha256(repr((seed, name, *key)).encode()).digest()


class ScenePart:
    """A window of a scene as its own scene, named ``SCENE@ROW,COL``."""

    def __init__(self, scene: LabelledScene, window: Window) -> None:
        self.name = f"{scene.name}@{window.row},{window.col}"
        self.height, self.width = window.height, window.width
        self.fingerprint = f"{scene.fingerprint}@{window}"
        self._scene = scene
        self._window = window

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        """Return image and labels."""
        return self._scene.read(self._window.row + row, self._window.col + col, height, width)

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        """Return the labels alone."""
        return self._scene.read_labels(
            self._window.row + row, self._window.col + col, height, width
        )


class _Without:
    """A scene with the labels of some blocks hidden."""

    def __init__(self, scene: LabelledScene, hidden: Sequence[Window]) -> None:
        self.name = scene.name
        self.height, self.width = scene.height, scene.width
        self.fingerprint = f"{scene.fingerprint}-{list(hidden)}"
        self.gsd_m = known_gsd_m(scene)
        self._scene = scene
        self._hidden = tuple(hidden)

    def read(self, row: int, col: int, height: int, width: int) -> tuple[Bytes, Bytes]:
        image, labels = self._scene.read(row, col, height, width)
        return image, self._hide(labels, row, col)

    def read_labels(self, row: int, col: int, height: int, width: int) -> Bytes:
        return self._hide(self._scene.read_labels(row, col, height, width), row, col)

    def _hide(self, labels: Bytes, row: int, col: int) -> Bytes:
        for window in self._hidden:
            top, left = max(window.row - row, 0), max(window.col - col, 0)
            end, right = window.row + window.height - row, window.col + window.width - col
            if end > 0 and right > 0:
                labels[top:end, left:right] = IGNORE
        return labels
