"""Cutting a raster into blocks of work, and blocks into the network's tiles; numpy only."""

from __future__ import annotations

from collections.abc import Iterator

from roadgis.imagery.grid import Window

#: What of a tile's output is kept: rows and columns of the tile.
Crop = tuple[slice, slice]


def blocks(height: int, width: int, block_px: int) -> list[Window]:
    """Cut a raster into blocks, row by row; the last ones of a row or column may be smaller.

    Parameters
    ----------
    height, width : int
        The raster's size, pixels.
    block_px : int
        The blocks' side, pixels.

    Returns
    -------
    list of Window
        The cores; together they cover each pixel once.

    Raises
    ------
    ValueError
        If `block_px` is not positive.
    """
    if block_px < 1:
        raise ValueError(f"block_px is {block_px}, expected at least 1.")
    whole = Window(0, 0, height, width)
    return [
        Window(row, col, block_px, block_px).intersection(whole)
        for row in range(0, height, block_px)
        for col in range(0, width, block_px)
    ]


def kept_px(tile_px: int, margin_px: int, stride: int) -> int:
    """Return the side of what is kept of a tile; tiles are this far apart, on the stride."""
    return tile_px - 2 * (-(-margin_px // stride) * stride)


def tiles(
    core: Window, tile_px: int, margin_px: int, stride: int, *, within: Window | None = None
) -> Iterator[tuple[Window, Crop]]:
    """Cover a block's core with tiles of equal shape that start on the network's stride.

    A tile's outer margin depends on where it was cut, so it is dropped; the rest of all tiles
    partitions the core, or what of it lies in the window. Tiles may reach beyond the core, and
    beyond the raster.

    Parameters
    ----------
    core : Window
        Pixels to predict; `row` and `col` count from an origin on the stride grid.
    tile_px : int
        A tile's side; a multiple of `stride`, larger than twice the margin.
    margin_px : int
        Pixels along a tile's border that are not kept, at least.
    stride : int
        The network's total downsampling.
    within : Window, optional
        Keep what lies in this window only. Tiles are then cut down to what their kept part
        needs, and to the window rounded outward to the stride: less to compute at the core's
        right and lower ends and around the imagery. A network that is local gives the same
        answer however it is cut, as the window's border is the tile's in every cutting.

    Yields
    ------
    tile : Window
        What the network sees, ``tile_px`` square unless cut down, with `row` and `col` multiples
        of `stride`, and its size too.
    crop : tuple of slice
        The tile's rows and columns that are kept.

    Raises
    ------
    ValueError
        If no tile of this size can keep a pixel, or it is not a multiple of the stride.
    """
    if stride < 1 or tile_px % stride or margin_px < 0:
        raise ValueError(
            f"tile_px is {tile_px} and margin_px {margin_px} with stride {stride}; expected a "
            "tile that is a multiple of the stride."
        )
    margin = -(-margin_px // stride) * stride
    step = kept_px(tile_px, margin_px, stride)
    if step < stride:
        raise ValueError(
            f"tile_px is {tile_px}, expected more than twice the margin of {margin} px; "
            f"at least {2 * margin + stride}."
        )
    for (top, height), keep_rows in _spans(core, within, 0, step, margin, stride):
        for (left, width), keep_cols in _spans(core, within, 1, step, margin, stride):
            yield Window(top, left, height, width), (keep_rows, keep_cols)


def _ends(window: Window, axis: int) -> tuple[int, int]:
    start, length = ((window.row, window.height), (window.col, window.width))[axis]
    return start, start + length


def _spans(
    core: Window, within: Window | None, axis: int, step: int, margin: int, stride: int
) -> Iterator[tuple[tuple[int, int], slice]]:
    """Return start and length of tiles along one axis, and which part of them is kept."""
    start, end = _ends(core, axis)
    border: tuple[int, int] | None = None
    if within is not None:
        first, last = _ends(within, axis)
        start, end = max(start, first), min(end, last)
        if start >= end:
            return
        border = first // stride * stride, -(-last // stride) * stride
    # The first kept stretch starts on the stride at or before the core.
    kept = start // stride * stride
    while kept < end:
        first, last = max(kept, start), min(kept + step, end)
        low, high = kept - margin, kept + step + margin
        if border is not None:
            low = max(low, border[0])
            high = min(-(-(last + margin) // stride) * stride, border[1])
        yield (low, high - low), slice(first - low, last - low)
        kept += step
