"""Polygon JSON of annotated photographs (IDD, Cityscapes), drawn as class indices."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.features import rasterize

from roadgis.arrays import Bytes, Floats
from roadgis.errors import DataError
from roadgis.imagery.gdal_warnings import quiet
from roadgis.photos.label_classes import LabelClasses
from roadgis.plain_values import parse_json

_HEAD_CHARS = 65_536
_MAX_SIDE_PX = 65_535


@dataclass(frozen=True)
class LabelledPolygon:
    """One annotated outline.

    Attributes
    ----------
    points : ndarray of float64, shape (N, 2)
        x (column) and y (row) in pixels; integers are pixel centres.
    """

    label: str
    points: Floats


@dataclass(frozen=True)
class PolygonDocument:
    """The annotations of one photograph.

    Attributes
    ----------
    name : str
        File name for messages.
    height, width : int
        Size of the image, pixels.
    objects : tuple of LabelledPolygon
        In drawing order: later ones lie over earlier ones. Deleted ones are left out.
    skipped : int
        Objects left out because they have fewer than three points.
    """

    name: str
    height: int
    width: int
    objects: tuple[LabelledPolygon, ...]
    skipped: int = 0

    @classmethod
    def read(cls, path: Path | str) -> PolygonDocument:
        """Read ``imgHeight``, ``imgWidth`` and ``objects`` (``label``, ``polygon``, ``deleted``).

        Raises
        ------
        DataError
            If it cannot be read, is not JSON, or an entry is missing or invalid.
        """
        name = str(path)
        try:
            content = parse_json(Path(path).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error}). Check the path.") from error
        except ValueError as error:
            raise DataError(
                f"{name}: is not JSON ({error}). The file may be cut off: copy or unpack it again."
            ) from error
        if not isinstance(content, dict):
            raise _wrong(name, f"holds a {type(content).__name__}")
        height, width = (_side(name, content, key) for key in ("imgHeight", "imgWidth"))
        found = content.get("objects")
        if not isinstance(found, list):
            raise _wrong(name, "has no list 'objects'")
        objects = [_object(name, number, item) for number, item in enumerate(found, 1)]
        kept = [item for item in objects if item is not None]
        drawn = tuple(item for item in kept if len(item.points) >= 3)
        return cls(name, height, width, drawn, len(kept) - len(drawn))

    @property
    def label_counts(self) -> Counter[str]:
        """Number of outlines per label."""
        return Counter(item.label for item in self.objects)


def is_polygon_json(path: Path) -> bool:
    """Return whether a file is polygon JSON and not, for example, GeoJSON, from its beginning."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_HEAD_CHARS)
    return '"imgHeight"' in head or '"imgWidth"' in head


def draw_polygons(document: PolygonDocument, classes: LabelClasses) -> Bytes:
    """Draw annotated outlines as class indices.

    As in the label images of these data sets, the outline belongs to its polygon, and areas
    enclosed twice are outside (even-odd).

    Parameters
    ----------
    document : PolygonDocument
        Its objects are drawn in order and cut at the image border.
    classes : LabelClasses
        Index of each label; other labels are drawn as 0, as they hide what is behind.
    """
    index_of = classes.index_of
    shapes: list[tuple[dict[str, Any], int]] = []
    for item in document.objects:
        points = item.points
        # GDAL walks along each edge pixel by pixel, also far outside.
        limit = (document.width, document.height)
        if (points < -1).any() or (points > limit).any():
            points = _clipped(points, document.height, document.width)
        if len(points):
            ring = (np.concatenate([points, points[:1]]) + 0.5).tolist()
            index = index_of.get(item.label, 0)
            shapes.append(({"type": "Polygon", "coordinates": [ring]}, index))
            shapes.append(({"type": "LineString", "coordinates": ring}, index))
    shape = (document.height, document.width)
    if not shapes:
        return np.zeros(shape, np.uint8)
    with quiet():
        return np.asarray(rasterize(shapes, out_shape=shape, dtype="uint8"))


def _clipped(points: Floats, height: int, width: int) -> Floats:
    """Cut a ring slightly outside of the image (Sutherland and Hodgman 1974).

    Added edges run outside the image, so its inside does not change, even for rings that cross
    themselves.
    """
    margin = 2.0
    for axis, sign, limit in ((0, 1, -margin), (0, -1, -(width + margin - 1)),
                              (1, 1, -margin), (1, -1, -(height + margin - 1))):  # fmt: skip
        if not len(points):
            break
        depth = sign * points[:, axis] - limit
        before, depth_before = np.roll(points, 1, axis=0), np.roll(depth, 1)
        out: list[Floats] = []
        for p, d, q, e in zip(points, depth, before, depth_before, strict=True):
            if (d >= 0) != (e >= 0):
                out.append(q + (p - q) * (e / (e - d)))
            if d >= 0:
                out.append(p)
        points = np.array(out).reshape(-1, 2)
    return points


def _side(name: str, content: dict[str, Any], key: str) -> int:
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise _wrong(name, f"has {value!r} as {key!r}" if key in content else f"has no {key!r}")
    if not 1 <= value <= _MAX_SIDE_PX:
        raise _wrong(name, f"has {value!r} as {key!r}")
    return int(value)


def _object(name: str, number: int, item: Any) -> LabelledPolygon | None:
    """Return one object, or None if it is deleted."""
    where = f"object {number}"
    if not isinstance(item, dict):
        raise _wrong(name, f"{where} is a {type(item).__name__}")
    if item.get("deleted"):
        return None
    label, polygon = item.get("label"), item.get("polygon")
    if not isinstance(label, str):
        raise _wrong(name, f"{where} has no 'label'")
    if not isinstance(polygon, list):
        raise _wrong(name, f"{where} ({label}) has no 'polygon'")
    for point in polygon:
        if (
            not isinstance(point, list)
            or len(point) != 2
            or not all(_is_coordinate(v) for v in point)
        ):
            raise _wrong(name, f"{where} ({label}) has the point {point!r}")
    points = np.array(polygon, np.float64).reshape(-1, 2)
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    return LabelledPolygon(label.strip(), points)


def _is_coordinate(value: Any) -> bool:
    # Also false for NaN and infinity, which Python's JSON accepts.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _wrong(name: str, what: str) -> DataError:
    return DataError(
        f"{name}: {what}. Expected polygon JSON of IDD or Cityscapes: 'imgHeight' and "
        "'imgWidth' in pixels, and 'objects', each with 'label' and 'polygon' ([[x, y], ...]). "
        "Correct or remove the file."
    )
