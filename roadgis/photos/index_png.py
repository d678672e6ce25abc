"""Index masks as PNG with a palette, so that they can be looked at."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["PALETTE", "write_index_png"]

# Neighbouring classes differ in hue and in lightness; after the last they begin again, darker.
_HUES = (
    *((214, 84, 63), (79, 160, 214), (242, 196, 70), (108, 178, 92), (158, 104, 190)),
    *((240, 146, 60), (64, 186, 176), (226, 120, 170), (150, 118, 84), (190, 200, 90)),
    *((90, 110, 200), (180, 180, 180)),
)


def _palette() -> npt.NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    for index in range(1, 255):
        turn, place = divmod(index - 1, len(_HUES))
        table[index] = np.array(_HUES[place]) * 0.86**turn
    table[255] = 255
    return table


#: Colour of each index, uint8 (256, 3): 0 is black, 255 (ignored) is white.
PALETTE = _palette()


def write_index_png(mask: npt.NDArray[np.uint8], path: Path) -> None:
    """Write class indices as a PNG with 8 bits and a palette.

    Written here and not through GDAL, which sets process-wide state on the way: masks are
    written by many threads.

    Parameters
    ----------
    mask : ndarray of uint8, shape (height, width)
        Read back, the values are the same.
    path : Path
        The file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    height, width = mask.shape
    # Each row begins with its filter: none.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = mask
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in (
            (b"IHDR", header),
            (b"PLTE", PALETTE.tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 6)),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))
