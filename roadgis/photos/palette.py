"""Class colours, and drawing classes over a picture."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from roadgis.arrays import Bytes
from roadgis.errors import InputError
from roadgis.photos.frames import import_opencv

logger = logging.getLogger(__name__)

#: Colours (red, green, blue) of the classes from index 1 on. Each has the largest distance to
#: those before it (in OKLab, the minimum over normal, protan, deutan and tritan vision), so that
#: the first ones are the most distinct.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (225, 45, 105),
    (225, 255, 0),
    (0, 0, 255),
    (75, 225, 255),
    (0, 150, 225),
    (240, 150, 0),
    (150, 0, 0),
    (120, 0, 150),
    (150, 255, 195),
    (105, 195, 150),
    (255, 45, 195),
    (225, 210, 105),
    (30, 135, 150),
    (135, 30, 90),
    (225, 105, 45),
    (180, 60, 0),
    (180, 0, 195),
    (90, 105, 255),
    (180, 165, 255),
    (255, 180, 210),
    (120, 75, 135),
    (165, 45, 75),
    (105, 255, 255),
    (255, 240, 135),
)

# Height of a legend line as a share of the frame's height, and its bounds in pixels.
_LINE_SHARE = 1 / 24
_LINE_PX = (10, 48)
# Height of a capital letter of OpenCV's plain font at scale 1, pixels.
_CAPITAL_PX = 21
_LEGEND_GROUND = (20, 20, 20)
_LEGEND_TEXT = (255, 255, 255)


def class_colours(count: int) -> Bytes:
    """Return a colour for each class.

    Parameters
    ----------
    count : int
        Number of classes including "other".

    Returns
    -------
    ndarray of uint8, shape (count, 3)
        Red, green, blue. Class 0 is black and never drawn. Colours repeat if there are more
        classes.
    """
    if count - 1 > len(PALETTE):
        logger.warning("%d classes share %d colours", count - 1, len(PALETTE))
    colours = np.zeros((count, 3), np.uint8)
    for index in range(1, count):
        colours[index] = PALETTE[(index - 1) % len(PALETTE)]
    return colours


class Overlay:
    """Draws classes over pictures of one size.

    Parameters
    ----------
    classes : sequence of str
        Names by index; index 0 is not drawn.
    height, width : int
        Size of the pictures, pixels.
    alpha : float
        Weight of the class colour, 0..1; the rest is the picture.
    legend : bool
        Draw the names in the upper left corner; omitted with a warning if there is no room.
    """

    def __init__(
        self,
        classes: Sequence[str],
        height: int,
        width: int,
        *,
        alpha: float = 0.5,
        legend: bool = True,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha is {alpha}, expected a number between 0 and 1.")
        self._alpha = alpha
        self._colours = class_colours(len(classes))
        self._legend = _legend(classes, self._colours, height, width) if legend else None

    def draw(self, image: Bytes, labels: Bytes) -> Bytes:
        """Return the picture with classes and legend."""
        cv2 = import_opencv()
        mixed: Bytes = cv2.addWeighted(
            image, 1 - self._alpha, self._colours[labels], self._alpha, 0
        )
        np.copyto(mixed, image, where=(labels == 0)[..., None])
        if self._legend is not None:
            rows, columns = self._legend.shape[:2]
            mixed[:rows, :columns] = self._legend
        return mixed


def _legend(classes: Sequence[str], colours: Bytes, height: int, width: int) -> Bytes | None:
    """Return the legend as a picture, or None if it would not fit."""
    names = [_plain(name) for name in classes[1:]]
    line = int(min(max(height * _LINE_SHARE, _LINE_PX[0]), _LINE_PX[1]))
    line = min(line, height // (len(names) + 1))
    cv2 = import_opencv()
    picture = _draw_legend(cv2, names, colours, line) if line >= _LINE_PX[0] else None
    if picture is None or picture.shape[0] > height or picture.shape[1] > width // 2:
        logger.warning(
            "no room for a legend of %d classes in %d x %d px", len(names), width, height
        )
        return None
    return picture


def _draw_legend(cv2: Any, names: Sequence[str], colours: Bytes, line: int) -> Bytes:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5 * line / _CAPITAL_PX
    thickness = max(1, round(line / 24))
    texts = [cv2.getTextSize(name, font, scale, thickness)[0][0] for name in names]
    pad = line // 3
    shape = (pad * 2 + line * len(names), pad * 3 + line + max(texts), 3)
    picture = np.full(shape, _LEGEND_GROUND, np.uint8)
    for index, name in enumerate(names):
        top = pad + index * line
        swatch = picture[top + line // 8 : top + line - line // 8, pad : pad + line]
        swatch[:] = colours[index + 1]
        place = (2 * pad + line, top + round(0.75 * line))
        cv2.putText(picture, name, place, font, scale, _LEGEND_TEXT, thickness, cv2.LINE_AA)
    return picture


def _plain(name: str) -> str:
    """Return a name in the letters of OpenCV's font; others become ``?``."""
    parts = unicodedata.normalize("NFKD", name)
    letters = "".join(part for part in parts if not unicodedata.combining(part))
    return letters.encode("ascii", "replace").decode("ascii")
