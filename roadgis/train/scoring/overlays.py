"""Pictures of the best and worst scenes of a model."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np

from roadgis.arrays import Bytes, Singles
from roadgis.train.data.labelled_scene import IGNORE, LabelledScene
from roadgis.train.scoring.evaluation import Block, SceneScores

#: Correct, missed and wrong pixels (red, green, blue): distinct with any colour vision by hue and
#: lightness.
COLOURS = {"hit": (0, 214, 143), "missed": (30, 80, 235), "false": (255, 90, 30)}
_STRENGTH = 0.75
_LARGEST_PX = 700


@dataclass(frozen=True)
class SceneOverlay:
    """A picture of a scene and the prediction.

    Attributes
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        At most 700 px a side.
    """

    scores: SceneScores
    picture: Bytes


class OverlayGallery:
    """Keeps pictures of the best and the worst scenes of an evaluation.

    Ranked by road IoU, or mean IoU for models of several classes; scenes without road are left out
    of the road ranking. At most twice `count` pictures are kept.

    Parameters
    ----------
    count : int
        Number of best and of worst scenes.
    """

    def __init__(self, count: int, *, by_class: bool) -> None:
        self._count = count
        self._by_class = by_class
        self._canvas: _Canvas | None = None
        self._ranked: list[tuple[float, int, SceneOverlay]] = []
        self._seen = 0

    def block(self, scene: LabelledScene, block: Block) -> None:
        """Draw one block."""
        if self._count:
            if self._canvas is None:
                self._canvas = _Canvas(scene.height, scene.width)
            self._canvas.draw(block.row, block.col, _painted(block))

    def scene_done(self, scene: LabelledScene, scores: SceneScores) -> None:
        """Keep the scene's picture if it is among the best or worst so far."""
        canvas, self._canvas = self._canvas, None
        score = scores.mean_iou if self._by_class else scores.scores.iou
        known = not math.isnan(score) and (self._by_class or scores.road_pixels > 0)
        self._seen += 1
        if canvas is None or not known:
            return
        self._ranked.append((score, -self._seen, SceneOverlay(scores, canvas.picture())))
        self._ranked.sort(key=lambda entry: entry[:2], reverse=True)
        del self._ranked[self._count : -self._count]

    @property
    def best(self) -> list[SceneOverlay]:
        """The best scenes, best first; half of the scenes if there are few."""
        half = -(-len(self._ranked) // 2)
        return [overlay for *_, overlay in self._ranked[: min(self._count, half)]]

    @property
    def worst(self) -> list[SceneOverlay]:
        """The worst scenes, worst first, without those in `best`."""
        rest = self._ranked[len(self.best) :]
        return [overlay for *_, overlay in reversed(rest[-self._count :])] if self._count else []


def _painted(block: Block) -> Singles:
    """Return a block's image, paler, with correct, missed and wrong pixels in colour."""
    image = block.image.astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    # Half desaturated, so that the marks stand out.
    picture: Singles = 0.5 * image + 0.5 * grey
    labels, found = block.labels, block.found
    valid = labels != IGNORE
    marks = {
        "hit": (labels == found) & (labels > 0),
        "missed": (labels > 0) & (found == 0),
        "false": (found > 0) & (found != labels),
    }
    for name, where in marks.items():
        colour = np.array(COLOURS[name], np.float32)
        where = where & valid
        picture[where] = (1 - _STRENGTH) * picture[where] + _STRENGTH * colour
    picture[~valid] *= 0.4
    return picture


class _Canvas:
    """A scene's picture, reduced block by block by averaging whole pixels."""

    def __init__(self, height: int, width: int) -> None:
        self._factor = max(1, -(-max(height, width) // _LARGEST_PX))
        shape = (-(-height // self._factor), -(-width // self._factor))
        self._sum = np.zeros((*shape, 3), np.float32)
        self._count = np.zeros((*shape, 1), np.float32)

    def draw(self, row: int, col: int, picture: Singles) -> None:
        factor = self._factor
        sums, sizes = picture, []
        for axis, start in enumerate((row, col)):
            # First pixel of each canvas cell in the block.
            length = picture.shape[axis]
            first = np.arange(start // factor, -(-(start + length) // factor)) * factor - start
            edges = np.maximum(first, 0)
            sums = np.add.reduceat(sums, edges, axis=axis)
            sizes.append(np.diff(np.append(edges, length)))
        rows, cols = (start // factor for start in (row, col))
        here = np.s_[rows : rows + sums.shape[0], cols : cols + sums.shape[1]]
        self._sum[here] += sums
        self._count[here] += np.multiply.outer(*sizes)[..., None]

    def picture(self) -> Bytes:
        mean = self._sum / np.maximum(self._count, 1)
        return np.clip(np.rint(mean), 0, 255).astype(np.uint8)


def jpeg_uri(picture: Bytes) -> str:
    """Return a picture as a ``data:`` URI of a JPEG."""
    from matplotlib import image

    buffer = io.BytesIO()
    # Full colour resolution, which thin marks need.
    settings = {"quality": 85, "subsampling": 0, "optimize": True}
    image.imsave(buffer, picture, format="jpeg", pil_kwargs=settings)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
