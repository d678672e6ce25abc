"""Settings of prediction: blocks, tiles and threads."""

from __future__ import annotations

from dataclasses import dataclass

from roadgis.errors import InputError
from roadgis.options.option import Option, setting

#: Side of the chunks of a probability mosaic, pixels; blocks are multiples of it.
CHUNK_PX = 768


@dataclass(frozen=True)
class PredictOptions:
    """Settings of prediction.

    How it is cut decides speed and memory. The result is independent of that for local models
    (see :class:`roadgis.model.card.ModelCard`); for others the tile size affects it.

    Attributes
    ----------
    block_px : int
        Side of the blocks that are read, predicted and written at once; a multiple of the
        mosaic's chunk.
    tile_px : int or None
        Largest side of a tile, a multiple of the model's stride; by default that of a block with
        the model's margin. For models with a fixed tile size, that size.
    workers : int or None
        Threads that read ahead; by default as many as there are processors, at most 4.
    chunk_px : int
        Side of the mosaic's chunks.
    flips : bool
        Average the probability over the tile itself, mirrored left to right, top to bottom,
        and both: four times the work. It decides the result too.
    """

    block_px: int = setting(
        3 * CHUNK_PX,
        Option(
            "Side of the blocks that are processed at once, a multiple of 768; smaller blocks "
            "need less memory.",
            "performance",
            unit="px",
        ),
    )
    tile_px: int | None = setting(
        None,
        Option(
            "Maximum side of the tiles that the model sees.",
            "performance",
            unit="px",
            default_text="a block with its margin",
        ),
    )
    workers: int | None = setting(
        None,
        Option(
            "Number of threads for reading and vectorizing.",
            "performance",
            metavar="N",
            default_text="all cores, at most 4",
        ),
    )
    chunk_px: int = CHUNK_PX
    flips: bool = setting(
        False,
        Option(
            "Average the probability over mirrored tiles: slightly better, in four times the time.",
            "model",
        ),
    )

    def __post_init__(self) -> None:
        if self.chunk_px < 16 or self.chunk_px % 16:
            raise InputError(f"chunk_px is {self.chunk_px}, expected a multiple of 16.")
        if self.block_px < self.chunk_px or self.block_px % self.chunk_px:
            raise InputError(
                f"--block-px is {self.block_px}, expected a multiple of {self.chunk_px}."
            )
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers is {self.workers}, expected 1 or more.")
