"""How a scene becomes blocks, and blocks the tiles that a model sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roadgis.errors import InputError
from roadgis.imagery.grid import Grid, Window
from roadgis.imagery.scene import Scene
from roadgis.options.prediction import PredictOptions
from roadgis.probability.tiling import Crop, blocks, kept_px, tiles

if TYPE_CHECKING:
    from roadgis.model.card import ModelCard

#: Of more blocks than this, a sample is used to estimate a run's length.
_COUNTED_BLOCKS = 5000


def tile_side(options: PredictOptions, card: ModelCard) -> int:
    """Return the largest tile side for a model, pixels.

    Raises
    ------
    InputError
        If `tile_px` is not a multiple of the stride or leaves nothing between the margins, or
        is not what the network takes.
    """
    if card.tile_px is not None:
        if options.tile_px not in (None, card.tile_px):
            raise InputError(
                f"--tile-px is {options.tile_px}; model {card.name} takes tiles of "
                f"{card.tile_px} px only. Leave --tile-px out."
            )
        return card.tile_px
    smallest = 2 * card.margin_px + card.stride
    if options.tile_px is None:
        return -(-(options.block_px + 2 * card.margin_px) // card.stride) * card.stride
    if options.tile_px % card.stride or options.tile_px < smallest:
        raise InputError(
            f"--tile-px is {options.tile_px}; model {card.name} needs a multiple of "
            f"{card.stride} of at least {smallest} (its margin is {card.margin_px} px)."
        )
    return options.tile_px


@dataclass(frozen=True)
class Cutting:
    """How a scene becomes blocks, and blocks tiles of a model.

    Attributes
    ----------
    card : ModelCard
        The model's.
    side : int
        Largest side of a tile, pixels.
    extent : Window
        Of the imagery, relative to the grid.
    flips : bool
        Whether mirrored tiles are predicted too.
    block_px : int
        Side of the blocks, pixels.
    chunk_px : int
        Side of the mosaic's chunks; blocks are multiples of it.
    """

    card: ModelCard
    side: int
    extent: Window
    flips: bool
    block_px: int
    chunk_px: int

    @classmethod
    def of(cls, scene: Scene, card: ModelCard, options: PredictOptions) -> Cutting:
        """Return how a scene is cut for a model."""
        cutting = cls(
            card,
            tile_side(options, card),
            scene.extent,
            options.flips,
            options.block_px,
            options.chunk_px,
        )
        chunk_px = cutting.whole_tiles(options.chunk_px)
        block_px = max(1, options.block_px // chunk_px) * chunk_px
        return dataclasses.replace(cutting, block_px=block_px, chunk_px=chunk_px)

    def whole_tiles(self, side_px: int) -> int:
        """Return the side, about as long, that no tile is computed for the remainder of."""
        if is_free(self.card):
            return side_px
        kept = kept_px(self.side, self.card.margin_px, self.card.stride)
        return max(1, round(side_px / kept)) * kept

    def blocks(self, grid: Grid) -> list[Window]:
        """Return the blocks of a grid, row by row."""
        return blocks(grid.height, grid.width, self.block_px)

    def tiles(self, core: Window) -> Iterator[tuple[Window, Crop]]:
        """Return the tiles of a block, and what of each is kept."""
        card = self.card
        within = self.extent if is_free(card) else None
        return tiles(core, self.side, card.margin_px, card.stride, within=within)

    def seen(self, core: Window) -> Window:
        """Return what a block and its tiles cover.

        It is not always the margin around the core: tiles start and end on the stride, end where
        the imagery does, or are of a fixed size.
        """
        windows = [core, *(window for window, _ in self.tiles(core))]
        return Window.between(
            min(w.row for w in windows),
            min(w.col for w in windows),
            max(w.end_row for w in windows),
            max(w.end_col for w in windows),
        )


def is_free(card: ModelCard) -> bool:
    """Whether tiles may have any size, without a change of the result."""
    return card.local and card.tile_px is None


def network_pixels(scene: Scene, card: ModelCard, options: PredictOptions) -> int:
    """Return how many pixels the network sees in a run, the margins of tiles included; about.

    Parameters
    ----------
    scene : Scene
        Opened at the model's GSD.
    card : ModelCard
        The model's.
    options : PredictOptions
        How to cut.
    """
    cutting = Cutting.of(scene, card, options)
    cores = cutting.blocks(scene.grid)
    step = -(-len(cores) // _COUNTED_BLOCKS)
    return step * sum(
        window.height * window.width
        for core in cores[::step]
        if not scene.is_blank(core)
        for window, _ in cutting.tiles(core)
    )
